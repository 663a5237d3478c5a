//! Bringing blocks home: from a thread's list to their slabs, and from a slab's remote list.
//!
//! A slab whose last block comes home is retired, if the variant recycles: the report's option A.
//! Not the current one: its thread is about to take from it again.

use super::Heap;
use crate::base::ClassIdx;
use crate::report::Statics;
use crate::report::list::LocalList;
use crate::report::slab::Slab;
use crate::stats::Event;
use crate::variant::Recycle;

/// Gives up to `count` blocks of the thread's list back to their slabs.
#[cold]
#[inline(never)]
pub(super) fn drain_cold<V: Statics>(heap: &'static Heap, class: ClassIdx, count: u32) {
    let batch = LocalList::new();
    if heap.list(class).split_into(&batch, count) == 0 {
        return;
    }
    heap.counters.count(Event::ListDrain);
    while let Some(block) = batch.pop() {
        // SAFETY: a block in a thread's list lies in a slab of this variant (K1).
        let slab = unsafe { Slab::of_block::<V>(block) };
        // SAFETY: the block was in the list of the slab's owner, which has just given it up (K1).
        unsafe { slab.take_home(block) };
        if slab.used() == 0 {
            retire::<V>(heap, slab);
        }
    }
}

/// Drains the slabs of a class that other threads have freed into, if they have.
pub(super) fn drain_pending<V: Statics>(heap: &'static Heap, class: ClassIdx) {
    let pending = &heap.shared.pending[class.index()];
    // Lowered before the slabs are looked at, so a later free raises it again (FL2).
    if !pending.take() {
        return;
    }
    for slab in heap.slabs(class).iter() {
        if drain_slab::<V>(heap, slab) > 0 && slab.used() == 0 {
            retire::<V>(heap, slab);
        }
    }
}

/// Brings home what other threads have freed into one slab; returns how many blocks.
pub(super) fn drain_slab<V: Statics>(heap: &'static Heap, slab: &'static Slab) -> u32 {
    // A look first: the read-modify-write would take the line from the threads that free.
    if slab.remote.count() == 0 {
        return 0;
    }
    heap.counters.count(Event::RemoteDrain);
    slab.drain_remote::<V>()
}

/// Examines one other list per call, in turn, and drains it whole if its newest block is the one of its last turn.
/// Blocks that lie idle in a list keep their slabs from becoming EMPTY.
pub(super) fn drain_idle<V: Statics>(heap: &'static Heap, active: ClassIdx) {
    let turn = usize::from(heap.idle_turn.get()) % V::CLASSES.count();
    heap.idle_turn.set(turn as u8 + 1);
    let class = ClassIdx::new(turn);
    if class == active {
        return;
    }
    let newest = heap.list(class).newest();
    if heap.slabs(class).newest_seen.replace(newest) == newest {
        drain_cold::<V>(heap, class, u32::MAX);
    }
    drain_pending::<V>(heap, class);
}

/// Gives a slab whose blocks are all home to the pool, if the variant recycles. Otherwise the slab
/// stays where no thread looks for it: the report's defect.
fn retire<V: Statics>(heap: &'static Heap, slab: &'static Slab) {
    let owned = heap.slabs(slab.class());
    if V::RECYCLE == Recycle::Freelist && !owned.is_current(slab) {
        owned.unlink(slab);
        V::pool().retire::<V>(slab);
        heap.counters.count(Event::Retired);
    }
}
