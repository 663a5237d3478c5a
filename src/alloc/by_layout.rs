//! The cold part of `GlobalAlloc`'s frees: blocks for which a lookup found no class, and those without a tail.

use crate::central::Shared;
use crate::guarded;
use crate::large::large_free;
use crate::page_map::Kind;
use crate::sys::fatal::fatal;
use crate::thread_cache::Cached;
use crate::variant::{FreeBy, Large};
use core::alloc::Layout;

/// Gives back a block without a tail, in a variant whose other blocks have one.
///
/// # Safety
/// `block` is live, and this variant allocated it with `layout`.
#[cold]
#[inline(never)]
pub(super) unsafe fn free_untailed<V: Cached>(block: *mut u8, layout: Layout) {
    let is_huge = V::LARGE != Large::Fenced || V::page_map().has(block.addr(), Kind::Huge);
    if !is_huge || guarded::has_tail::<V>(layout) {
        fatal("free of what is no block:", block.addr());
    }
    let layout = guarded::untailed::<V>(layout);
    // SAFETY: the caller's condition; `guarded::alloc` had the block with that layout.
    unsafe { large_free::<V>(block, layout.size(), layout.align()) };
}

/// Gives a sampled block back, after a lookup that found no block of a class. Any other address ends the process.
#[cold]
#[inline(never)]
pub(super) fn free_sampled<V: Shared>(block: *mut u8) {
    if !V::page_heap().sampled.has(block.addr()) {
        fatal("free of what is no block:", block.addr());
    }
    V::page_heap().sampled.free(block.addr());
}

/// Gives back a block for which no class was found.
///
/// # Safety
/// The conditions of [`free`](crate::backend::Backend::free).
#[inline]
pub(super) unsafe fn free_classless<V: Cached>(block: *mut u8, layout: Layout) {
    if V::FREE_BY == FreeBy::Lookup && V::class_of(layout).is_some() {
        return free_sampled::<V>(block);
    }
    // SAFETY: the caller's condition.
    unsafe { large_free::<V>(block, layout.size(), layout.align()) };
}
