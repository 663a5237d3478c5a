//! Freeing: class → the thread's list → push.
//!
//! The layout says the class. Where blocks of the system's malloc may come along, a lookup tells them apart;
//! `free_by = "layout"` goes without.

use super::Cached;
use super::drain::overflow_cold;
use super::large::large_free;
use crate::list::FreeBlock;
use crate::sys::system;
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
        // SAFETY: not in a SuperSlab (G2), so it came from the fallback, with this layout.
        return unsafe { system::free(V::BY_ADDRESS, block, layout) };
    }
    super::audit::freed::<V>(cache, class, block.addr());
    // SAFETY: a live block is not null.
    let start = unsafe { NonNull::new_unchecked(block) };
    // SAFETY: the block is free now, of this class, and the caller, which gave it up, was the only one to have it (FB1).
    let block = unsafe { FreeBlock::new(start) };
    if let Err(block) = cache.list(class).push(block, V::SHARED) {
        overflow_cold::<V>(block, class);
    }
}
