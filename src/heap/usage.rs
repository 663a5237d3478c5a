//! What can be said of a heap while other threads are at work.

use super::Hosted;
use crate::base::{ClassIdx, SLOT_BYTES, SlotIdx};
use crate::slab::State;

/// Bytes of claimed slots that are free: EMPTY slabs, and what waits in this thread's heap. Which blocks of other
/// threads' slabs are out is theirs to know.
pub(crate) fn free_bytes<V: Hosted>() -> usize {
    let slots = || (0..V::SLOTS).map(SlotIdx::new);
    let is_empty = |state| state == State::Empty;
    let superslabs = V::pool().registry.all();
    let empty: usize = superslabs
        .map(|one| slots().filter(|&slot| is_empty(one.slab::<V>(slot).state())).count())
        .sum();
    let heap = V::local();
    let own = ClassIdx::all(V::CLASSES.count()).map(|class| {
        let slabs = heap.slabs(class).all.iter();
        let home: u32 = slabs.map(|slab| slab.capacity() - slab.used() + slab.remote.count()).sum();
        (home + heap.list(class).len()) as usize * V::CLASSES.block_bytes(class)
    });
    empty * SLOT_BYTES + own.sum::<usize>()
}
