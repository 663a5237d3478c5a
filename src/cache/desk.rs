//! Where a thread that frees by address has its lists: behind what leads from an address, or a size, to one.
//!
//! ```text
//! thread slot ──▶ ┌─────────────┬───────────────┬─────────┬──────────────────────────┐
//!                 │ leaves      │ small: places │ closed  │ cache: lists, demands, … │
//!                 └─────────────┴───────────────┴─────────┴──────────────────────────┘
//!                   of the map    by size         place 0, …   the classes' places
//! ```
//!
//! One register leads to all of it. What is no block of a class has a place too, whose list is closed: it goes the slow
//! way without being asked about.

use super::{Cache, State};
use crate::list::WindowList;
use crate::page_map::{CLASSLESS, Kind, Leaves};
use crate::sys::atomic::{AtomicU8, Ordering};
use crate::sys::single::byte_at;
use crate::variant::Variant;
use core::mem::offset_of;
use core::ptr;

/// Sizes that a thread has the places for: all below. 1024 is among them, and what follows is aligned.
pub(crate) const SMALL: usize = 1104;

/// See the module.
#[repr(C, align(64))]
pub(crate) struct Desk {
    pub(super) leaves: Leaves,
    /// Changed by other threads, too. [shared]
    small: [AtomicU8; SMALL],
    /// The lists of kinds without a class.
    closed: [WindowList; CLASSLESS],
    pub(crate) cache: Cache,
}

/// Bytes from a desk to the list at place 0.
const LISTS: usize = offset_of!(Desk, closed);
const _: () = assert!(LISTS + size_of::<[WindowList; CLASSLESS]>() == offset_of!(Desk, cache));
/// Bytes from a desk to the first of its places by size.
const SMALL_OFFSET: usize = offset_of!(Desk, small);
/// Bytes from a desk to its cache.
const CACHE_OFFSET: usize = offset_of!(Desk, cache);
/// Bytes from a desk to the count of the list at place 0.
pub(super) const COUNTS: usize = LISTS + crate::list::WINDOW_OFFSET;

// SAFETY: as for `Cache`: a desk is touched by its thread only, but for `small`, which is atomic; and a placeholder's
// lists are closed: what counts there does so atomically. Its leaves are only read.
unsafe impl Sync for Desk {}

impl Desk {
    /// What a thread starts out with.
    pub(crate) const fn not_yet<V: Variant>() -> Self {
        Self::new::<V>(State::NotYet)
    }

    /// Stands for the desk of a thread whose end has been seen.
    pub(crate) const fn gone<V: Variant>() -> Self {
        Self::new::<V>(State::Gone)
    }

    const fn new<V: Variant>(state: State) -> Self {
        let mut small = [const { AtomicU8::new(0) }; SMALL];
        let mut size = 0;
        while size < SMALL {
            small[size] = AtomicU8::new(place_for::<V>(size));
            size += 1;
        }
        Self {
            leaves: Leaves::new(),
            small,
            closed: [const { WindowList::closed(true) }; CLASSLESS],
            cache: Cache::new(state, V::COUNTED),
        }
    }

    /// Its cache, from which [`of`](Self::of) finds back.
    pub(crate) fn exposed(&'static self) -> &'static Cache {
        ptr::from_ref(self).expose_provenance();
        &self.cache
    }

    /// The desk that a cache is part of.
    pub(crate) fn of(cache: &'static Cache) -> &'static Self {
        let address = ptr::from_ref(cache).addr() - CACHE_OFFSET;
        // SAFETY: every cache of a variant with desks is part of one, whose provenance was exposed when it was
        // mapped, or by `exposed`.
        unsafe { &*ptr::with_exposed_provenance(address) }
    }

    /// The place of the list for a size; `None` where it is not small.
    #[inline(always)]
    pub(super) fn place_for(&self, size: usize) -> Option<usize> {
        if size >= SMALL {
            return None;
        }
        // SAFETY: one of the bytes of `small`, which are written atomically.
        Some(unsafe { byte_at::<SMALL_OFFSET>(ptr::from_ref(self).cast(), size) })
    }

    /// Has every size lead to the list for it, or to none.
    pub(crate) fn set_quick<V: Variant>(&self, quick: bool) {
        for (size, place) in self.small.iter().enumerate() {
            let to = if quick { place_for::<V>(size) } else { Kind::Foreign.place() };
            // ORDERING: relaxed; a thread that does not see it yet is served once more as ever.
            place.store(to, Ordering::Relaxed);
        }
    }

    /// The list at a place.
    ///
    /// # Safety
    /// The place is one that the page map has.
    #[inline(always)]
    pub(super) unsafe fn list_at(&self, place: usize) -> &WindowList {
        let lists = ptr::from_ref(self).cast::<u8>().wrapping_add(LISTS);
        // SAFETY: the closed lists and the cache's lie one after the other in this desk, 16 bytes each, and the place
        // is one of theirs, by the caller's condition.
        unsafe { &*lists.wrapping_add(place * 8).cast::<WindowList>() }
    }
}

/// The place of the list for a size; that of what is foreign where there is none. 16 bytes at least: as C aligns.
const fn place_for<V: Variant>(size: usize) -> u8 {
    match V::CLASSES.class_of(if size < 16 { 16 } else { size }) {
        Some(class) => Kind::Class(class).place(),
        None => Kind::Foreign.place(),
    }
}

const _: () = assert!(size_of::<WindowList>() == 16, "a place is two of 8 bytes");
const _: () = assert!(offset_of!(Cache, lists) == 0);
