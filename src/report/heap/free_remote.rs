//! Freeing a block of another thread's slab.

use super::Heap;
use crate::base::ClassIdx;
use crate::report::Statics;
use crate::report::list::Block;
use crate::report::list::NO_OWNER;
use crate::report::slab::Slab;
use crate::stats::Event;
use crate::sys::atomic::Ordering;
use core::ptr::NonNull;

/// Frees a block of a slab that another heap owns, or no heap.
///
/// # Safety
/// The block is of this slab, of this class, and the caller's to free.
#[cold]
#[inline(never)]
pub(super) unsafe fn free_remote_cold<V: Statics>(
    heap: &'static Heap,
    slab: &'static Slab,
    class: ClassIdx,
    block: NonNull<Block>,
) {
    heap.counters.count(Event::RemoteFree);
    // SAFETY: the caller's condition.
    let owner = unsafe { slab.free_remote::<V>(block) };
    let Some(owner) = owner.filter(|&owner| owner != NO_OWNER) else { return };
    if let Some(owner) = V::heaps().get(owner) {
        // ORDERING: release, paired with the acquire in `drain_pending`: an owner that sees the
        // flag sees the push. If the slab changed hands in between, its old owner took the block
        // (R2), and the flag costs one look in vain. A swap, not a store: two threads may set the flag,
        // and the owner's swap, which reads one of the two writes, must see the pushes behind both.
        owner.shared.pending[class.index()].swap(true, Ordering::Release);
    }
}
