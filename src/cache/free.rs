//! Freeing: class → the thread's list → push.
//!
//! The layout says the class. With `free_by = "lookup"` the address is looked up besides, as who has no layout must: what
//! lies in no SuperSlab is misuse. `free_by = "layout"` takes the layout's word for it.

use super::drain::overflow_cold;
use super::large::large_free;
use super::{Cached, step};
use crate::list::Block;
use crate::sys::fatal::fatal;
use crate::variant::FreeBy;
use core::alloc::Layout;
use core::ptr::NonNull;

/// Gives a block back.
///
/// # Safety
/// `block` is live, and this variant allocated it with `layout`.
#[inline]
pub(crate) unsafe fn free<V: Cached>(block: *mut u8, layout: Layout) {
    let Some(class) = V::class_of(layout) else {
        // SAFETY: the caller's condition.
        return unsafe { large_free::<V>(block, layout) };
    };
    let cache = V::cache();
    if V::FREE_BY == FreeBy::Lookup && !cache.finds::<V>(block.addr()) {
        fatal("free of what is no block:", block.addr());
    }
    super::audit::freed::<V>(cache, class, block.addr());
    // SAFETY: a live block is not null.
    let block = unsafe { NonNull::new_unchecked(block.cast::<Block>()) };
    // SAFETY: the block is free now, of this class, and the caller, which gave it up, was the only one to
    // have it.
    if !unsafe { cache.list(class).push(block, step::<V>(class), V::KEEPS) } {
        // SAFETY: as above; it was not pushed.
        unsafe { overflow_cold::<V>(block, class) };
    }
}
