//! Allocation: the hot path is class → heap → pop.

use super::Hosted;
use super::refill::refill_cold;
use crate::sys::system;
use core::alloc::Layout;

/// A block for `layout`, or null when memory is exhausted.
///
/// # Safety
/// `layout` has a size above 0.
#[inline]
pub(crate) unsafe fn alloc<V: Hosted>(layout: Layout) -> *mut u8 {
    let Some(class) = V::class_of(layout) else {
        // SAFETY: the caller's condition.
        return unsafe { system::alloc(V::BY_ADDRESS, layout) };
    };
    let heap = V::local();
    match heap.list(class).pop() {
        Some(block) => block.as_ptr().cast(),
        // SAFETY: the caller's condition.
        None => unsafe { refill_cold::<V>(heap, class, layout) },
    }
}

/// A block for `layout` that is all zero, or null when memory is exhausted.
///
/// # Safety
/// `layout` has a size above 0.
#[inline]
pub(crate) unsafe fn alloc_zeroed<V: Hosted>(layout: Layout) -> *mut u8 {
    if V::class_of(layout).is_none() {
        // SAFETY: the caller's condition.
        return unsafe { system::alloc_zeroed(V::BY_ADDRESS, layout) };
    }
    // SAFETY: the caller's condition.
    let block = unsafe { alloc::<V>(layout) };
    if !block.is_null() {
        // A slab's blocks are carved, and recycled: never known to be zero.
        // SAFETY: the block has `layout.size()` bytes, which are the caller's of `alloc`: us.
        unsafe { block.write_bytes(0, layout.size()) };
    }
    block
}
