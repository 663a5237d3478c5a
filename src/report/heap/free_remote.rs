//! Freeing a block of another thread's slab.

use super::Heap;
use crate::base::ClassIdx;
use crate::report::Statics;
use crate::report::list::Block;
use crate::report::list::NO_OWNER;
use crate::report::slab::Slab;
use crate::stats::Event;
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
        // An owner that sees the flag sees the push (FL1). If the slab changed hands in between, its old owner took the
        // block (R2), and the flag costs one look in vain.
        owner.shared.pending[class.index()].raise();
    }
}
