//! Changing a block's size: in place if possible, by remapping for a huge block, and otherwise by a copy.

use super::alloc::alloc;
use super::free::free;
use super::large::{grown_slices, place, slices_of, span_slices, tick};
use super::{Cached, audit};
use crate::central::{Moved, huge_resize};
use crate::sys::system;
use crate::variant::{Growth, Large};
use core::alloc::Layout;
use core::ptr::{self, NonNull};

/// Changes a block's size. Null, and the old block intact, when memory is exhausted.
///
/// # Safety
/// `block` is live, and this variant allocated it with `layout`; `new_size` is above 0 and fits a
/// layout of the same alignment.
#[inline(never)]
pub(crate) unsafe fn realloc<V: Cached>(
    block: *mut u8,
    layout: Layout,
    new_size: usize,
) -> *mut u8 {
    // SAFETY: the caller's condition on `new_size` is that of an unchecked layout.
    let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
    let (old_class, new_class) = (V::class_of(layout), V::class_of(new_layout));
    if let Some(class) = old_class {
        audit::freed::<V>(V::cache(), class, block.addr());
        if old_class == new_class {
            return block;
        }
    }
    let ours = old_class.is_some() || V::LARGE == Large::Own;
    if !ours && new_class.is_none() {
        // SAFETY: here the system's malloc serves every block above the classes; the rest is the caller's condition.
        return unsafe { system::realloc(V::BY_ADDRESS, block, layout, new_size) };
    }
    if old_class.is_none() && new_class.is_none() {
        // SAFETY: a live block is not null.
        let start = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: the caller's conditions; both layouts are above the classes.
        if let Some(moved) = unsafe { resize::<V>(start, layout, new_layout) } {
            return moved.as_ptr();
        }
    }
    // SAFETY: the caller's conditions.
    unsafe { copy::<V>(block, layout, new_layout, ours) }
}

/// Resizes a large block without a copy; `None` if that is impossible.
///
/// # Safety
/// The block is live, and this variant allocated it with `layout`.
unsafe fn resize<V: Cached>(
    start: NonNull<u8>,
    layout: Layout,
    new: Layout,
) -> Option<NonNull<u8>> {
    tick::<V>(true);
    let slices = slices_of::<V>(start.as_ptr(), layout);
    let new_slices = if slices.is_some() { grown_slices::<V>(new) } else { span_slices(new) };
    match (slices, new_slices) {
        (Some(old_slices), Some(new_slices)) if old_slices == new_slices => Some(start),
        (Some(old_slices), Some(new_slices)) => {
            // SAFETY: a live span, by the caller's condition.
            let resized = unsafe { V::page_heap().resize_span::<V>(start, old_slices, new_slices) };
            resized.then_some(start)
        }
        // SAFETY: the caller's condition.
        (None, None) => match unsafe { huge_resize::<V>(start, layout, new.size()) } {
            Moved::To(start) => Some(start),
            Moved::No => None,
        },
        _ => None,
    }
}

/// Allocates a new block, copies the content, and frees the old block.
///
/// # Safety
/// The conditions of [`realloc`]. `ours` is false exactly if the block is the system's.
unsafe fn copy<V: Cached>(block: *mut u8, layout: Layout, new: Layout, ours: bool) -> *mut u8 {
    let grows = new.size() > layout.size() && V::class_of(new).is_none();
    let moved = if V::GROWTH == Growth::Roomy && grows {
        place::<V>(new, Growth::Roomy)
    } else {
        // SAFETY: the new size is above 0.
        unsafe { alloc::<V>(new) }
    };
    if moved.is_null() {
        if !ours {
            // The system may be able to shrink the block in place.
            // SAFETY: the block is the system's.
            return unsafe { system::realloc(V::BY_ADDRESS, block, layout, new.size()) };
        }
        return ptr::null_mut();
    }
    // SAFETY: both blocks hold the smaller size, and a new block overlaps no live one.
    unsafe { moved.copy_from_nonoverlapping(block, layout.size().min(new.size())) };
    // SAFETY: the caller gave the block up, and its content has been copied.
    unsafe { free::<V>(block, layout) };
    moved
}
