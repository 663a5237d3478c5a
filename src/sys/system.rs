//! The system's malloc: it serves fallbacks, and sizes above the classes of some variants.
//!
//! Without `next` it is the standard library's binding, which keeps every alignment. With `next` it is the next
//! allocator, for builds that define the C names themselves.

use super::rtld_next as behind;
use core::alloc::{GlobalAlloc, Layout};
use std::alloc::System;

/// A block from the system's malloc, or null.
///
/// # Safety
/// `layout` has a size above 0.
pub(crate) unsafe fn alloc(next: bool, layout: Layout) -> *mut u8 {
    if next {
        return behind::alloc(layout.size(), layout.align());
    }
    // SAFETY: the caller's condition is `GlobalAlloc::alloc`'s.
    unsafe { System.alloc(layout) }
}

/// A zeroed block from the system's malloc, or null.
///
/// # Safety
/// `layout` has a size above 0.
pub(crate) unsafe fn alloc_zeroed(next: bool, layout: Layout) -> *mut u8 {
    if next {
        return behind::zeroed(layout.size(), layout.align());
    }
    // SAFETY: the caller's condition is `GlobalAlloc::alloc_zeroed`'s.
    unsafe { System.alloc_zeroed(layout) }
}

/// Gives a block back to the system's malloc.
///
/// # Safety
/// `block` is live, and came from this module with `next` and `layout`.
pub(crate) unsafe fn free(next: bool, block: *mut u8, layout: Layout) {
    if next {
        // SAFETY: the caller's condition.
        return unsafe { behind::free(block) };
    }
    // SAFETY: the caller's conditions are `GlobalAlloc::dealloc`'s.
    unsafe { System.dealloc(block, layout) }
}

/// Changes a block's size. Null, and the old block intact, if that fails.
///
/// # Safety
/// `block` is live, and came from this module with `next` and `layout`; `new_size` is above 0 and fits a
/// layout of the same alignment, which with `next` is 16 at most.
pub(crate) unsafe fn realloc(
    next: bool,
    block: *mut u8,
    layout: Layout,
    new_size: usize,
) -> *mut u8 {
    if next {
        // SAFETY: the caller's condition.
        return unsafe { behind::realloc(block, new_size) };
    }
    // SAFETY: the caller's conditions are `GlobalAlloc::realloc`'s.
    unsafe { System.realloc(block, layout, new_size) }
}
