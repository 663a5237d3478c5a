//! Allocation: class → the thread's list → pop.

use super::Cached;
use super::large::{large, large_zeroed};
use super::refill::refill_cold;
use crate::base::ClassIdx;
use crate::sys::next;
use core::alloc::Layout;

/// A block for `layout`, or null when memory is exhausted.
///
/// # Safety
/// `layout` has a size above 0.
#[inline]
pub(crate) unsafe fn alloc<V: Cached>(layout: Layout) -> *mut u8 {
    let Some(class) = V::class_of(layout) else {
        // SAFETY: the caller's condition.
        return unsafe { large::<V>(layout) };
    };
    let cache = V::cache();
    // Others' lists are closed while they are shut.
    if V::COUNTED && cache.is_shut() {
        // SAFETY: the caller's condition.
        return unsafe { refill_cold::<V>(class, layout) };
    }
    let Some(block) = cache.list(class).pop() else {
        // SAFETY: the caller's condition.
        return unsafe { refill_cold::<V>(class, layout) };
    };
    block.into_start().as_ptr()
}

/// A block for `layout` that is all zero, or null when memory is exhausted. Where blocks are known by their address
/// alone, zero to the end of what [`usable_size`](super::usable_size) says.
///
/// # Safety
/// `layout` has a size above 0.
#[inline]
pub(crate) unsafe fn alloc_zeroed<V: Cached>(layout: Layout) -> *mut u8 {
    let Some(class) = V::class_of(layout) else {
        // SAFETY: the caller's condition.
        return unsafe { large_zeroed::<V>(layout) };
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
        // A class's blocks are recycled: never known to be zero.
        // SAFETY: the block has that many bytes, which are the caller's of `alloc`: us.
        unsafe { block.write_bytes(0, bytes) };
    }
    block
}

/// Bytes that a block has room for: a class's, or what the next allocator has instead.
///
/// # Safety
/// The block is one that [`alloc`] has, of a variant whose blocks are known by their address, for a layout of the
/// class.
#[inline]
unsafe fn usable<V: Cached>(block: *mut u8, class: ClassIdx) -> usize {
    // Only a cap on SuperSlabs leaves a class to the next allocator.
    if V::SOFT_CAP.is_some() && !V::cache().finds::<V>(block.addr()) {
        // SAFETY: a live block, in no SuperSlab, and so the next allocator's.
        return unsafe { next::usable_size(block) };
    }
    V::CLASSES.block_bytes(class)
}
