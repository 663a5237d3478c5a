//! Allocation: the hot path is class → heap → pop.

use super::refill::refill_cold;
use crate::base::ClassIdx;
use crate::report::Statics;
use crate::sys::{rtld_next, system};
use core::alloc::Layout;

/// A block for `layout`, or null when memory is exhausted.
///
/// # Safety
/// `layout` has a size above 0.
#[inline]
pub(crate) unsafe fn alloc<V: Statics>(layout: Layout) -> *mut u8 {
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

/// A block for `layout` that is all zero, or null when memory is exhausted. In the C face it is zero up to its usable
/// size.
///
/// # Safety
/// `layout` has a size above 0.
#[inline]
pub(crate) unsafe fn alloc_zeroed<V: Statics>(layout: Layout) -> *mut u8 {
    let Some(class) = V::class_of(layout) else {
        // SAFETY: the caller's condition.
        return unsafe { system::alloc_zeroed(V::BY_ADDRESS, layout) };
    };
    // SAFETY: the caller's condition.
    let block = unsafe { alloc::<V>(layout) };
    if !block.is_null() {
        let bytes = if V::BY_ADDRESS {
            // SAFETY: allocated above, for a layout of the class.
            unsafe { usable::<V>(block, class) }
        } else {
            layout.size()
        };
        // Blocks of a slab are reused, so none is known to be zero.
        // SAFETY: the block has that many bytes, and `alloc` gave them to this function alone.
        unsafe { block.write_bytes(0, bytes) };
    }
    block
}

/// Bytes that a block has room for: its class's block size, or the next allocator's usable size.
///
/// # Safety
/// [`alloc`] returned the block for a layout of the class, and the variant has the C face.
unsafe fn usable<V: Statics>(block: *mut u8, class: ClassIdx) -> usize {
    match V::local().lookup::<V>(block.addr()) {
        Some(_) => V::CLASSES.block_bytes(class),
        // SAFETY: a live block, in no SuperSlab, and so the next allocator's.
        None => unsafe { rtld_next::usable_size(block) },
    }
}
