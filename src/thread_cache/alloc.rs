//! Allocation by layout: size class → the thread's list → pop.
//!
//! ```text
//! alloc.rs            alloc            size class → list of this thread → pop          hot: mostly ends here
//! ├ refill.rs         refill_cold      the list is empty, closed or shut               cold from here on
//! │ ├ exit.rs         open             the thread's first operation: it gets a cache
//! │ ├ refill.rs       refill           moves a batch from the central list to the list
//! │ │ ├ shut.rs       maintain         looks at the clock: a purge may be due
//! │ │ ├ central       take             from the transfer cache, a slab, or a new slab of the page heap
//! │ │ └ drain.rs      drain_idle       drains one list that has been idle
//! │ ├ central         take_one         one block, for a thread without a cache
//! │ └ central         purge_all        memory is exhausted: frees what is unused, then tries again
//! └ large.rs          large            sizes above the classes
//!   ├ central         claim_span       up to 512 KiB: slices of the page heap
//!   └ central         huge_alloc       more: pages from the map cache, new or used before
//! ```

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
    // Only where tables lead to the lists are shut lists still open.
    if V::COUNTED && cache.is_shut() {
        return refill_cold::<V>(class);
    }
    let Some(block) = cache.list(class).pop() else {
        return refill_cold::<V>(class);
    };
    block.into_start().as_ptr()
}

/// A block for `layout` that is all zero, or null when memory is exhausted.
///
/// In the C face it is zero up to its [`usable_size`](super::usable_size).
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
        // Blocks of a class are reused, so none is known to be zero.
        // SAFETY: the block has that many bytes, and `alloc` gave them to this function alone.
        unsafe { block.write_bytes(0, bytes) };
    }
    block
}
