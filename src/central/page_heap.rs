//! The page heap: the free slices of all segments. A slab takes one slice, a large block a run of slices, its span.
//!
//! ```text
//!           claim_slice, claim_span
//!  free ───────────────────────────▶ in use     `find` takes dirty slices before clean ones,
//!   ▲                                   │       and of each kind the run in the tightest hole
//!   └───────────────────────────────────┘
//!           give_slice, give_span
//! ```
//!
//! | file | part of the page heap |
//! |---|---|
//! | `page_heap.rs` | slices and spans |
//! | `segments.rs` | segments mapped and unmapped |
//! | `access.rs` | which slices have access |
//! | `dirty.rs` | dirty segments, in the order in which purges visit them |
//! | `audit.rs` | whether all that is true |
//! | `samples.rs` | sampled blocks, which must not come to a slab |
//! | `figures.rs` | how much memory is in use, and idle |
//! | `limit.rs` | how much memory there may be |
//! | `pending.rs` | the flags that say that much memory waits to be purged |
//!
//! A claim looks at [`MOST_LOOKS`] segments at most.
//!
//! V1  A segment is in the list `available` exactly while it has free slices.
//! V2  `free_slices` counts the free slices of all segments, `dirty_slices` the dirty ones among them.
//!
//! Never: reads or writes a block.

use super::Shared;
use super::arena::Users;
use super::audit::Audits;
use super::background::Background;
use super::huge_pages::{self, HugePages};
use super::limit::Limit;
use super::list::LARGE;
use super::map_cache::MapCache;
use super::pending::MUCH;
use super::purge::reclaim_batches;
use super::round::Round;
use super::tuning::Tuning;
use crate::base::{MAX_SLICES, SEGMENT_BYTES, SLICE_BYTES, SliceIdx, bit_range, rank, slices_in};
use crate::linked::LinkedList;
use crate::page_map::Kind;
use crate::sampled::Sampled;
use crate::slab::{ALL, AVAILABLE, DIRTY, Run, Segment, Slab, Wanted};
use crate::stats::Event;
use crate::sys::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::sys::fatal::fatal;
use crate::sys::lock::Lock;
use crate::variant::{Growth, Headers, Huge, Reclaim};
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// Segments that a claim compares before it takes slices.
const LOOKS: usize = 8;
/// Segments that a claim looks at before it maps a new one. A longer search would keep the lock for too long.
const MOST_LOOKS: usize = 64;

/// Slices that were claimed.
struct Claimed {
    segment: &'static Segment,
    /// The first of these slices.
    slice: SliceIdx,
    /// True if none of the slices has memory; they are zero then.
    clean: bool,
}

/// The page heap of one variant.
#[repr(C, align(64))]
pub(crate) struct PageHeap {
    /// Guards all fields below but the atomics, and the segments' own fields.
    pub(crate) lock: Lock<{ rank::PAGE_HEAP }>,
    /// Segments with free slices (V1). The segment that came to have some last is first.
    pub(super) available: LinkedList<Segment, AVAILABLE>,
    pub(super) all: LinkedList<Segment, ALL>,
    pub(super) segments: Cell<u32>,
    /// Segments of which a purge may give back slices (V3). The segment that the next purge looks at is first.
    pub(super) dirty_segments: LinkedList<Segment, DIRTY>,
    pub(super) dirty_segment_count: Cell<u32>,
    /// The segment that stays mapped though it is decommitted (V4).
    pub(super) spare: Cell<Option<&'static Segment>>,
    /// Free slices of all segments, and the dirty ones among them (V2).
    pub(super) free_slices: Cell<u32>,
    /// Slices in use, for threads without the lock. [shared]
    pub(super) slices_in_use: AtomicU32,
    pub(super) dirty_slices: Cell<u32>,
    /// Slices that went back early, and that no claim has taken since.
    pub(super) early: Cell<u32>,
    /// Slices that went back early, and that a claim has taken since. The allowance grows by as many.
    pub(super) regretted: Cell<u32>,
    /// The addresses of huge blocks, and the memory that freed ones left.
    pub(super) map_cache: MapCache,
    /// The time that a thread read from the clock last, in milliseconds. [shared]
    now: AtomicU64,
    /// Flags: `PENDING`, `SEEN` and `TOLD` (`pending.rs`). [shared]
    pub(super) pending: AtomicU32,
    /// The arenas that threads have.
    pub(crate) users: Users,
    /// The central list that `reclaim_batches` asks next. [shared]
    pub(super) reclaimed_at: AtomicU32,
    /// 1 while a thread without a cache looks at the clock, else 0. [shared]
    pub(super) asked: AtomicU32,
    /// The requests for huge pages.
    pub(super) huge_pages: HugePages,
    /// The state of the round of purging.
    pub(super) round: Round,
    /// The settings that the program has changed.
    pub(crate) tuning: Tuning,
    /// Bytes of a class's slabs from which a return of blocks looks ahead; 0 once blocks are sampled, which must not come
    /// to a slab. [shared]
    pub(super) ahead_from: AtomicUsize,
    /// Sampled blocks, which have pages of their own.
    pub(crate) sampled: Sampled,
    /// The background thread, if there is one.
    pub(crate) background: Background,
    /// The soft limit.
    pub(crate) limit: Limit,
    /// The audits of a live program.
    pub(crate) audits: Audits,
}

// SAFETY: the lock, the atomics and the parts that are `Sync` by themselves may be shared. The thread that holds the
// lock is the only one to touch the other fields.
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
            now: AtomicU64::new(0),
            pending: AtomicU32::new(0),
            users: Users::new(),
            reclaimed_at: AtomicU32::new(0),
            asked: AtomicU32::new(0),
            huge_pages: HugePages::new(),
            round: Round::new(),
            tuning: Tuning::new(),
            ahead_from: AtomicUsize::new(LARGE),
            sampled: Sampled::new(),
            background: Background::new(),
            limit: Limit::new(),
            audits: Audits::new(),
        }
    }

    /// The time that [`tick`](super::tick) saw last, in milliseconds.
    pub(crate) fn now(&self) -> u64 {
        // ORDERING: relaxed; a time stamp, which publishes nothing.
        self.now.load(Ordering::Relaxed)
    }

    pub(super) fn set_now(&self, now: u64) {
        // ORDERING: relaxed, as in `now`.
        self.now.store(now, Ordering::Relaxed);
    }

    /// Claims a slice for a slab. Returns its segment, its index, and true if it has no memory. `None` when memory is
    /// exhausted; or when the slice is to be `dirty`, and no slice is.
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

    /// Claims the slices of a large block. The first slice is a multiple of `align`. Returns the block's start, and
    /// true if the block is zero.
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

    /// Claims slices, and notes a span of `span` slices at the first of them. It takes free slices first, then slices
    /// that reclaiming frees, then slices of a new segment.
    fn claim<V: Shared>(&self, wanted: Wanted, span: u8) -> Option<Claimed> {
        let claim_free = || {
            let (segment, slice) = self.find_open::<V>(wanted)?;
            let clean = self.mark_used(segment, slice, wanted.count);
            segment.span[slice.index()].set(span);
            if span > 0 {
                if V::HUGE == Huge::Auto {
                    self.huge_pages.note_span(wanted.count);
                }
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
            if self.bytes_in_use() > 0 {
                reclaim_batches::<V>(wanted.count);
                if let Some(claimed) = self.lock.with(claim_free) {
                    return Some(claimed);
                }
            }
            let keeps = self.tuning.keeps_mappings();
            if !keeps && self.lock.with(|| self.borrow::<V>().is_none()) {
                self.give_back(SEGMENT_BYTES);
            }
        }
        let grow = || {
            self.map::<V>(wanted.count, wanted.align + wanted.count)?;
            claim_free()
        };
        let mut asked = None;
        let claimed = self.lock.with(|| {
            claim_free().or_else(|| {
                // Fences split a huge page.
                let is_open = V::HEADERS == Headers::Open;
                if V::HUGE == Huge::Auto && is_open && span == 0 && self.admits(SEGMENT_BYTES) {
                    asked = self.huge_pages.begin(self.in_use());
                }
                if asked.is_none() {
                    return grow();
                }
                self.limit.leave(SEGMENT_BYTES);
                None
            })
        });
        let Some(size) = asked else { return claimed };
        // Without the lock, since the kernel may take long.
        let (pages, ticks) = huge_pages::map(size);
        self.lock.with(|| {
            self.huge_pages.end(size, ticks);
            self.limit.arrive(SEGMENT_BYTES);
            if let Some(pages) = pages {
                // SAFETY: fresh pages, zeroed, of a segment's size and alignment, that only this thread knows of.
                unsafe { self.add_with_memory::<V>(pages) };
            }
            claim_free().or_else(grow)
        })
    }

    /// Claims a dirty slice of the first few segments, if there is one. With the lock held.
    fn claim_dirty<V: Shared>(&self) -> Option<Claimed> {
        self.lock.check_held();
        if self.dirty_slices.get() == 0 {
            return None;
        }
        let wanted = Wanted { count: 1, align: 1, growth: Growth::Tight };
        let (segment, slice) = self.find::<V, false>(wanted)?;
        if segment.dirty.get() & slice.bit() == 0 {
            return None;
        }
        let clean = self.mark_used(segment, slice, 1);
        segment.span[slice.index()].set(0);
        Some(Claimed { segment, slice, clean })
    }

    /// Finds the free slices that take the least memory, among the first few segments that have enough. All of them have
    /// access if they are to be `OPEN`.
    pub(super) fn find<V: Shared, const OPEN: bool>(
        &self,
        wanted: Wanted,
    ) -> Option<(&'static Segment, SliceIdx)> {
        self.lock.check_held();
        let mut best: Option<(Run, &'static Segment)> = None;
        for (looks, segment) in self.available.iter().enumerate() {
            if looks >= LOOKS && (best.is_some() || looks >= MOST_LOOKS) {
                break;
            }
            V::counters().count(Event::Look);
            let among = if OPEN { segment.open_slices() } else { u32::MAX };
            let Some(run) = segment.find_run(wanted, among) else { continue };
            if run.is_dirty || best.is_none() {
                best = Some((run, segment));
            }
            if run.is_dirty {
                break;
            }
        }
        best.map(|(run, segment)| (segment, run.slice()))
    }

    /// Takes slices out of a segment's free ones (X1). Returns true if none of them has memory (X2).
    pub(super) fn mark_used(
        &self,
        segment: &'static Segment,
        slice: SliceIdx,
        count: usize,
    ) -> bool {
        self.lock.check_held();
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

    /// Takes back the slice of a retired slab.
    pub(crate) fn give_slice<V: Shared>(&self, slab: &'static Slab) {
        self.lock.with(|| self.mark_free::<V>(slab.segment(), slab.slice(), 1));
    }

    /// Takes back the slices of a large block. If no span of that size starts there, it reports misuse.
    ///
    /// # Safety
    /// `start` lies in a segment that is mapped, as the segment of a live span is.
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

    pub(super) fn mark_free<V: Shared>(
        &self,
        segment: &'static Segment,
        slice: SliceIdx,
        count: usize,
    ) {
        self.lock.check_held();
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

    /// Makes a span longer or shorter where it is. Returns false, and changes nothing, if the span cannot grow.
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
                if !fits || !self.admits_run(segment, end, new - old) {
                    return false;
                }
                if !segment.open_to::<V>(wanted.end) {
                    return false;
                }
                self.mark_used(segment, SliceIdx::new(end), new - old);
                V::page_map().note_slices(address + old * SLICE_BYTES, new - old, Kind::Body);
            }
            segment.span[slice.index()].set(new as u8);
            true
        })
    }
}

#[cfg(test)]
mod tests;
