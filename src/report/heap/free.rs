//! Freeing: the hot path is class → lookup → mine? → push.
//!
//! The layout gives the class; the lookup tells our blocks from those that the system's malloc
//! served when the pool refused.

use super::drain::drain_cold;
use super::free_remote::free_remote_cold;
use super::{NO_MORE, check};
use crate::report::Statics;
use crate::report::list::Block;
use crate::sys::system;
use core::alloc::Layout;
use core::ptr::NonNull;

/// Gives a block back.
///
/// # Safety
/// `block` is live, and this variant allocated it with `layout`.
#[inline(always)]
pub(crate) unsafe fn free<V: Statics>(block: *mut u8, layout: Layout) {
    let Some(class) = V::class_of(layout) else {
        // SAFETY: above the classes every block is the system's; the rest is the caller's word.
        return unsafe { system::free(V::BY_ADDRESS, block, layout) };
    };
    let heap = V::local();
    let address = block.addr();
    let Some(superslab) = heap.lookup::<V>(address) else {
        // SAFETY: not in a SuperSlab (G2), so it came from the fallback, with this layout.
        return unsafe { system::free(V::BY_ADDRESS, block, layout) };
    };
    let slab = superslab.slab_at::<V>(address);
    check::freed::<V>(heap, slab, class, address);
    // SAFETY: a live block is not null.
    let block = unsafe { NonNull::new_unchecked(block.cast::<Block>()) };
    if slab.remote.owner() != heap.id {
        // SAFETY: the block is of this slab and the caller's to free.
        return unsafe { free_remote_cold::<V>(heap, slab, class, block) };
    }
    debug_assert!(heap.id < NO_MORE, "K4");
    // SAFETY: the block is free now, of this class and of a slab that this heap owns (K1), and the
    // caller, which gave it up, was the only one to have it.
    let len = unsafe { heap.list(class).push(block) };
    if len > V::LIST_LIMIT {
        drain_cold::<V>(heap, class, V::BATCH);
    }
}
