//! The tables from an address or a size to a list. They are a part of the thread cache in the C face.
//!
//! ```text
//! thread slot ──▶ ┌─────────────┬───────────────┬─────────────┬──────────────────────┐
//!                 │ leaves      │ small, medium │ closed      │ lists, limits, …     │
//!                 └─────────────┴───────────────┴─────────────┴──────────────────────┘
//!                   of the map    places by size  place 0, …    the classes' places
//! ```
//!
//! One register leads to all of it. An address without a class has a place too, whose list is closed. So it takes the
//! slow path without a check of its own.

use super::lend::{has_own, lender};
use super::{Cached, ThreadCache};
use crate::base::{CACHE_LINE, ClassIdx, MAX_CLASSES};
use crate::free_list::{EXCESS_OFFSET, FreeList};
use crate::page_map::{CLASSLESS, Kind, Leaves};
use crate::sys::asm::byte_at;
use crate::sys::atomic::{AtomicU8, Ordering};
use crate::variant::{Empty, Variant, is_multiple};
use core::mem::offset_of;
use core::ptr;

/// `small` has the places of all sizes below this. It is above 1024, and keeps the lists aligned to cache lines.
pub(crate) const SMALL: usize = 1079;
/// Sizes that share a place in `medium`.
const STEP: usize = 128;
/// `medium` has the places of all sizes below this that `small` does not have.
const MEDIUM: usize = 257 * STEP;

/// The tables of a thread cache; `()` for a variant without the C face.
pub(crate) trait Tables: Sync + 'static {
    /// Makes every size lead to its list (`quick`), or to a closed list. The classes in `own` have their own blocks.
    fn set_quick<V: Variant>(&self, quick: bool, own: u64);

    /// Makes the sizes of a class lead to their list.
    fn set_class<V: Variant>(&self, class: ClassIdx, own: u64);

    /// True if the sizes lead where `set_quick` makes them lead (LE1), and the closed lists of kinds without a class have
    /// no push left to undo. For audits.
    fn is_set<V: Variant>(&self, quick: bool, own: u64) -> bool;
}

impl Tables for () {
    fn set_quick<V: Variant>(&self, _quick: bool, _own: u64) {}
    fn set_class<V: Variant>(&self, _class: ClassIdx, _own: u64) {}
    fn is_set<V: Variant>(&self, _quick: bool, _own: u64) -> bool {
        true
    }
}

/// A variant whose threads have tables that lead from an address to a list.
pub(crate) trait Tabled: Cached<Tables = AddressTables> {}
impl<V: Cached<Tables = AddressTables>> Tabled for V {}

/// The tables of the C face.
#[repr(C, align(64))]
pub(crate) struct AddressTables {
    pub(crate) leaves: Leaves,
    /// For each place, 2^32 divided by the bytes of a block, rounded up; 0 for a place without a class.
    inverse: [u32; CLASSLESS + MAX_CLASSES],
    /// For each size, the place of its list. Other threads write to it, too. [shared]
    small: [AtomicU8; SMALL],
    /// For each [`STEP`] sizes, the place of their list. Other threads write to it, too. [shared]
    medium: [AtomicU8; MEDIUM / STEP],
    /// The lists of kinds without a class.
    closed: [FreeList; CLASSLESS],
}

// SAFETY: only the owner thread writes to `leaves`. `small` and `medium` are atomic, and `inverse` never changes. `closed` holds closed lists: threads write only
// to their counts, by `count_up` or atomically (W3).
unsafe impl Sync for AddressTables {}

type Cache = ThreadCache<AddressTables>;

/// Bytes from a cache to the list at place 0.
const LISTS: usize = offset_of!(AddressTables, closed);
const _: () = assert!(offset_of!(Cache, tables) == 0);
const _: () = assert!(LISTS + size_of::<[FreeList; CLASSLESS]>() == offset_of!(Cache, lists));
/// Bytes from a cache to the first of its places by size.
const SMALL_OFFSET: usize = offset_of!(AddressTables, small);
/// Bytes from a cache to the first of its places by steps of sizes.
const MEDIUM_OFFSET: usize = offset_of!(AddressTables, medium);
const _: () = assert!(offset_of!(Cache, lists).is_multiple_of(CACHE_LINE));
/// Bytes from a cache to the count of the list at place 0.
pub(crate) const COUNTS: usize = LISTS + EXCESS_OFFSET;

impl AddressTables {
    /// The tables that a thread of a variant starts out with.
    pub(crate) const fn new<V: Variant>() -> Self {
        let mut small = [const { AtomicU8::new(0) }; SMALL];
        let mut size = 0;
        while size < SMALL {
            small[size] = AtomicU8::new(place_for::<V>(size, 0));
            size += 1;
        }
        const { assert!(steps_are_of_one_place::<V>(), "a step of `medium` has one place") };
        let mut medium = [const { AtomicU8::new(0) }; MEDIUM / STEP];
        let mut step = 0;
        while step < MEDIUM / STEP {
            medium[step] = AtomicU8::new(place_in_step::<V>(step));
            step += 1;
        }
        let closed = [const { FreeList::closed() }; CLASSLESS];
        let mut inverse = [0; CLASSLESS + MAX_CLASSES];
        let mut class = 0;
        while class < V::CLASSES.count() {
            inverse[CLASSLESS + class] = V::CLASSES.inverse(ClassIdx::new(class));
            class += 1;
        }
        Self { leaves: Leaves::new(), inverse, small, medium, closed }
    }

    /// True if a block starts at an address in a slab, of the class at this place. It may be one that was never handed
    /// out. It is false for a place without a class.
    #[inline(always)]
    pub(crate) fn is_start(&self, address: usize, place: usize) -> bool {
        let inverses = ptr::from_ref(&self.inverse).cast::<u8>();
        // SAFETY: a place is below twice the number of kinds, so four bytes are inside the array.
        let inverse = unsafe { inverses.add(2 * place) }.cast::<u32>();
        // SAFETY: inside the array, and aligned, since places are even.
        let inverse = unsafe { inverse.read() };
        is_multiple(address, inverse)
    }
}

impl Tables for AddressTables {
    fn set_quick<V: Variant>(&self, quick: bool, own: u64) {
        let set = |place: &AtomicU8, open| {
            let to = if quick { open } else { Kind::Foreign.place() };
            // ORDERING: relaxed; a thread that does not see the change yet is served as before once more.
            place.store(to, Ordering::Relaxed);
        };
        for (size, place) in self.small.iter().enumerate() {
            set(place, place_for::<V>(size, own));
        }
        for (step, place) in self.medium.iter().enumerate() {
            set(place, place_in_step::<V>(step));
        }
    }

    fn set_class<V: Variant>(&self, class: ClassIdx, own: u64) {
        let most = V::CLASSES.block_bytes(class);
        let of_class = |size: &usize| V::CLASS_TABLE.at(*size, 1) == Some(class);
        for size in (1..=most).rev().take_while(of_class) {
            if let Some(place) = self.small.get(size) {
                // ORDERING: relaxed; only this thread reads the place.
                place.store(place_for::<V>(size, own), Ordering::Relaxed);
            }
        }
    }

    fn is_set<V: Variant>(&self, quick: bool, own: u64) -> bool {
        let is = |place: &AtomicU8, open| {
            let to = if quick { open } else { Kind::Foreign.place() };
            // ORDERING: relaxed; the caller holds the lock under which other threads write to the tables.
            place.load(Ordering::Relaxed) == to
        };
        let mut small = self.small.iter().enumerate();
        let mut medium = self.medium.iter().enumerate();
        self.closed.iter().all(FreeList::counts_nothing)
            && small.all(|(size, place)| is(place, place_for::<V>(size, own)))
            && medium.all(|(step, place)| is(place, place_in_step::<V>(step)))
    }
}

impl Cache {
    /// The place of the list for a small size; `None` for a larger size.
    #[inline(always)]
    pub(crate) fn small_place(&self, size: usize) -> Option<usize> {
        if size >= SMALL {
            return None;
        }
        // SAFETY: one of the bytes of `small`, which threads write only atomically.
        Some(unsafe { byte_at::<SMALL_OFFSET>(ptr::from_ref(self).cast(), size) })
    }

    /// The place of the list for a size; `None` for a size beyond the tables.
    #[inline(always)]
    pub(crate) fn place_for(&self, size: usize) -> Option<usize> {
        if size < SMALL {
            return self.small_place(size);
        }
        if size > MEDIUM - STEP {
            return None;
        }
        let step = size.div_ceil(STEP);
        // SAFETY: one of the bytes of `medium`, which threads write only atomically.
        Some(unsafe { byte_at::<MEDIUM_OFFSET>(ptr::from_ref(self).cast(), step) })
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
/// Sizes below 16 use the class of 16 bytes, since C aligns blocks to 16. Size 0 may have no class. A class that is not in
/// `own` may borrow.
const fn place_for<V: Variant>(size: usize, own: u64) -> u8 {
    if size == 0 && matches!(V::EMPTY, Empty::Unreadable) {
        return Kind::Foreign.place();
    }
    match V::CLASS_TABLE.at(if size < 16 { 16 } else { size }, 1) {
        Some(class) => match lender::<V>(class) {
            Some(lender) if !has_own(own, class) => Kind::Class(lender).place(),
            _ => Kind::Class(class).place(),
        },
        None => Kind::Foreign.place(),
    }
}

/// The place of the list for a step of sizes. Above 1024 bytes all sizes of a step are of one class; the table is not
/// asked for others.
const fn place_in_step<V: Variant>(step: usize) -> u8 {
    place_for::<V>(step * STEP, 0)
}

/// True if all sizes of each step that the table is asked for have one place.
const fn steps_are_of_one_place<V: Variant>() -> bool {
    let mut step = SMALL.div_ceil(STEP);
    while step < MEDIUM / STEP {
        if place_for::<V>((step - 1) * STEP + 1, 0) != place_in_step::<V>(step) {
            return false;
        }
        step += 1;
    }
    true
}

const _: () = assert!(size_of::<FreeList>() == 16, "a place is two of 8 bytes");
