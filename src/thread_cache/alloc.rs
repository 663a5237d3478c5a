//! Allocation: class → the thread's list → pop.

use super::Cached;
use super::large::{large, large_zeroed};
use super::refill::refill_cold;
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
        return refill_cold::<V>(class);
    }
    let Some(block) = cache.list(class).pop() else {
        return refill_cold::<V>(class);
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
        let bytes = if V::BY_ADDRESS { V::CLASSES.block_bytes(class) } else { layout.size() };
        // A class's blocks are recycled: never known to be zero.
        // SAFETY: the block has that many bytes, which are the caller's of `alloc`: us.
        unsafe { block.write_bytes(0, bytes) };
    }
    block
}
