//! The slow half of allocation: fill the thread's list from its current slab, or from the next.

use super::drain::{drain_idle, drain_pending, drain_slab};
use super::{Heap, exit};
use crate::base::ClassIdx;
use crate::report::Statics;
use crate::report::slab::Slab;
use crate::sys::system;
use core::alloc::Layout;

/// Refusals between two looks at an idle list, while the pool refuses every refill.
const REFUSALS_PER_LOOK: u8 = 32;

/// Allocates when the thread's list is empty.
///
/// # Safety
/// `layout` has a size above 0, and `class` serves it.
#[cold]
#[inline(never)]
pub(super) unsafe fn refill_cold<V: Statics>(
    heap: &'static Heap,
    class: ClassIdx,
    layout: Layout,
) -> *mut u8 {
    if let Some(heap) = exit::heap_of_thread::<V>(heap) {
        // Setting up a heap may allocate through it, and so have filled the list by now.
        if let Some(block) = heap.list(class).pop() {
            return block.as_ptr().cast();
        }
        if let Some(slab) = slab_with_blocks::<V>(heap, class) {
            slab.give(heap.list(class), V::BATCH);
            drain_idle::<V>(heap, class);
        } else {
            heap.counters.count_fallback(class);
            heap.refusals.set((heap.refusals.get() + 1) % REFUSALS_PER_LOOK);
            if heap.refusals.get() == 0 {
                drain_idle::<V>(heap, class);
            }
        }
        if let Some(block) = heap.list(class).pop() {
            return block.as_ptr().cast();
        }
    }
    // SAFETY: the caller's condition.
    unsafe { system::alloc(V::BY_ADDRESS, layout) }
}

/// The heap's current slab of the class, or the next one, with at least one block at home.
fn slab_with_blocks<V: Statics>(heap: &'static Heap, class: ClassIdx) -> Option<&'static Slab> {
    let owned = heap.slabs(class);
    let has_blocks = |slab: &&'static Slab| slab.has_free() || drain_slab::<V>(heap, slab) > 0;
    if let Some(current) = owned.current.get().filter(has_blocks) {
        return Some(current);
    }
    // Slabs that other threads have emptied go back to the pool before the pool is asked. What came
    // home to the current one in the meantime must not be left behind with it.
    drain_pending::<V>(heap, class);
    if let Some(current) = owned.current.get().filter(|current| current.has_free()) {
        return Some(current);
    }
    let slab = V::pool().acquire::<V>(class, &heap.seeker())?;
    owned.link(slab);
    owned.current.set(Some(slab));
    Some(slab)
}
