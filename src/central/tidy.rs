//! The work of one step of a round: some slabs of a central list, or some segments of the page heap.
//!
//! | part | under the lock of | gives back |
//! |---|---|---|
//! | [`tidy_class`] | the central list, [`SLABS`] slabs at a time | pages of slabs that no block in use touches |
//! | [`tidy_slices`] | the page heap, [`SEGMENTS`] segments at a time | extents of the map cache that no block needs, dirty slices |
//!
//! Never: purges a page that a block in use touches.

use super::exchange::send_home;
use super::round::{Budget, PER_CALL, PER_LOOK, Round, Terms};
use super::{ListId, Shared};
use crate::base::{
    ArenaIdx, PAGE_BYTES, SLICE_BYTES, SliceIdx, bit_range, quotient, rank, slices_in,
};
use crate::slab::{Segment, Slab};
use crate::stats::Event;
use crate::sys::{clock, held, pages};
use crate::variant::{Unit, Variant};

/// Slabs that a step visits before it gives up the lock of their list.
const SLABS: u32 = 16;
/// Segments that a step visits before it gives up the lock of the page heap.
const SEGMENTS: u32 = 4;
/// Extents of the map cache that a step unmaps.
const RANGES: usize = 16;
/// Pages of the map cache that a step gives back before it looks at its budget.
const PAGES: usize = 1024;

/// Visits some slabs of a central list. Returns true if those were the last.
pub(super) fn tidy_class<V: Shared>(
    round: &Round,
    id: ListId,
    terms: Terms,
    budget: &mut Budget,
) -> bool {
    budget.spend(PER_LOOK);
    if id.arena == ArenaIdx::FIRST && round.left.get().is_none() {
        send_home::<V>(id.class, terms.all);
    }
    let central = V::central(id.arena, id.class);
    if central.purgeable() == 0 {
        return true;
    }
    if terms.all {
        central.lock.lock();
    } else if !central.lock.try_lock() {
        return true;
    }
    let mut left = round.left.get().unwrap_or_else(|| {
        central.send_home::<V>(id, terms.all);
        central.retire_last::<V>(terms.now, terms.delay);
        let looks = V::PURGE_UNIT == Unit::Pages || terms.all;
        if looks { central.purgeable_count() } else { 0 }
    });
    for _ in 0..SLABS {
        if left == 0 || budget.is_spent() {
            break;
        }
        left -= 1;
        let Some(slab) = central.next_purgeable() else {
            left = 0;
            break;
        };
        budget.spend(PER_LOOK);
        V::counters().count(Event::Look);
        if slab.idle_ms(terms.now) < terms.delay {
            central.put_purgeable(slab);
            round.waiting.set(round.waiting.get() + waiting_bytes::<V>(slab));
        } else {
            purge_pages::<V>(slab, budget);
        }
    }
    if central.purgeable_count() == 0 && id.waiting::<V>() == 0 && !central.has_spare() {
        central.set_purgeable(0);
    }
    central.lock.unlock();
    round.left.set(Some(left));
    left == 0
}

/// Bytes of a slab's free blocks, if they are likely to make up whole pages. They are if the slab is mostly free, or if
/// each block has pages of its own.
fn waiting_bytes<V: Variant>(slab: &Slab) -> usize {
    let (used, free) = (slab.used() as usize, (slab.capacity() - slab.used()) as usize);
    let bytes = V::CLASSES.block_bytes(slab.class());
    if bytes >= PAGE_BYTES || free >= used { free * bytes } else { 0 }
}

/// Purges the pages of a slab that have memory and no block in use. With the lock of its list held.
fn purge_pages<V: Shared>(slab: &'static Slab, budget: &mut Budget) {
    held::check_rank(rank::CENTRAL_LIST);
    budget.spend(PER_LOOK);
    for (from, to) in runs(slab.pages_to_purge::<V>()) {
        budget.spend_pages(to - from);
        // SAFETY: no block that is out touches these pages (Y1), and no block leaves the slab while the lock is held.
        // The pages are mapped.
        if unsafe { pages::purge(slab.page(from), (to - from) * PAGE_BYTES) } {
            slab.note_decommitted(from, to);
            V::counters().count_many(Event::PurgedPage, (to - from) as u64);
        }
    }
}

/// Purges the map cache, then some dirty segments. Returns true if those were the last.
pub(super) fn tidy_slices<V: Shared>(round: &Round, terms: Terms, budget: &mut Budget) -> bool {
    let page_heap = V::page_heap();
    if round.left.get().is_none() {
        let keeps = page_heap.tuning.keeps_mappings() && !terms.all;
        page_heap.lock.with(|| {
            page_heap.map_cache.begin_round(terms.now, terms.delay, keeps);
            round.left.set(Some(page_heap.dirty_segment_count()));
        });
    }
    let dropped = page_heap.give_back_due(PAGES * PAGE_BYTES);
    if dropped > 0 {
        budget.spend_pages(quotient(dropped, PAGE_BYTES));
        return false;
    }
    let unmapped = page_heap.unmap_surplus(RANGES, terms.all);
    if unmapped > 0 {
        budget.spend(unmapped * PER_CALL);
        return false;
    }
    page_heap.lock.with(|| {
        let mut left = round.left.get().unwrap_or(0);
        for _ in 0..SEGMENTS {
            if left == 0 || budget.is_spent() {
                break;
            }
            left -= 1;
            let Some(segment) = page_heap.next_dirty_segment() else {
                left = 0;
                break;
            };
            let slices = purge_slices::<V>(segment, terms.now, terms.delay, budget);
            page_heap.forget_regrets(slices);
            page_heap.end_turn::<V>(segment);
        }
        if left == 0 && terms.all {
            page_heap.unmap_spare::<V>();
        }
        round.left.set(Some(left));
        left == 0
    })
}

/// Purges the slices of a segment that have been free for `delay` milliseconds. Returns how many went back. With the
/// lock of the page heap held.
pub(super) fn purge_slices<V: Shared>(
    segment: &'static Segment,
    now: u64,
    delay: u64,
    budget: &mut Budget,
) -> u32 {
    V::page_heap().lock.check_held();
    budget.spend(PER_LOOK);
    V::counters().count(Event::Look);
    let age = |slice: SliceIdx| clock::since(segment.freed_at[slice.index()].get(), now);
    let old = slices_in(segment.purgeable_slices())
        .filter(|&slice| age(slice) >= delay)
        .fold(0, |mask, slice| mask | slice.bit());
    let mut purged = 0;
    for (from, to) in runs(old) {
        let bytes = (to - from) * SLICE_BYTES;
        budget.spend_pages(bytes / PAGE_BYTES);
        // SAFETY: the slices are free (X1, X2), and mapped.
        if unsafe { pages::purge(segment.slice_start(SliceIdx::new(from)), bytes) } {
            V::page_heap().note_clean(segment, bit_range(from, to));
            purged += (to - from) as u32;
            V::counters().count_many(Event::PurgedPage, (bytes / PAGE_BYTES) as u64);
        } else {
            V::page_heap().note_refused(segment, bit_range(from, to));
        }
    }
    purged
}

/// The runs of set bits, as ranges.
pub(super) fn runs(mut mask: u32) -> impl Iterator<Item = (usize, usize)> {
    core::iter::from_fn(move || {
        if mask == 0 {
            return None;
        }
        let from = mask.trailing_zeros() as usize;
        let to = from + (mask >> from).trailing_ones() as usize;
        mask &= !bit_range(from, to);
        Some((from, to))
    })
}
