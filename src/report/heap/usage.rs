//! Sums over the heaps that are possible while other threads use them.

use crate::base::{ClassIdx, SLICE_BYTES, SliceIdx};
use crate::report::Statics;
use crate::report::registry;
use crate::report::slab::State;

/// Blocks of claimed slots that are free, and their bytes: EMPTY slabs, a block each, and what waits in this thread's
/// heap. Which blocks of other threads' slabs are out is theirs to know.
pub(crate) fn free_blocks<V: Statics>() -> (usize, usize) {
    let slots = || (0..V::SLICES).map(SliceIdx::new);
    let is_empty = |state| state == State::Empty;
    let superslabs = registry::all::<V>();
    let empty: usize = superslabs
        .map(|one| slots().filter(|&slot| is_empty(one.slab::<V>(slot).state())).count())
        .sum();
    let heap = V::local();
    ClassIdx::all(V::CLASSES.count()).fold(
        (empty, empty * SLICE_BYTES),
        |(blocks, bytes), class| {
            let slabs = heap.slabs(class).all.iter();
            let home: u32 =
                slabs.map(|slab| slab.capacity() - slab.used() + slab.remote.count()).sum();
            let own = (home + heap.list(class).len()) as usize;
            (blocks + own, bytes + own * V::CLASSES.block_bytes(class))
        },
    )
}
