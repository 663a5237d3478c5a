//! Slices of segments, one at a time for slabs and in runs for large blocks.
//!
//! Dirty slices are reused before clean ones, and of each kind the ones in the tightest hole.
//!
//! A slice that is freed waits, dirty, to be used again. Where as many wait as are plainly not going to be needed (the
//! *allowance*: [`FEW_SLICES`], or half as many as are in use), the segment whose dirty slices have waited longest gives them
//! back with each further one that comes: a program that falls silent looks at no clock. What a program then takes
//! clean, it could have had dirty: it is *regretted*, and raises the allowance, until as much has waited in vain.
//!
//! Each claim looks at [`MOST_LOOKS`] segments at most, and each slice that is freed at one other.
//!
//! V1  A segment is in the list of those with free slices exactly while it has any.
//! V2  `dirty_slices` is how many slices of all segments are dirty, `free_slices` how many are free.
//! V3  A segment is among the dirty ones exactly while a purge may give back slices of it.
//! V4  A segment that is decommitted and not pinned is `spare`: there is one such at most.

use super::Shared;
use super::arena::Users;
use super::background::Background;
use super::map_cache::MapCache;
use super::purge::{Budget, Round, purge_slices, reclaim_batches};
use super::retained::Retained;
use super::tuning::Tuning;
use crate::base::{
    MAX_SLICES, SEGMENT_BYTES, SLICE_BYTES, SliceIdx, bit_range, quotient, slices_in,
};
use crate::list::LinkedList;
use crate::page_map::Kind;
use crate::slab::{ALL, ALL_SLICES, AVAILABLE, DIRTY, Run, Segment, Slab, Wanted};
use crate::stats::Event;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sys::fatal::fatal;
use crate::sys::lock::Lock;
use crate::sys::pages;
use crate::variant::{Growth, Reclaim};
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// Bytes of addresses that are seen to for segments.
const RESERVE: usize = 512 << 20;
/// Segments that are compared before slices are taken.
const LOOKS: usize = 8;
/// Bytes that are worth a hurry, and the part of all memory that they must be, too.
const MUCH: (usize, usize) = (4 << 20, 8);
/// The same for going on with it.
const STILL_MUCH: (usize, usize) = (1 << 20, 128);
/// Slices that may always wait to be used again: 32 MiB.
const FEW_SLICES: u32 = 512;
/// Dirty slices of a segment that are worth giving back at once.
const WORTH_A_CALL: u32 = 8;
/// Segments that are looked at before a new one is mapped: a long search under the lock helps nobody.
const MOST_LOOKS: usize = 64;

/// Slices that were claimed.
struct Claimed {
    segment: &'static Segment,
    /// The first of them.
    slice: SliceIdx,
    /// Whether none of them has memory: all are zero.
    clean: bool,
}

/// See the module.
#[repr(C, align(64))]
pub(crate) struct PageHeap {
    /// Guards all that follows but the atomics, and the segments' own fields.
    pub(crate) lock: Lock,
    /// Segments with free slices, the one that came to have some last first (V1).
    available: LinkedList<Segment, AVAILABLE>,
    all: LinkedList<Segment, ALL>,
    segments: Cell<u32>,
    /// Segments of which a purge may give back slices, the one that it looks at next first (V3).
    dirty_segments: LinkedList<Segment, DIRTY>,
    dirty_segment_count: Cell<u32>,
    /// The segment that is kept though it is decommitted (V4).
    spare: Cell<Option<&'static Segment>>,
    /// Free slices of all segments, and those of them that have memory (V2).
    free_slices: Cell<u32>,
    /// Slices in use, for who has no lock. [shared]
    slices_in_use: AtomicU32,
    dirty_slices: Cell<u32>,
    /// Slices that were given back before their time, and have not been taken since.
    early: Cell<u32>,
    /// Those that were taken: so many more may wait.
    regretted: Cell<u32>,
    /// Mappings that were freed and wait to be used again.
    pub(super) map_cache: MapCache,
    /// Whether addresses for segments were seen to, and what of them is left.
    has_reserve: Cell<bool>,
    reserved: Retained,
    /// Milliseconds, as last looked at. [shared]
    now: AtomicU64,
    /// Whether much memory waits for its time to go back: [`PENDING`], [`SEEN`] and [`TOLD`], or none of them. [shared]
    pending: AtomicU32,
    /// Which arenas threads have.
    pub(crate) users: Users,
    /// The central list that is asked for free slices next. [shared]
    pub(super) reclaimed_at: AtomicU32,
    /// Whether a thread without lists looks at the clock: 0 or 1. [shared]
    pub(super) asked: AtomicU32,
    /// How far purging has come.
    pub(super) round: Round,
    /// What the program has changed.
    pub(crate) tuning: Tuning,
    /// The thread that gives memory back, if there is one.
    pub(crate) background: Background,
}

/// Much memory waits for its time to go back.
const PENDING: u32 = 1;
/// That was seen since the round of purging began.
const SEEN: u32 = 2;
/// All threads were told so.
const TOLD: u32 = 4;

// SAFETY: all fields but the lock and the atomics are touched with the lock held.
unsafe impl Sync for PageHeap {}

impl PageHeap {
    pub(crate) const fn new() -> Self {
        Self {
            lock: Lock::over(AtomicU32::new(0)),
            available: LinkedList::new(),
            all: LinkedList::new(),
            segments: Cell::new(0),
            dirty_segments: LinkedList::new(),
            dirty_segment_count: Cell::new(0),
            spare: Cell::new(None),
            free_slices: Cell::new(0),
            slices_in_use: AtomicU32::new(0),
            dirty_slices: Cell::new(0),
            early: Cell::new(0),
            regretted: Cell::new(0),
            map_cache: MapCache::new(),
            has_reserve: Cell::new(false),
            reserved: Retained::new(),
            now: AtomicU64::new(0),
            pending: AtomicU32::new(0),
            users: Users::new(),
            reclaimed_at: AtomicU32::new(0),
            asked: AtomicU32::new(0),
            round: Round::new(),
            tuning: Tuning::new(),
            background: Background::new(),
        }
    }

    /// Milliseconds, as [`tick`](super::tick) last saw them.
    pub(crate) fn now(&self) -> u64 {
        // ORDERING: relaxed; a number that says when, and publishes nothing.
        self.now.load(Ordering::Relaxed)
    }

    pub(super) fn set_now(&self, now: u64) {
        // ORDERING: relaxed, as above.
        self.now.store(now, Ordering::Relaxed);
    }

    /// Whether so much memory waits for its time to go back that threads should look at the clock more often
    /// than they would, though all that they do is served from their lists.
    #[inline]
    pub(crate) fn purge_pending<V: Shared>(&self) -> bool {
        // ORDERING: relaxed; it says how often to look, and publishes nothing.
        V::PURGE_MS.is_some() && self.pending.load(Ordering::Relaxed) & PENDING != 0
    }

    /// Whether nobody has told the other threads yet that much waits; who asks does so.
    pub(crate) fn is_news<V: Shared>(&self) -> bool {
        let told = |pending: u32| (pending & (PENDING | TOLD) == PENDING).then_some(pending | TOLD);
        // ORDERING: relaxed, as above; of several that ask at once one is told yes.
        V::COUNTED
            && told(self.pending.load(Ordering::Relaxed)).is_some()
            && self.pending.fetch_update(Ordering::Relaxed, Ordering::Relaxed, told).is_ok()
    }

    /// In a child, where no other thread is in the middle of telling or asking.
    pub(crate) fn after_fork(&self) {
        // ORDERING: relaxed; there is no other thread.
        self.pending.fetch_and(!TOLD, Ordering::Relaxed);
        self.asked.store(0, Ordering::Relaxed);
        self.background.lose();
    }

    /// Notes that nothing is to go back now, whatever waits.
    pub(super) fn note_kept(&self) {
        // ORDERING: relaxed, as above.
        self.pending.store(0, Ordering::Relaxed);
    }

    /// Notes that much waits, if it is for the program's threads to see to it.
    pub(super) fn note_pending(&self) {
        if self.background.runs() {
            return self.note_kept();
        }
        if self.tuning.idle_kept() == usize::MAX {
            return;
        }
        let seen = |pending: u32| match pending & (PENDING | SEEN) {
            0 | SEEN => Some(PENDING | SEEN),
            PENDING => Some(pending | SEEN),
            _ => None,
        };
        // ORDERING: relaxed, as above.
        if seen(self.pending.load(Ordering::Relaxed)).is_some() {
            let _ = self.pending.fetch_update(Ordering::Relaxed, Ordering::Relaxed, seen);
        }
    }

    /// Notes that a round of purging begins.
    pub(super) fn begin_round(&self) {
        // ORDERING: relaxed, as above.
        self.pending.fetch_and(!SEEN, Ordering::Relaxed);
    }

    /// Notes that a round has ended, which saw so many bytes wait in slabs; says whether much was seen since it began.
    /// Where it was not, much waits no more if so little is left, or the hurry has gone `on_and_on`. With the lock held.
    pub(super) fn end_round(&self, in_slabs: usize, on_and_on: bool) -> bool {
        let goes_on = !on_and_on && self.is_much(in_slabs, STILL_MUCH);
        let anew = |pending: u32| if goes_on { None } else { (pending & SEEN == 0).then_some(0) };
        // ORDERING: relaxed, as above; nothing changes where another thread has seen much since the round began.
        let was = self.pending.fetch_update(Ordering::Relaxed, Ordering::Relaxed, anew);
        was.unwrap_or_else(|was| was) & SEEN != 0
    }

    /// Whether what is free and has memory, and `more`, is much, in itself and as a part of all. With the lock held.
    fn is_much(&self, more: usize, (bytes, part): (usize, usize)) -> bool {
        let kept = if self.tuning.keeps_mappings() { 0 } else { self.map_cache.bytes() };
        let free = self.dirty_slices.get() as usize * SLICE_BYTES + kept + more;
        let all = self.segments.get() as usize * SEGMENT_BYTES + kept;
        free >= bytes && free >= quotient(all, part) && free > self.tuning.idle_kept()
    }

    /// Keeps a mapping that was freed, or gives it back where it has more than `bound` bytes.
    ///
    /// # Safety
    /// As for [`MapCache::put`].
    pub(super) unsafe fn keep(&self, start: NonNull<u8>, bytes: usize, bound: usize) {
        if bytes > bound {
            // SAFETY: the caller's condition.
            return unsafe { self.let_go(start, bytes) };
        }
        self.lock.with(|| {
            // SAFETY: the caller's condition.
            unsafe { self.map_cache.put(start, bytes, self.now(), bound) };
            if self.is_much(0, MUCH) {
                self.note_pending();
            }
        });
    }

    /// Gives back a range of its own, as [`MapCache::let_go`] does, but not with the lock held where it is unmapped: it may be
    /// large.
    ///
    /// # Safety
    /// As for [`MapCache::let_go`].
    pub(super) unsafe fn let_go(&self, start: NonNull<u8>, bytes: usize) {
        let is_crowded = self.lock.with(|| {
            self.map_cache.add_cut();
            self.map_cache.is_crowded()
        });
        // SAFETY: the caller's condition.
        if is_crowded || !unsafe { pages::unmap(start, bytes) } {
            // SAFETY: the caller's condition; where the kernel refused, the range is as it was.
            self.lock.with(|| unsafe { self.map_cache.retain(start, bytes) });
        }
    }

    /// Claims a slice for a slab: its segment, and whether it has no memory. `None` when memory is exhausted; or where the
    /// slice is to be `dirty`, and there is none.
    pub(crate) fn claim_slice<V: Shared>(
        &self,
        dirty: bool,
    ) -> Option<(&'static Segment, SliceIdx, bool)> {
        if dirty {
            let claimed = self.lock.with(|| self.claim_dirty::<V>())?;
            return Some((claimed.segment, claimed.slice, false));
        }
        let wanted = Wanted { count: 1, align: 1, growth: Growth::Tight };
        let claimed = self.claim::<V>(wanted, 0)?;
        Some((claimed.segment, claimed.slice, claimed.clean))
    }

    /// Claims the slices of a large block, the first of which is a multiple of `align`: its start, and whether they are
    /// zero.
    pub(crate) fn claim_span<V: Shared>(
        &self,
        count: usize,
        align: usize,
        growth: Growth,
    ) -> Option<(NonNull<u8>, bool)> {
        let wanted = Wanted { count, align, growth };
        let claimed = self.claim::<V>(wanted, count as u8)?;
        Some((claimed.segment.slice_start(claimed.slice), claimed.clean))
    }

    /// Claims slices, the first of which begins a span of `span`: free ones, else those that reclaiming frees, else those
    /// of a segment that is mapped.
    fn claim<V: Shared>(&self, wanted: Wanted, span: u8) -> Option<Claimed> {
        let claim_free = || {
            let (segment, slice) = self.find::<V>(wanted)?;
            let clean = self.mark_used(segment, slice, wanted.count);
            segment.span[slice.index()].set(span);
            if span > 0 {
                let start = segment.slice_start(slice).addr().get();
                V::page_map().note(start, Kind::Span);
                V::page_map().note_slices(start + SLICE_BYTES, wanted.count - 1, Kind::Body);
            }
            Some(Claimed { segment, slice, clean })
        };
        if V::RECLAIM == Reclaim::First {
            if let Some(claimed) = self.lock.with(claim_free) {
                return Some(claimed);
            }
            reclaim_batches::<V>(wanted.count);
        }
        self.lock.with(|| {
            claim_free().or_else(|| {
                if V::RECLAIM == Reclaim::First && !self.tuning.keeps_mappings() {
                    self.map_cache.give_back(SEGMENT_BYTES, self.now());
                }
                self.map::<V>()?;
                claim_free()
            })
        })
    }

    /// Claims a slice that has memory, of the first few segments. With the lock held.
    fn claim_dirty<V: Shared>(&self) -> Option<Claimed> {
        if self.dirty_slices.get() == 0 {
            return None;
        }
        let wanted = Wanted { count: 1, align: 1, growth: Growth::Tight };
        let (segment, slice) = self.find::<V>(wanted)?;
        if segment.dirty.get() & slice.bit() == 0 {
            return None;
        }
        let clean = self.mark_used(segment, slice, 1);
        segment.span[slice.index()].set(0);
        Some(Claimed { segment, slice, clean })
    }

    /// The free slices that take the least memory, among the first few segments that have enough.
    fn find<V: Shared>(&self, wanted: Wanted) -> Option<(&'static Segment, SliceIdx)> {
        let mut best: Option<(Run, &'static Segment)> = None;
        for (looks, segment) in self.available.iter().enumerate() {
            if looks >= LOOKS && (best.is_some() || looks >= MOST_LOOKS) {
                break;
            }
            V::counters().count(Event::Look);
            let Some(run) = segment.find_run(wanted) else { continue };
            if run.is_dirty || best.is_none() {
                best = Some((run, segment));
            }
            if run.is_dirty {
                break;
            }
        }
        best.map(|(run, segment)| (segment, run.slice()))
    }

    /// Takes slices out of a segment's free ones (X1); says whether none of them has memory (X2).
    fn mark_used(&self, segment: &'static Segment, slice: SliceIdx, count: usize) -> bool {
        let run = bit_range(slice.index(), slice.index() + count);
        debug_assert_eq!(segment.free.get() & run, run);
        let dirty = segment.dirty.get() & run;
        self.free_slices.set(self.free_slices.get() - count as u32);
        self.note_in_use();
        segment.free.set(segment.free.get() & !run);
        self.note_clean(segment, dirty);
        if segment.free.get() == 0 {
            self.available.remove(segment);
        }
        self.spare.set(self.spare.get().filter(|spare| !ptr::eq(*spare, segment)));
        let regretted = (count as u32 - dirty.count_ones()).min(self.early.get());
        self.early.set(self.early.get() - regretted);
        self.regretted.set(self.regretted.get() + regretted);
        dirty == 0
    }

    /// Notes that dirty slices are so no more: they went back, or are in use.
    pub(super) fn note_clean(&self, segment: &'static Segment, slices: u32) {
        self.change_dirty(segment, || {
            self.dirty_slices
                .set(self.dirty_slices.get() - (segment.dirty.get() & slices).count_ones());
            segment.dirty.set(segment.dirty.get() & !slices);
            segment.refused.set(segment.refused.get() & !slices);
        });
    }

    /// Notes that the kernel would not have dirty slices.
    pub(super) fn note_refused(&self, segment: &'static Segment, slices: u32) {
        self.change_dirty(segment, || segment.refused.set(segment.refused.get() | slices));
    }

    /// Changes what a purge may give back of a segment, and keeps V3.
    fn change_dirty(&self, segment: &'static Segment, change: impl FnOnce()) {
        let was_dirty = segment.purgeable_slices() != 0;
        change();
        match (was_dirty, segment.purgeable_slices() != 0) {
            (false, true) => {
                self.dirty_segments.push_last(segment);
                self.dirty_segment_count.set(self.dirty_segment_count.get() + 1);
            }
            (true, false) => {
                self.dirty_segments.remove(segment);
                self.dirty_segment_count.set(self.dirty_segment_count.get() - 1);
            }
            (false, false) | (true, true) => {}
        }
    }

    /// Takes back the slice of a slab that was taken down.
    pub(crate) fn give_slice<V: Shared>(&self, slab: &'static Slab) {
        self.lock.with(|| self.mark_free::<V>(slab.segment(), slab.slice(), 1));
    }

    /// Takes back a large block's slices. What was no span of that size is misuse.
    ///
    /// # Safety
    /// `start` lies in a segment that is mapped, as that of a live span is.
    pub(crate) unsafe fn give_span<V: Shared>(&self, start: NonNull<u8>, count: usize) {
        let address = start.addr().get();
        let slice = Segment::slice_at(address);
        // SAFETY: the caller's condition.
        let segment = unsafe { Segment::containing(address) };
        self.lock.with(|| {
            if usize::from(segment.span[slice.index()].replace(0)) != count {
                fatal("double free, or free with a layout of another size:", address);
            }
            self.mark_free::<V>(segment, slice, count);
        });
    }

    fn mark_free<V: Shared>(&self, segment: &'static Segment, slice: SliceIdx, count: usize) {
        let run = bit_range(slice.index(), slice.index() + count);
        debug_assert_eq!(segment.free.get() & run, 0);
        if segment.free.get() == 0 {
            self.available.push(segment);
        }
        segment.free.set(segment.free.get() | run);
        V::page_map().note_slices(segment.slice_start(slice).addr().get(), count, Kind::Free);
        self.change_dirty(segment, || segment.dirty.set(segment.dirty.get() | run));
        self.free_slices.set(self.free_slices.get() + count as u32);
        self.note_in_use();
        self.dirty_slices.set(self.dirty_slices.get() + count as u32);
        for slice in slices_in(run) {
            segment.freed_at[slice.index()].set(self.now());
        }
        if self.is_much(0, MUCH) {
            self.note_pending();
            self.give_back_early::<V>();
        }
    }

    /// Slices in use. With the lock held.
    fn in_use(&self) -> u32 {
        self.segments.get() * (MAX_SLICES as u32 - 1) - self.free_slices.get()
    }

    fn note_in_use(&self) {
        // ORDERING: relaxed; a number that publishes nothing.
        self.slices_in_use.store(self.in_use(), Ordering::Relaxed);
    }

    /// Bytes of the slices in use, as a thread without the lock sees it.
    pub(crate) fn bytes_in_use(&self) -> usize {
        // ORDERING: relaxed, as in `note_in_use`.
        self.slices_in_use.load(Ordering::Relaxed) as usize * SLICE_BYTES
    }

    /// Gives back what has waited longest, where more waits than the allowance.
    fn give_back_early<V: Shared>(&self) {
        let used = self.in_use();
        let allowance = FEW_SLICES.max(used / 2) + self.regretted.get();
        let is_kept = self.free_and_dirty() <= self.tuning.idle_kept();
        if V::PURGE_MS.is_none() || self.dirty_slices.get() <= allowance || is_kept {
            return;
        }
        let Some(segment) = self.next_dirty_segment() else { return };
        V::counters().count(Event::Look);
        if segment.purgeable_slices().count_ones() >= WORTH_A_CALL {
            let slices = purge_slices::<V>(segment, self.now(), 0, &mut Budget::unbounded());
            self.early.set(self.early.get() + slices);
        }
        self.end_turn::<V>(segment);
    }

    // ---- segments that a purge is to look at: with the lock held ---------------------------------------

    pub(super) fn dirty_segment_count(&self) -> u32 {
        self.dirty_segment_count.get()
    }

    /// The segment whose turn it is.
    pub(super) fn next_dirty_segment(&self) -> Option<&'static Segment> {
        self.dirty_segments.first()
    }

    /// Lets a segment whose turn it was wait for the next; or unmaps it, if it is decommitted and not the only one such.
    pub(super) fn end_turn<V: Shared>(&self, segment: &'static Segment) {
        if segment.purgeable_slices() != 0 {
            self.dirty_segments.remove(segment);
            self.dirty_segments.push_last(segment);
        }
        if !segment.is_decommitted() || segment.pinned.get() {
            return;
        }
        match self.spare.get() {
            None => self.spare.set(Some(segment)),
            Some(_) => self.unmap::<V>(segment),
        }
    }

    /// Lets go what is kept though it is decommitted.
    pub(super) fn unmap_spare<V: Shared>(&self) {
        if let Some(segment) = self.spare.take() {
            self.unmap::<V>(segment);
        }
    }

    /// Notes that so many slices waited for their time in vain.
    pub(super) fn forget_regrets(&self, slices: u32) {
        self.regretted.set(self.regretted.get().saturating_sub(slices));
    }

    /// Makes a span longer or shorter where it is; false, and nothing changed, where it cannot grow.
    ///
    /// # Safety
    /// As for [`give_span`](Self::give_span).
    pub(crate) unsafe fn resize_span<V: Shared>(
        &self,
        start: NonNull<u8>,
        old: usize,
        new: usize,
    ) -> bool {
        let address = start.addr().get();
        let slice = Segment::slice_at(address);
        // SAFETY: the caller's condition.
        let segment = unsafe { Segment::containing(address) };
        self.lock.with(|| {
            if usize::from(segment.span[slice.index()].get()) != old {
                fatal("realloc with a layout of another size:", address);
            }
            let end = slice.index() + old;
            if new < old {
                self.mark_free::<V>(segment, SliceIdx::new(slice.index() + new), old - new);
            } else {
                let wanted = end..slice.index() + new;
                let fits = wanted.end <= MAX_SLICES
                    && segment.free.get() & bit_range(wanted.start, wanted.end)
                        == bit_range(wanted.start, wanted.end);
                if !fits {
                    return false;
                }
                self.mark_used(segment, SliceIdx::new(end), new - old);
                V::page_map().note_slices(address + old * SLICE_BYTES, new - old, Kind::Body);
            }
            segment.span[slice.index()].set(new as u8);
            true
        })
    }

    // ---- segments ----------------------------------------------------------------------------------

    /// Maps a segment and notes it in the map; `None` when memory is exhausted, or the address is beyond the map. Where the kernel maps nothing any
    /// more, addresses that were given up may do.
    fn map<V: Shared>(&self) -> Option<&'static Segment> {
        let pages = pages::map_aligned(SEGMENT_BYTES, SEGMENT_BYTES)
            .or_else(|| self.map_cache.retained.take(SEGMENT_BYTES, SEGMENT_BYTES))
            .or_else(|| self.reserved.take(SEGMENT_BYTES, SEGMENT_BYTES))?;
        // SAFETY: fresh pages of that size, aligned so, which nobody else knows of; they are unmapped
        // only when nobody can find them any more.
        let segment = unsafe { Segment::create(pages) };
        if !V::page_map().cover(segment.address(), None) {
            // SAFETY: nobody has found the segment, since it is not in the map.
            unsafe { self.map_cache.let_go(pages, SEGMENT_BYTES) };
            return None;
        }
        // SAFETY: mapped above.
        unsafe { pages::refuse_huge_pages(pages, SEGMENT_BYTES) };
        V::counters().count(Event::AcquireGrow);
        V::page_map().note(segment.address(), Kind::Header);
        V::page_map().note_slices(segment.address() + SLICE_BYTES, MAX_SLICES - 1, Kind::Free);
        self.all.push(segment);
        self.segments.set(self.segments.get() + 1);
        self.free_slices.set(self.free_slices.get() + ALL_SLICES.count_ones());
        self.available.push(segment);
        Some(segment)
    }

    /// Where there are many mappings, sees to addresses for segments, for when the kernel maps no more.
    pub(super) fn reserve(&self) {
        if self.has_reserve.get() || !self.map_cache.is_crowded() {
            return;
        }
        self.has_reserve.set(true);
        if let Some(start) = pages::map(RESERVE) {
            // SAFETY: mapped above.
            unsafe { pages::refuse_huge_pages(start, RESERVE) };
            self.reserved.put(start.expose_provenance().get(), RESERVE);
        }
    }

    /// Maps a segment that nobody needs yet, for good.
    pub(crate) fn map_spare<V: Shared>(&self) -> bool {
        self.lock.with(|| self.map::<V>().map(|segment| segment.pinned.set(true)).is_some())
    }

    /// Unmaps a segment whose slices are all free. With the lock held.
    pub(super) fn unmap<V: Shared>(&self, segment: &'static Segment) {
        debug_assert!(segment.is_decommitted());
        V::page_map().note_slices(segment.address(), MAX_SLICES, Kind::Foreign);
        self.available.remove(segment);
        self.all.remove(segment);
        self.segments.set(self.segments.get() - 1);
        self.free_slices.set(self.free_slices.get() - ALL_SLICES.count_ones());
        // Locked pages, which go with the mapping.
        self.dirty_slices.set(self.dirty_slices.get() - segment.dirty.get().count_ones());
        // SAFETY: no block of the segment is out, it is in no list, and no lookup finds it (X4).
        unsafe { self.map_cache.let_go(segment.slice_start(SliceIdx::FIRST), SEGMENT_BYTES) };
    }

    /// Unmaps every segment, and every mapping that was kept.
    ///
    /// # Safety
    /// Nobody refers to a block of the variant, or will ask for one.
    pub(crate) unsafe fn release(&self) {
        self.lock.with(|| {
            self.map_cache.give_back(usize::MAX, self.now());
            for segment in self.all() {
                // SAFETY: nobody refers to what is in it, by the caller's condition, and the list has gone past it.
                unsafe { pages::unmap(segment.slice_start(SliceIdx::FIRST), SEGMENT_BYTES) };
            }
            // SAFETY: nobody will ask for a block any more, by the caller's condition.
            unsafe { self.map_cache.retained.release() };
            // SAFETY: as above.
            unsafe { self.reserved.release() };
        });
    }

    /// Whether the free slices and the dirty ones are as many as are counted (V2), and the dirty segments as many as are
    /// listed (V3); for audits.
    pub(crate) fn sums_up(&self) -> bool {
        let sum = |of: fn(&Segment) -> u32| self.all().map(of).sum::<u32>();
        sum(|segment| segment.free.get().count_ones()) == self.free_slices.get()
            && sum(|segment| segment.dirty.get().count_ones()) == self.dirty_slices.get()
            && sum(|segment| u32::from(segment.purgeable_slices() != 0))
                == self.dirty_segment_count.get()
            && self.dirty_segments.iter().filter(|segment| segment.purgeable_slices() != 0).count()
                == self.dirty_segment_count.get() as usize
    }

    /// Bytes that are free and have memory.
    pub(super) fn free_bytes(&self) -> usize {
        self.lock.with(|| self.free_and_dirty())
    }

    /// The same, with the lock held.
    fn free_and_dirty(&self) -> usize {
        self.dirty_slices.get() as usize * SLICE_BYTES + self.map_cache.bytes()
    }

    /// Bytes mapped, and once more those that are free and have memory: less than before a purge if slices, mappings
    /// or segments went back.
    pub(crate) fn slack(&self) -> usize {
        self.lock.with(|| self.segments.get() as usize * SEGMENT_BYTES + self.free_and_dirty())
    }

    /// Segments mapped now.
    pub(crate) fn segments(&self) -> u32 {
        self.lock.with(|| self.segments.get())
    }

    /// Calls `visit` with every segment.
    pub(crate) fn visit(&self, visit: impl FnMut(&'static Segment)) {
        self.lock.with(|| self.all().for_each(visit));
    }

    /// All segments; with the lock held, or when no other thread is at work. Each may be unmapped while it is
    /// looked at.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'static Segment> {
        self.all.iter()
    }
}
