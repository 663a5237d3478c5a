//! The tables from an address or a size to a list. They are a part of the thread cache in the C face.
//!
//! ```text
//! thread slot ──▶ ┌─────────────┬───────────────┬─────────────┬──────────────────────┐
//!                 │ leaves      │ small: places │ closed      │ lists, limits, …     │
//!                 └─────────────┴───────────────┴─────────────┴──────────────────────┘
//!                   of the map    by size         place 0, …    the classes' places
//! ```
//!
//! One register leads to all of it. An address without a class has a place too, whose list is closed. So it takes the
//! slow path without a check of its own.

use super::{Cached, ThreadCache};
use crate::free_list::{EXCESS_OFFSET, FreeList};
use crate::page_map::{CLASSLESS, Kind, Leaves};
use crate::sys::asm::byte_at;
use crate::sys::atomic::{AtomicU8, Ordering};
use crate::variant::Variant;
use core::mem::offset_of;
use core::ptr;

/// The tables have the places of all sizes below this. It is above 1024, and keeps the fields behind `small` aligned.
pub(crate) const SMALL: usize = 1104;

/// The tables of a thread cache; `()` for a variant without the C face.
pub(crate) trait Tables: Sync + 'static {
    /// Makes every size lead to its list (`quick`), or to a closed list.
    fn set_quick<V: Variant>(&self, quick: bool);
}

impl Tables for () {
    fn set_quick<V: Variant>(&self, _quick: bool) {}
}

/// A variant whose threads have tables that lead from an address to a list.
pub(crate) trait Tabled: Cached<Tables = AddressTables> {}
impl<V: Cached<Tables = AddressTables>> Tabled for V {}

/// The tables of the C face.
#[repr(C, align(64))]
pub(crate) struct AddressTables {
    pub(crate) leaves: Leaves,
    /// For each size, the place of its list. Other threads write to it, too. [shared]
    small: [AtomicU8; SMALL],
    /// The lists of kinds without a class.
    closed: [FreeList; CLASSLESS],
}

// SAFETY: only the owner thread writes to `leaves`. `small` is atomic. `closed` holds closed lists: threads write only
// to their counts, by `count_up` or atomically (W3).
unsafe impl Sync for AddressTables {}

type Cache = ThreadCache<AddressTables>;

/// Bytes from a cache to the list at place 0.
const LISTS: usize = offset_of!(AddressTables, closed);
const _: () = assert!(offset_of!(Cache, tables) == 0);
const _: () = assert!(LISTS + size_of::<[FreeList; CLASSLESS]>() == offset_of!(Cache, lists));
/// Bytes from a cache to the first of its places by size.
const SMALL_OFFSET: usize = offset_of!(AddressTables, small);
/// Bytes from a cache to the count of the list at place 0.
pub(crate) const COUNTS: usize = LISTS + EXCESS_OFFSET;

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
            // ORDERING: relaxed; a thread that does not see the change yet is served as before once more.
            place.store(to, Ordering::Relaxed);
        }
    }
}

impl Cache {
    /// The place of the list for a size; `None` for a size beyond the tables.
    #[inline(always)]
    pub(crate) fn place_for(&self, size: usize) -> Option<usize> {
        if size >= SMALL {
            return None;
        }
        // SAFETY: one of the bytes of `small`, which threads write only atomically.
        Some(unsafe { byte_at::<SMALL_OFFSET>(ptr::from_ref(self).cast(), size) })
    }

    /// The list at a place.
    ///
    /// # Safety
    /// The place is one that the page map has.
    #[inline(always)]
    pub(crate) unsafe fn list_at(&self, place: usize) -> &FreeList {
        let lists = ptr::from_ref(self).cast::<u8>().wrapping_add(LISTS);
        // SAFETY: in this cache the closed lists lie directly before the lists of the classes, 16 bytes each. The place
        // is one of theirs, by the caller's condition.
        unsafe { &*lists.wrapping_add(place * 8).cast::<FreeList>() }
    }
}

/// The place of the list for a size, or the place of `Foreign` for a size above the classes.
///
/// Sizes below 16 use the class of 16 bytes, since C aligns blocks to 16.
const fn place_for<V: Variant>(size: usize) -> u8 {
    match V::CLASS_TABLE.at(if size < 16 { 16 } else { size }, 1) {
        Some(class) => Kind::Class(class).place(),
        None => Kind::Foreign.place(),
    }
}

const _: () = assert!(size_of::<FreeList>() == 16, "a place is two of 8 bytes");
