//! A thread's heap from its opening to the thread's end.
//!
//! | this thread's slot | event | becomes |
//! |---|---|---|
//! | placeholder *not yet* | first slow allocation | a heap: one that waits, or a new one |
//! | a heap | the thread ends (pthread key) | placeholder *no more*; the heap waits |
//! | placeholder *no more* | any | stays: later destructors use the system's malloc, and free as other threads do |
//!
//! Two limits. A thread whose very first allocation happens in the last round of pthread destructors,
//! behind ours, is not seen to end: its heap is lost. And a fork takes only the forking thread along:
//! in the child, the other threads' heaps stay as they were, their slabs owned and not reused.

use super::drain::{drain_cold, drain_slab};
use super::{Heap, NO_MORE, NOT_YET};
use crate::base::ClassIdx;
use crate::report::Statics;
use crate::report::registry;
use crate::sys::pages;
use crate::sys::thread::AtExit;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

/// The thread's heap, or `None` if it can have none: it is ending, or memory is exhausted.
pub(super) fn heap_of_thread<V: Statics>(heap: &'static Heap) -> Option<&'static Heap> {
    match heap.id {
        NOT_YET => first_heap::<V>(),
        NO_MORE => None,
        _ => Some(heap),
    }
}

fn first_heap<V: Statics>() -> Option<&'static Heap> {
    let heap = V::heaps().take()?;
    // Before the hook: arming it may allocate, with this very variant as the global allocator.
    V::set_local(heap);
    if V::hook().arm(heap) {
        return Some(heap);
    }
    // No hook would run at the thread's end, and the heap would be lost.
    V::set_local(V::not_yet());
    give_up::<V>(heap);
    None
}

/// Gives up the heap of a thread that ends.
pub(crate) struct GiveUpHeap<V>(PhantomData<V>);

impl<V: Statics> AtExit for GiveUpHeap<V> {
    type Value = Heap;

    fn run(heap: &'static Heap) {
        V::set_local(V::no_more());
        give_up::<V>(heap);
    }
}

/// Disarms the exit hook, so that no ending thread calls into this variant.
pub(crate) fn leave_threads<V: Statics>() {
    V::hook().disarm();
}

/// Unmaps all memory of the variant.
///
/// # Safety
/// [`leave_threads`] has run, and no thread runs code of the variant. No code refers to a block of it, or will ask
/// for one.
pub(crate) unsafe fn release<V: Statics>() {
    for superslab in registry::all::<V>() {
        // SAFETY: mapped by the pool, as many bytes, and no code refers to it, by the caller's condition.
        unsafe { pages::unmap(NonNull::from(superslab).cast(), V::SUPERSLAB_BYTES) };
    }
    // SAFETY: no thread uses a heap, by the caller's condition.
    unsafe { V::heaps().release() };
    // SAFETY: no thread looks up an address, or registers a SuperSlab, by the caller's condition.
    unsafe { registry::release::<V>() };
}

/// Empties a heap and lets it wait for another thread. Every slab is left to others: those with all
/// blocks home as EMPTY, the rest as orphans.
fn give_up<V: Statics>(heap: &'static Heap) {
    let pool = V::pool();
    for class in ClassIdx::all(V::CLASSES.count()) {
        drain_cold::<V>(heap, class, u32::MAX);
        let owned = heap.slabs(class);
        owned.newest_seen.set(ptr::null());
        for slab in owned.iter() {
            // Out of the list first: from the moment it is left, the slab is another thread's.
            owned.unlink(slab);
            loop {
                drain_slab::<V>(heap, slab);
                if slab.used() == 0 {
                    pool.leave_empty::<V>(slab);
                    break;
                }
                if pool.leave_orphan::<V>(slab, heap.id) {
                    break;
                }
            }
        }
    }
    V::heaps().put(heap);
}
