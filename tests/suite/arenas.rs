//! Slabs that change arenas: a thread takes over what those of other arenas have left free.

use crate::testbed::{Bed, Filled, for_each_bed};
use std::alloc::Layout;
use std::thread;

const BYTES: usize = 1000;

/// Addresses of blocks of [`BYTES`], as many as there is memory for, or `most`.
fn take(bed: &'static Bed, most: usize) -> Vec<usize> {
    let layout = Layout::from_size_align(BYTES, 8).expect("a layout");
    // SAFETY: the size is not 0.
    let take = || unsafe { bed.allocator.alloc(layout) }.expose_provenance();
    std::iter::repeat_with(take).take(most).take_while(|&block| block != 0).collect()
}

fn give(bed: &'static Bed, blocks: impl IntoIterator<Item = usize>) {
    let layout = Layout::from_size_align(BYTES, 8).expect("a layout");
    for block in blocks {
        // SAFETY: `take` returned it, and it is freed once, with its layout.
        unsafe { bed.allocator.dealloc(std::ptr::with_exposed_provenance_mut(block), layout) };
    }
}

/// Where no slab can be had, the last free blocks of another arena serve.
fn the_last_blocks_of_another_arena_serve(bed: &'static Bed) {
    (bed.purge)();
    if !(bed.set_limit)(4 << 20) {
        return;
    }
    let mut all = take(bed, usize::MAX);
    assert!(all.len() > 100, "{} blocks", all.len());
    give(bed, all.drain(..3));
    (bed.purge)();
    let other = thread::scope(|scope| scope.spawn(|| take(bed, 1)).join().expect("no panic"));
    (bed.set_limit)(0);
    assert_eq!(other.len(), 1, "{}: no memory, though there are free blocks", bed.id);
    give(bed, all.into_iter().chain(other));
    assert_eq!(bed.audit().live(), 0);
}

/// A purge looks at a slab that was taken over while pages of it were to go back.
fn a_slab_that_was_taken_over_is_looked_at(bed: &'static Bed) {
    (bed.purge)();
    if !(bed.set_limit)(4 << 20) {
        return;
    }
    // No slice is left, so another arena must take a slab over.
    let all = take(bed, usize::MAX);
    let is_kept = |at: &usize| at.is_multiple_of(2);
    let (kept, freed): (Vec<_>, Vec<_>) = (0..all.len()).partition(is_kept);
    give(bed, freed.into_iter().map(|at| all[at]));
    let other = || Filled::new(bed, BYTES, 8, 1);
    let other = thread::scope(|scope| scope.spawn(other).join().expect("no panic"));
    (bed.set_limit)(0);
    // It compares what is to be purged with what a purge will look at.
    bed.audit();
    drop(other);
    give(bed, kept.into_iter().map(|at| all[at]));
    assert_eq!(bed.audit().live(), 0);
}

for_each_bed!(the_last_blocks_of_another_arena_serve, a_slab_that_was_taken_over_is_looked_at);
