//! The system's malloc as a backend. In the C face it is the next allocator.

use crate::backend::{Addressed, Backend, Managed, System};
use crate::sys::{rtld_next, system};
use crate::variant::Variant;
use core::alloc::Layout;

impl<V: Variant> Managed for System<V> {
    const CLASSES: usize = 0;
    const KEEPS_MEMORY: bool = false;
}

impl<V: Variant> Backend for System<V> {
    #[inline(always)]
    unsafe fn alloc(layout: Layout) -> *mut u8 {
        // SAFETY: the caller's condition.
        unsafe { system::alloc(V::BY_ADDRESS, layout) }
    }

    #[inline(always)]
    unsafe fn alloc_zeroed(layout: Layout) -> *mut u8 {
        // SAFETY: the caller's condition.
        unsafe { system::alloc_zeroed(V::BY_ADDRESS, layout) }
    }

    #[inline(always)]
    unsafe fn free(block: *mut u8, layout: Layout) {
        // SAFETY: the caller's conditions.
        unsafe { system::free(V::BY_ADDRESS, block, layout) }
    }

    #[inline(always)]
    unsafe fn realloc(block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's conditions.
        unsafe { system::realloc(V::BY_ADDRESS, block, layout, new_size) }
    }
}

impl<V: Variant> Addressed for System<V> {
    fn aligned(size: usize, align: usize) -> *mut u8 {
        rtld_next::alloc(size, align)
    }

    fn zeroed(size: usize) -> *mut u8 {
        rtld_next::zeroed(size, 16)
    }

    #[inline(always)]
    unsafe fn free_at(block: *mut u8) {
        // SAFETY: this backend has no blocks, so it is the next allocator's; the rest is the caller's condition.
        unsafe { rtld_next::free(block) }
    }
}
