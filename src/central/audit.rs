//! Audits: what can be checked under one lock at a time, while other threads go on.
//!
//! | under the lock of | checked |
//! |---|---|
//! | each central list | its slabs, their blocks, the sums over them |
//! | each transfer cache | the blocks that wait there |
//! | the parked lists | their blocks |
//! | the page heap | segments, slices, the page map; extents and their places in the map cache |
//! | the records of huge blocks | the records and the page map |
//! | the huge blocks between fences | the sums over freed ones |
//!
//! The audit of a program that stands still goes further (`check.rs`): it knows that nothing is under way.
//!
//! A live program is audited on request, every so many milliseconds: by the thread that sees the clock move, or by the
//! background thread. One thread audits at a time, and audits take a tenth of the time at most. A broken invariant ends
//! the process.
//!
//! Never: touches what a thread owns, or follows a link before it knows that the link leads to what it should.

use super::parked::parks;
use super::{ListId, PageHeap, Shared, Transfer, used};
use crate::base::{
    ClassIdx, MAX_SLICES, SEGMENT_BYTES, SLICE_BYTES, SliceIdx, bit_range, slices_in,
};
use crate::page_map::Kind;
use crate::slab::{Segment, usable_slices};
use crate::stats::{Unsound, ensure};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::clock;
use crate::variant::Large;
use core::ptr;

/// Milliseconds after which an audit counts as lost: a child of a fork does not have the thread that made it.
const LOST_MS: u64 = 60_000;
/// The time between two audits, at least, in times of one.
const PAUSE: u64 = 9;

/// When audits of a live program are due.
pub(crate) struct Audits {
    /// Milliseconds from one to the next; 0 for none. [shared]
    every: AtomicU64,
    /// When the next is due, in milliseconds. [shared]
    due: AtomicU64,
}

impl Audits {
    pub(super) const fn new() -> Self {
        Self { every: AtomicU64::new(0), due: AtomicU64::new(0) }
    }

    pub(crate) fn set_every(&self, ms: u64) {
        // ORDERING: relaxed; a setting, which publishes nothing.
        self.every.store(ms, Ordering::Relaxed);
    }

    /// True if an audit is due now. The caller makes it then, and no other thread does.
    fn is_due(&self, now: u64) -> bool {
        // ORDERING: relaxed; it decides whose turn it is, and publishes nothing.
        let due = self.due.load(Ordering::Relaxed);
        let meanwhile = now.saturating_add(LOST_MS);
        now >= due
            && self
                .due
                .compare_exchange(due, meanwhile, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Notes that an audit that began at `from` has ended at `to`.
    fn end(&self, every: u64, from: u64, to: u64) {
        let pause = every.max(PAUSE.saturating_mul(to.saturating_sub(from)));
        // ORDERING: relaxed; it decides whose turn it is, and publishes nothing.
        self.due.store(to.saturating_add(pause), Ordering::Relaxed);
    }
}

/// Audits the heap if the program asked for it and the time has come. With no lock held.
#[inline]
pub(super) fn audit_if_due<V: Shared>(now: u64) {
    // ORDERING: relaxed; a setting, which publishes nothing.
    let every = V::page_heap().audits.every.load(Ordering::Relaxed);
    if every > 0 {
        audit_cold::<V>(every, now);
    }
}

#[cold]
#[inline(never)]
fn audit_cold<V: Shared>(every: u64, now: u64) {
    let audits = &V::page_heap().audits;
    if !audits.is_due(now) {
        return;
    }
    if let Err(unsound) = check_shared::<V>(false) {
        unsound.end();
    }
    audits.end(every, now, clock::now_ms());
}

/// An error unless what the threads share is sound. It takes each lock in turn. If the program `rests`, no thread is in
/// the middle of an operation, and the sums must be exact.
pub(crate) fn check_shared<V: Shared>(rests: bool) -> Result<(), Unsound> {
    for arena in used::<V>() {
        for class in ClassIdx::all(V::CLASSES.count()) {
            let (list, id) = (V::central(arena, class), ListId { arena, class });
            list.lock.with(|| list.check::<V>(id))?;
        }
    }
    for class in ClassIdx::all(V::CLASSES.count()) {
        let transfer = V::transfer(class);
        transfer.lock.with(|| check_transfer::<V>(transfer, class))?;
    }
    if parks::<V>() {
        V::parked().lock.with(check_parked::<V>)?;
    }
    let page_heap = V::page_heap();
    page_heap.lock.with(|| page_heap.check::<V>(rests))?;
    if V::LARGE == Large::Fenced {
        ensure(V::fenced().is_sound(), "FN2, freed blocks that are held", 0)?;
    }
    if V::RECORDS_HUGE {
        let (blocks, map_cache) = (V::huge_blocks(), &page_heap.map_cache);
        // Only a program at rest has the addresses of all its blocks in the map cache.
        let check = |start, bytes| {
            let is_owned = !rests || map_cache.owned.contains(start, bytes);
            let is_free = rests && map_cache.free.containing(start).is_some();
            ensure(is_owned && !is_free, "MC1, a huge block outside", start)
        };
        let huge = blocks.lock.with(|| blocks.check(V::page_map(), check))?;
        let is_live = !rests || huge == map_cache.live();
        ensure(is_live, "RC2, bytes of huge blocks", map_cache.live())?;
    }
    Ok(())
}

/// An error unless the blocks that wait are of the class (TC1). With the lock held.
fn check_transfer<V: Shared>(transfer: &Transfer, class: ClassIdx) -> Result<(), Unsound> {
    transfer
        .waiting()
        .try_for_each(|block| ensure(is_of::<V>(class, block), "TC1, a block that waits", block))
}

/// An error unless the parked lists are of their classes, and those of a free place are empty (Q1). With the lock held.
fn check_parked<V: Shared>() -> Result<(), Unsound> {
    for (is_taken, class, list) in V::parked().places::<V>() {
        let at = ptr::from_ref(list).addr();
        ensure(is_taken || list.len() == 0, "Q1, lists in a free place", at)?;
        ensure(list.is_sound(|block| is_of::<V>(class, block)), "Q2, a parked list", at)?;
    }
    Ok(())
}

/// True if an address is in a slab of the class, or in the pool of sampled blocks.
fn is_of<V: Shared>(class: ClassIdx, block: usize) -> bool {
    let kind = V::page_map().kind(block);
    kind == Kind::Class(class) || kind == Kind::Sampled
}

impl PageHeap {
    /// An error unless segments, slices and extents are sound. With the lock held.
    fn check<V: Shared>(&self, rests: bool) -> Result<(), Unsound> {
        let place = ptr::from_ref(self).addr();
        let is_segment = |address: usize| {
            address.is_multiple_of(SEGMENT_BYTES) && V::page_map().has(address, Kind::Header)
        };
        ensure(self.all.is_linked(is_segment), "O1, the segments", place)?;
        ensure(self.available.is_linked(is_segment), "O1, segments with free slices", place)?;
        ensure(self.dirty_segments.is_linked(is_segment), "O1, dirty segments", place)?;
        let (mut segments, mut free, mut dirty) = (0, 0, 0);
        let (mut available, mut purgeable, mut lent) = (0, 0, 0);
        for segment in self.all() {
            self.check_segment::<V>(segment)?;
            segments += 1;
            free += segment.free.get().count_ones();
            dirty += segment.dirty.get().count_ones();
            available += usize::from(segment.free.get() != 0);
            purgeable += usize::from(segment.purgeable_slices() != 0);
            let is_lent = self.map_cache.owned.overlaps(segment.address(), SEGMENT_BYTES);
            lent += if is_lent { SEGMENT_BYTES } else { 0 };
        }
        let full = self.available.iter().find(|segment| segment.free.get() == 0);
        let at = full.map_or(place, Segment::address);
        let is_listed = full.is_none() && self.available.iter().count() == available;
        ensure(is_listed, "V1, segments with free slices", at)?;
        ensure(self.segments.get() == segments, "V2, segments are counted", place)?;
        ensure(self.free_slices.get() == free, "V2, free slices are counted", place)?;
        ensure(self.dirty_slices.get() == dirty, "V2, dirty slices are counted", place)?;
        let clean = self.dirty_segments.iter().find(|segment| segment.purgeable_slices() == 0);
        let at = clean.map_or(place, Segment::address);
        let is_listed = clean.is_none() && self.dirty_segments.iter().count() == purgeable;
        let is_counted = self.dirty_segment_count.get() as usize == purgeable;
        ensure(is_listed && is_counted, "V3, dirty segments", at)?;
        let others = self.map_cache.check(rests)?;
        let known = self.map_cache.live() + lent;
        ensure(known <= others, "MC1, huge blocks have addresses", place)?;
        let is_exact = known == others && self.limit.is_quiet();
        ensure(!rests || is_exact, "MC1, addresses are lost", others - known)
    }

    fn check_segment<V: Shared>(&self, segment: &'static Segment) -> Result<(), Unsound> {
        let at = segment.address();
        let mut taken = segment.free.get();
        ensure(taken & !usable_slices::<V>() == 0, "X1, the header is in use", at)?;
        ensure(segment.dirty.get() & !taken == 0, "X2, dirty slices are free", at)?;
        let touched = segment.dirty.get() | usable_slices::<V>() & !taken;
        ensure(touched & !segment.open_slices() == 0, "X5, a slice without access", at)?;
        ensure(
            segment.refused.get() & !segment.dirty.get() == 0,
            "X2, refused slices are dirty",
            at,
        )?;
        for slice in slices_in(usable_slices::<V>() & !segment.free.get()) {
            let span = usize::from(segment.span[slice.index()].get());
            let end = slice.index() + span;
            let slices = if end <= MAX_SLICES { bit_range(slice.index(), end) } else { u32::MAX };
            ensure(taken & slices == 0 || span == 0, "X1, a slice is in one place", at)?;
            taken |= slices;
        }
        let is_spare = self.spare.get().is_some_and(|spare| ptr::eq(spare, segment));
        let is_empty = segment.is_decommitted::<V>() && !segment.pinned.get();
        ensure(is_empty == is_spare, "V4, a segment without memory", at)?;
        self.check_map::<V>(segment)
    }

    /// An error unless the page map has the right kind for each slice of a segment (A1, A2). A slab may be coming or
    /// going, under the lock of its list.
    fn check_map<V: Shared>(&self, segment: &'static Segment) -> Result<(), Unsound> {
        let mut rest_of_span = 0;
        for slice in (0..MAX_SLICES).map(SliceIdx::new) {
            let at = segment.address() + slice.index() * SLICE_BYTES;
            let kind = V::page_map().kind(at);
            let is_free = segment.free.get() & slice.bit() != 0;
            let span = if is_free { 0 } else { usize::from(segment.span[slice.index()].get()) };
            let fits = match () {
                () if usable_slices::<V>() & slice.bit() == 0 => kind == Kind::Header,
                () if rest_of_span > 0 => kind == Kind::Body,
                // A span that waits in some thread's span cache counts as free there.
                () if span > 0 => kind == Kind::Span || V::SPAN_KIB > 0 && kind == Kind::Free,
                () if is_free => kind == Kind::Free,
                () => kind == Kind::Free || kind.class().is_some(),
            };
            ensure(fits, "A1 or A2, the page map", at)?;
            rest_of_span = if span > 0 { span - 1 } else { rest_of_span.saturating_sub(1) };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_audit_at_a_time_and_a_tenth_of_the_time() {
        let audits = Audits::new();
        assert!(audits.is_due(1000));
        assert!(!audits.is_due(1001), "another thread is at it");
        audits.end(100, 1000, 1004);
        assert!(!audits.is_due(1103) && audits.is_due(1104));
        audits.end(100, 1104, 1204);
        assert!(!audits.is_due(1204 + 899) && audits.is_due(1204 + 900));
        // A child of a fork does not have the thread that is at it.
        let lost = 1204 + 900 + LOST_MS;
        assert!(!audits.is_due(lost - 1) && audits.is_due(lost));
    }
}
