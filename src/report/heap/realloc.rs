//! Changing a block's size.

use super::alloc::alloc;
use super::check;
use super::free::free;
use crate::report::Statics;
use crate::sys::system;
use core::alloc::Layout;

/// Changes a block's size, in place within its class. Null, and the old block intact, when memory is exhausted.
///
/// # Safety
/// `block` is live, and this variant allocated it with `layout`; `new_size` is above 0 and fits a
/// layout of the same alignment.
#[inline(never)]
pub(crate) unsafe fn realloc<V: Statics>(
    block: *mut u8,
    layout: Layout,
    new_size: usize,
) -> *mut u8 {
    // SAFETY: the caller's condition on `new_size` is that of an unchecked layout.
    let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
    let (old_class, new_class) = (V::class_of(layout), V::class_of(new_layout));
    let heap = V::local();
    let ours = old_class.and_then(|class| {
        let address = block.addr();
        let superslab = heap.lookup::<V>(address)?;
        check::freed::<V>(heap, superslab.slab_at::<V>(address), class, address);
        Some(class)
    });
    if ours.is_some() && ours == new_class {
        return block;
    }
    // A block of the system's malloc stays there unless it shrinks into the classes: below them, a
    // slab holds it in less memory.
    if ours.is_none() && (old_class.is_some() || new_class.is_none()) {
        // SAFETY: not in a SuperSlab, so it is the system's; the rest is the caller's word.
        return unsafe { system::realloc(V::BY_ADDRESS, block, layout, new_size) };
    }
    // SAFETY: `new_size` is above 0.
    let new = unsafe { alloc::<V>(new_layout) };
    if new.is_null() && ours.is_none() {
        // The system may be able to shrink the block in place.
        // SAFETY: not in a SuperSlab, so it is the system's; the rest is the caller's condition.
        return unsafe { system::realloc(V::BY_ADDRESS, block, layout, new_size) };
    }
    if !new.is_null() {
        // SAFETY: both blocks hold the smaller size, and a new block overlaps no live one.
        unsafe { new.copy_from_nonoverlapping(block, layout.size().min(new_size)) };
        // SAFETY: the caller gave the block up, and its content has been copied.
        unsafe { free::<V>(block, layout) };
    }
    new
}
