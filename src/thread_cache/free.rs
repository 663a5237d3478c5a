//! Freeing with a layout: size class → the thread's list → push.
//!
//! ```text
//! free.rs             free             size class → list of this thread → push         hot: mostly ends here
//! ├ drain.rs          overflow_cold    the list is at its limit, or closed             cold from here on
//! │ ├ drain.rs        overflow         moves a batch from the list to the central list
//! │ │ ├ outbox.rs     put              collects blocks of many slabs without touching them
//! │ │ ├ central       give             to the transfer cache, or home to the slabs
//! │ │ ├ drain.rs      drain_idle       drains one list that has been idle
//! │ │ └ shut.rs       maintain         looks at the clock: a purge may be due
//! │ ├ drain.rs        put_aside        frees to a list that is shut
//! │ ├ exit.rs         open             the thread's first operation: it gets a cache
//! │ └ central         give             one block, for a thread without a cache
//! └ large.rs          large_free       sizes above the classes
//!   ├ central         give_span        slices go back to the page heap
//!   └ central         huge_free        the pages go to the map cache, or to the kernel
//! ```
//!
//! | `free_by` | the source of the size class |
//! |---|---|
//! | `lookup` | the page map; a small layout at an address without a class is misuse, and ends the process |
//! | `layout` | the layout |

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
    // SAFETY: a block of this class starts there. It is free now: the caller was its only owner, and gave it up (FB1).
    let block = unsafe { FreeBlock::new(start) };
    if let Err(block) = V::cache().list(class).push(block, V::SHARED) {
        overflow_cold::<V>(block, class);
    }
}

/// Gives back a block for which no class was found.
///
/// # Safety
/// The conditions of [`free`].
#[inline]
unsafe fn free_classless<V: Cached>(block: *mut u8, layout: Layout) {
    if V::FREE_BY == FreeBy::Lookup && V::class_of(layout).is_some() {
        fatal("free of what is no block:", block.addr());
    }
    // SAFETY: the caller's condition.
    unsafe { large_free::<V>(block, layout) };
}
