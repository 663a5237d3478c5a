//! Changing a block's size: in place if possible, by remapping for a huge block, and otherwise by a copy.

use crate::alloc::{
    Found, find, free_found, free_small, huge_layout, layout_of, pop_or_refill, span_layout,
};
use crate::backend::{Addressed, Backend, Central};
use crate::base::ListOffset;
use crate::central::{self, Moved, huge_resize};
use crate::large::{grown_slices, is_huge, place, slices_of, span_slices, tick};
use crate::sys::fatal::fatal;
use crate::sys::system;
use crate::thread_cache::Cached;
use crate::thread_cache::lend::keeps;
use crate::thread_cache::tables::Tabled;
use crate::variant::{Growth, Large};
use crate::{check, guarded};
use core::alloc::Layout;
use core::ptr::{self, NonNull};

/// Changes a block's size. Null, and the old block intact, when memory is exhausted.
///
/// # Safety
/// `block` is live, and this variant allocated it with `layout`; `new_size` is above 0 and fits a
/// layout of the same alignment.
#[inline]
pub(crate) unsafe fn realloc<V: Cached>(
    block: *mut u8,
    layout: Layout,
    new_size: usize,
) -> *mut u8 {
    let (size, align) = (layout.size(), layout.align());
    if V::HAS_TAILS {
        // SAFETY: a live block is not null.
        let start = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: the caller's conditions.
        if let Some(moved) = unsafe { guarded::realloc::<V>(start, Some(layout), new_size) } {
            return moved;
        }
        // SAFETY: the caller's conditions; the block has no tail.
        return unsafe { realloc_untailed::<V>(block, layout, new_size) };
    }
    // SAFETY: the caller's condition on `new_size` is that of an unchecked layout.
    let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, align) };
    let (Some(old), Some(new)) = (V::list_of(layout), V::list_of(new_layout)) else {
        // SAFETY: the caller's conditions; one of the layouts is above the classes.
        return unsafe { realloc_large::<V>(block, size, align, new_size) };
    };
    check::freed::<V>(V::cache(), old.class(), block.addr());
    if old == new {
        return block;
    }
    // SAFETY: the caller's conditions; the lists are those of the layouts.
    unsafe { change_class::<V>(block, size.min(new_size), old, new) }
}

/// Changes the size of a huge block, in a variant whose smaller blocks have tails.
///
/// # Safety
/// The conditions of [`realloc`].
#[cold]
#[inline(never)]
unsafe fn realloc_untailed<V: Cached>(block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
    if guarded::has_tail::<V>(layout) {
        fatal("no block of this allocator:", block.addr());
    }
    let (old, align) = (guarded::untailed::<V>(layout), layout.align());
    let new = Layout::from_size_align(new_size, align);
    let stays_huge = new.as_ref().is_ok_and(|new| !guarded::has_tail::<V>(*new));
    let size = match new {
        Ok(new) if stays_huge => guarded::untailed::<V>(new).size(),
        _ => new_size,
    };
    // SAFETY: the caller's conditions. The block has the pages of `old`, and `size` fits a layout like `new_size`: it is
    // not above that, or not above the least of a huge block.
    unsafe { realloc_large::<V>(block, old.size(), align, size) }
}

/// Moves a block of a class to another class. Null, and the old block intact, when memory is exhausted.
///
/// # Safety
/// `block` is live, and this variant allocated it with a layout that `old` serves. Blocks of both lists have `bytes`.
#[inline(never)]
unsafe fn change_class<V: Cached>(
    block: *mut u8,
    bytes: usize,
    old: ListOffset,
    new: ListOffset,
) -> *mut u8 {
    let moved = pop_or_refill::<V>(new);
    if moved.is_null() {
        return moved;
    }
    // SAFETY: both blocks have that many bytes, and a new block overlaps no live one.
    unsafe { moved.copy_from_nonoverlapping(block, bytes) };
    // SAFETY: the caller gave the block up, and its content has been copied.
    unsafe { free_small::<V>(block, old) };
    moved
}

/// Changes a block's size, if the old layout or the new one is above the classes.
///
/// The arguments come apart, in the order of `GlobalAlloc`'s callers. So a block that stays in its class moves no
/// register for this call.
///
/// # Safety
/// The conditions of [`realloc`].
#[inline(never)]
unsafe fn realloc_large<V: Cached>(
    block: *mut u8,
    size: usize,
    align: usize,
    new_size: usize,
) -> *mut u8 {
    // SAFETY: the caller's condition.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    // SAFETY: the caller's condition on `new_size` is that of an unchecked layout.
    let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, align) };
    let (old_class, new_class) = (V::class_of(layout), V::class_of(new_layout));
    if let Some(class) = old_class {
        check::freed::<V>(V::cache(), class, block.addr());
    }
    let ours = old_class.is_some() || V::LARGE != Large::System;
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
    unsafe { copy::<V>(block, layout, new_layout) }
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
    if V::page_heap().sampled.has(start.addr().get()) {
        return None;
    }
    let slices = slices_of::<V>(start.as_ptr(), layout);
    let new_slices = if slices.is_some() { grown_slices::<V>(new) } else { span_slices::<V>(new) };
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
/// The conditions of [`realloc`].
unsafe fn copy<V: Cached>(block: *mut u8, layout: Layout, new: Layout) -> *mut u8 {
    let grows = new.size() > layout.size() && V::class_of(new).is_none();
    let moved = if V::GROWTH == Growth::Roomy && grows {
        place::<V>(new, Growth::Roomy)
    } else {
        // SAFETY: the new size is above 0.
        unsafe { Central::<V>::alloc(new) }
    };
    if moved.is_null() {
        // The system could shrink a block of its own. But a free with the new layout looks for a block of a class.
        return ptr::null_mut();
    }
    // SAFETY: both blocks hold the smaller size, and a new block overlaps no live one.
    unsafe { moved.copy_from_nonoverlapping(block, layout.size().min(new.size())) };
    // SAFETY: the caller gave the block up, and its content has been copied.
    unsafe { Central::<V>::free(block, layout) };
    moved
}

/// Changes a block's size. Null, and the old block intact, when memory is exhausted. `None` for a block of another
/// allocator.
///
/// # Safety
/// This variant or another allocator handed `block` out, and the caller owns it; `new` is above 0.
pub(crate) unsafe fn realloc_at<V: Tabled>(block: *mut u8, new: usize) -> Option<*mut u8> {
    if V::HAS_TAILS
        && let Some(start) = NonNull::new(block)
        // SAFETY: the caller's conditions.
        && let Some(moved) = unsafe { guarded::realloc::<V>(start, None, new) }
    {
        return Some(moved);
    }
    let mut old_class = None;
    let old = match find::<V>(block.addr()) {
        Found::Foreign => return None,
        Found::Empty => {
            let moved = Central::<V>::malloc(new);
            if !moved.is_null() {
                central::empty::free::<V>(block.addr());
            }
            return Some(moved);
        }
        Found::Block(class) => {
            check::sealed::<V>(block, "use of a freed block:");
            old_class = Some(class);
            layout_of::<V>(class)
        }
        Found::Span(slices) => span_layout(slices),
        Found::Huge(bytes) => {
            // SAFETY: the caller's condition.
            return Some(unsafe { realloc_huge::<V>(block, bytes, new) });
        }
        Found::Sampled(bytes, _) => {
            // SAFETY: the caller's condition; the block has that many bytes.
            return Some(unsafe { move_by_copy::<V>(block, bytes, new) });
        }
    };
    let Ok(wanted) = Layout::from_size_align(new, 16) else { return Some(ptr::null_mut()) };
    let in_place = V::class_of(wanted)
        .zip(old_class)
        .is_some_and(|(class, old_class)| class == old_class || keeps::<V>(class, old_class));
    if in_place {
        return Some(block);
    }
    // At least 16 bytes, so that the new block is aligned to 16.
    // SAFETY: the block is live, and the variant serves it with the layout that was found. The new size is above 0, and
    // `from_size_align` above accepted it with an alignment of 16, so it fits a layout of a smaller alignment.
    Some(unsafe { realloc::<V>(block, old, new.max(16)) })
}

/// Changes the size of a huge block with a mapping of `bytes`. Null, and the old block intact, when memory is
/// exhausted.
///
/// # Safety
/// The conditions of [`realloc_at`].
unsafe fn realloc_huge<V: Tabled>(block: *mut u8, bytes: usize, new: usize) -> *mut u8 {
    let layout = huge_layout(bytes);
    tick::<V>(true);
    if is_huge::<V>(new)
        && let Some(start) = NonNull::new(block)
        // SAFETY: the caller's condition; the mapping has that layout.
        && let Moved::To(start) = unsafe { huge_resize::<V>(start, layout, new) }
    {
        return start.as_ptr();
    }
    // SAFETY: the caller's condition; the block has that many bytes.
    unsafe { move_by_copy::<V>(block, bytes, new) }
}

/// Moves a block of `bytes` to a new block. Null, and the old block intact, when memory is exhausted.
///
/// # Safety
/// The conditions of [`realloc_at`].
unsafe fn move_by_copy<V: Tabled>(block: *mut u8, bytes: usize, new: usize) -> *mut u8 {
    let moved = Central::<V>::malloc(new);
    if !moved.is_null() {
        // SAFETY: both blocks hold the smaller size, and a new block overlaps no live one.
        unsafe { moved.copy_from_nonoverlapping(block, bytes.min(new)) };
        // SAFETY: the caller gave the block up, and its content has been copied.
        unsafe { free_found::<V>(block) };
    }
    moved
}
