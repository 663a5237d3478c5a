//! Freeing: class → the thread's list → push.
//!
//! | `free_by` | the class |
//! |---|---|
//! | `lookup` | the page map says it, as it does to who has no layout; where it says none, a block of a class is misuse |
//! | `layout` | the layout says it |

use super::drain::overflow_cold;
use super::large::large_free;
use super::{Cached, audit, lookup};
use crate::base::ClassIdx;
use crate::list::FreeBlock;
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
    let class = match V::FREE_BY {
        FreeBy::Lookup => lookup::<V>().class(block.addr()),
        FreeBy::Layout => V::class_of(layout),
    };
    let Some(class) = class else {
        // SAFETY: the caller's condition.
        return unsafe { free_classless::<V>(block, layout) };
    };
    if cfg!(debug_assertions) {
        audit::freed::<V>(V::cache(), V::class_of(layout).unwrap_or(class), block.addr());
    }
    // SAFETY: the caller's condition; the class is the block's.
    unsafe { free_of_class::<V>(block, class) };
}

/// Gives a block of a class back.
///
/// # Safety
/// `block` is a live block of this class.
#[inline(always)]
pub(super) unsafe fn free_of_class<V: Cached>(block: *mut u8, class: ClassIdx) {
    // SAFETY: a live block is not null.
    let start = unsafe { NonNull::new_unchecked(block) };
    // SAFETY: the block is free now, of this class, and the caller, which gave it up, was the only one to have it (FB1).
    let block = unsafe { FreeBlock::new(start) };
    if let Err(block) = V::cache().list(class).push(block, V::SHARED) {
        overflow_cold::<V>(block, class);
    }
}

/// Gives back what is of no class, as far as is known.
///
/// # Safety
/// As for [`free`].
#[inline]
unsafe fn free_classless<V: Cached>(block: *mut u8, layout: Layout) {
    if V::FREE_BY == FreeBy::Lookup && V::class_of(layout).is_some() {
        fatal("free of what is no block:", block.addr());
    }
    // SAFETY: the caller's condition.
    unsafe { large_free::<V>(block, layout) };
}
