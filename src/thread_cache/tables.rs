//! What leads a thread to its lists from an address, or from a size: part of the thread's cache in the C face.
//!
//! ```text
//! thread slot ──▶ ┌─────────────┬───────────────┬─────────────┬──────────────────────┐
//!                 │ leaves      │ small: places │ closed      │ lists, limits, …     │
//!                 └─────────────┴───────────────┴─────────────┴──────────────────────┘
//!                   of the map    by size         place 0, …    the classes' places
//! ```
//!
//! One register leads to all of it. What is no block of a class has a place too, whose list is closed: it goes the slow
//! way without being asked about.

use super::ThreadCache;
use crate::list::{EXCESS_OFFSET, FreeList};
use crate::page_map::{CLASSLESS, Kind, Leaves};
use crate::sys::asm::byte_at;
use crate::sys::atomic::{AtomicU8, Ordering};
use crate::variant::Variant;
use core::mem::offset_of;
use core::ptr;

/// Sizes that a thread has the places for: all below. 1024 is among them, and what follows is aligned.
pub(crate) const SMALL: usize = 1104;

/// What a face adds to a thread's cache.
pub(crate) trait Tables: Sync + 'static {
    /// Makes every size lead to its list, or none.
    fn set_quick<V: Variant>(&self, quick: bool);
}

impl Tables for () {
    fn set_quick<V: Variant>(&self, _quick: bool) {}
}

/// The C face's.
#[repr(C, align(64))]
pub(crate) struct AddressTables {
    pub(super) leaves: Leaves,
    /// Changed by other threads, too. [shared]
    small: [AtomicU8; SMALL],
    /// The lists of kinds without a class.
    closed: [FreeList; CLASSLESS],
}

// SAFETY: only their thread writes to `leaves`. `small` is atomic, and `closed` are closed lists: who counts there does so
// atomically (W3).
unsafe impl Sync for AddressTables {}

type Cache = ThreadCache<AddressTables>;

/// Bytes from a cache to the list at place 0.
const LISTS: usize = offset_of!(AddressTables, closed);
const _: () = assert!(offset_of!(Cache, tables) == 0);
const _: () = assert!(LISTS + size_of::<[FreeList; CLASSLESS]>() == offset_of!(Cache, lists));
/// Bytes from a cache to the first of its places by size.
const SMALL_OFFSET: usize = offset_of!(AddressTables, small);
/// Bytes from a cache to the count of the list at place 0.
pub(super) const COUNTS: usize = LISTS + EXCESS_OFFSET;

impl AddressTables {
    /// The tables that a thread of a variant starts out with.
    pub(crate) const fn new<V: Variant>() -> Self {
        let mut small = [const { AtomicU8::new(0) }; SMALL];
        let mut size = 0;
        while size < SMALL {
            small[size] = AtomicU8::new(place_for::<V>(size));
            size += 1;
        }
        let closed = [const { FreeList::closed() }; CLASSLESS];
        Self { leaves: Leaves::new(), small, closed }
    }
}

impl Tables for AddressTables {
    fn set_quick<V: Variant>(&self, quick: bool) {
        for (size, place) in self.small.iter().enumerate() {
            let to = if quick { place_for::<V>(size) } else { Kind::Foreign.place() };
            // ORDERING: relaxed; a thread that does not see it yet is served once more as ever.
            place.store(to, Ordering::Relaxed);
        }
    }
}

impl Cache {
    /// The place of the list for a size; `None` where it is not small.
    #[inline(always)]
    pub(super) fn place_for(&self, size: usize) -> Option<usize> {
        if size >= SMALL {
            return None;
        }
        // SAFETY: one of the bytes of `small`, which are written atomically.
        Some(unsafe { byte_at::<SMALL_OFFSET>(ptr::from_ref(self).cast(), size) })
    }

    /// The list at a place.
    ///
    /// # Safety
    /// The place is one that the page map has.
    #[inline(always)]
    pub(super) unsafe fn list_at(&self, place: usize) -> &FreeList {
        let lists = ptr::from_ref(self).cast::<u8>().wrapping_add(LISTS);
        // SAFETY: the closed lists and the cache's lie one after the other in this cache, 16 bytes each, and the place is one
        // of theirs, by the caller's condition.
        unsafe { &*lists.wrapping_add(place * 8).cast::<FreeList>() }
    }
}

/// The place of the list for a size; that of what is foreign where there is none. 16 bytes at least: as C aligns.
const fn place_for<V: Variant>(size: usize) -> u8 {
    match V::CLASSES.class_of(if size < 16 { 16 } else { size }) {
        Some(class) => Kind::Class(class).place(),
        None => Kind::Foreign.place(),
    }
}

const _: () = assert!(size_of::<FreeList>() == 16, "a place is two of 8 bytes");
