//! Which backend serves a variant: a constant, so this is no code.

use crate::cache::{self, Cached};
use crate::report::heap::{self, Hosted};
use crate::sys::system;
use crate::variant::Backend;
use core::alloc::Layout;

/// A variant with whatever any backend needs.
pub(crate) trait Served: Hosted + Cached {}
impl<V: Hosted + Cached> Served for V {}

/// A block for `layout`, or null when memory is exhausted.
///
/// # Safety
/// `layout` has a size above 0.
#[inline]
pub(super) unsafe fn alloc<V: Served>(layout: Layout) -> *mut u8 {
    match V::BACKEND {
        // SAFETY: the caller's condition, here and below.
        Backend::System => unsafe { system::alloc(V::BY_ADDRESS, layout) },
        // SAFETY: as above.
        Backend::SuperSlab => unsafe { heap::alloc::<V>(layout) },
        // SAFETY: as above.
        Backend::Central => unsafe { cache::alloc::<V>(layout) },
    }
}

/// A block for `layout` that is all zero, or null when memory is exhausted.
///
/// # Safety
/// `layout` has a size above 0.
#[inline]
pub(super) unsafe fn alloc_zeroed<V: Served>(layout: Layout) -> *mut u8 {
    match V::BACKEND {
        // SAFETY: the caller's condition, here and below.
        Backend::System => unsafe { system::alloc_zeroed(V::BY_ADDRESS, layout) },
        // SAFETY: as above.
        Backend::SuperSlab => unsafe { heap::alloc_zeroed::<V>(layout) },
        // SAFETY: as above.
        Backend::Central => unsafe { cache::alloc_zeroed::<V>(layout) },
    }
}

/// Gives a block back.
///
/// # Safety
/// `block` is live, and this variant allocated it with `layout`.
#[inline]
pub(super) unsafe fn free<V: Served>(block: *mut u8, layout: Layout) {
    match V::BACKEND {
        // SAFETY: the caller's condition, here and below.
        Backend::System => unsafe { system::free(V::BY_ADDRESS, block, layout) },
        // SAFETY: as above.
        Backend::SuperSlab => unsafe { heap::free::<V>(block, layout) },
        // SAFETY: as above.
        Backend::Central => unsafe { cache::free::<V>(block, layout) },
    }
}

/// Moves a block to a size; null, and the old block intact, when memory is exhausted.
///
/// # Safety
/// `block` is live, and this variant allocated it with `layout`; `new_size` is above 0 and fits a
/// layout of the same alignment.
#[inline]
pub(super) unsafe fn realloc<V: Served>(
    block: *mut u8,
    layout: Layout,
    new_size: usize,
) -> *mut u8 {
    match V::BACKEND {
        // SAFETY: the caller's condition, here and below.
        Backend::System => unsafe { system::realloc(V::BY_ADDRESS, block, layout, new_size) },
        // SAFETY: as above.
        Backend::SuperSlab => unsafe { heap::realloc::<V>(block, layout, new_size) },
        // SAFETY: as above.
        Backend::Central => unsafe { cache::realloc::<V>(block, layout, new_size) },
    }
}
