//! The places of freed huge blocks between fences, which are held without access for a while.
//!
//! ```text
//!          free                a new block takes the memory,
//!  in use ──────▶ held, dirty ────── or `purge_ms` pass ──────▶ held, clean ──▶ unmapped
//!                      │    or more than `DIRTY_BYTES` are dirty
//!                      └────────── too many are held, or a purge ───────────────▶
//! ```
//!
//! A late use of such a block ends the program. [`HELD`] places and [`HELD_BYTES`] at most are held, and then the kernel
//! gets the addresses back.
//!
//! A *dirty* place has memory, which is zero; all places together have [`DIRTY_BYTES`] at most. The kernel moves this memory to the
//! addresses of a new block. So a program that replaces its large blocks gets new addresses each time, but seldom new
//! pages: a page fault costs more than to wipe a page. Bytes that the block never touched count as well.
//!
//! A program may have changed the mapping of its block. Pages of a file, shared ones and locked ones go to no other block
//! (`pages::set_aside`, `move_to`). What it has advised for forks and core dumps is undone. Other advice, as for huge pages,
//! moves with the memory.
//!
//! Linux before 5.7 moves no memory.
//!
//! FN1  A place holds `FREE`, or the pages of a freed block with their room. They have no access, but where the kernel
//!      refused to take it, and no other code refers to them.
//! FN2  `bytes` and `dirty` are the sums of the places' bytes, at most [`HELD_BYTES`] and [`DIRTY_BYTES`]. No place has
//!      more dirty bytes than bytes.
//!
//! Never: gives a program the content of a freed block.

use crate::base::rank;
use crate::sys::atomic::AtomicU32;
use crate::sys::clock;
use crate::sys::fences;
use crate::sys::lock::Lock;
use crate::sys::moves::{Outcome, move_to};
use crate::sys::pages::{bring_back, is_locked, purge};
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// Freed blocks whose addresses stay without access, and their bytes, at most.
const HELD: usize = 256;
const HELD_BYTES: usize = 64 << 20;
/// Bytes of these with memory at most.
pub(super) const DIRTY_BYTES: usize = 32 << 20;

/// The pages of a freed block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The address, and the bytes with room.
    pub(super) start: usize,
    pub(super) room: usize,
    /// Bytes with memory, from the start on. A place with some has access nowhere.
    pub(super) dirty: usize,
    /// Milliseconds of the heap's clock when the block was freed.
    pub(super) since: u64,
}

const FREE: Place = Place { start: 0, room: 0, dirty: 0, since: 0 };

impl Place {
    fn pages(self) -> Option<NonNull<u8>> {
        NonNull::new(ptr::with_exposed_provenance_mut(self.start))
    }
}

/// The huge blocks of a variant between fences: how many are in use, and the places of freed ones. [lock]
pub(crate) struct Fenced {
    pub(super) lock: Lock<{ rank::FENCED }>,
    pub(super) in_use: Cell<usize>,
    /// The place that the next freed block gets, and the one of the oldest.
    next: Cell<usize>,
    oldest: Cell<usize>,
    bytes: Cell<usize>,
    dirty: Cell<usize>,
    places: [Cell<Place>; HELD],
}

// SAFETY: the other fields are touched with the lock held.
unsafe impl Sync for Fenced {}

impl Fenced {
    pub(crate) const fn new() -> Self {
        Self {
            lock: Lock::over(AtomicU32::new(0)),
            in_use: Cell::new(0),
            next: Cell::new(0),
            oldest: Cell::new(0),
            bytes: Cell::new(0),
            dirty: Cell::new(0),
            places: [const { Cell::new(FREE) }; HELD],
        }
    }

    /// Bytes of freed blocks with memory.
    pub(super) fn dirty(&self) -> usize {
        self.lock.with(|| self.dirty_counted())
    }

    /// Bytes of freed blocks with memory. With the lock held.
    pub(super) fn dirty_counted(&self) -> usize {
        self.lock.check_held();
        self.dirty.get()
    }

    /// Holds the pages of a freed block, and unmaps the oldest ones that are too many then. False if they have no place.
    /// With the lock held.
    ///
    /// # Safety
    /// [`fences::map`] returned the pages, and no other code refers to them. If some have memory, at most
    /// [`DIRTY_BYTES`], none has access.
    pub(super) unsafe fn hold(&self, freed: Place) -> bool {
        self.lock.check_held(); // Checks FN1.
        if freed.room > HELD_BYTES {
            return false;
        }
        let Some(place) = self.places.get(self.next.get()) else { return false };
        while self.bytes.get() + freed.room > HELD_BYTES || place.get() != FREE {
            if !self.let_go_oldest() {
                return false;
            }
        }
        while self.dirty.get() + freed.dirty > DIRTY_BYTES {
            let Some(oldest) = self.in_turn().find(|place| place.get().dirty > 0) else {
                return false;
            };
            self.clean(oldest);
        }
        place.set(freed);
        self.next.set((self.next.get() + 1) % HELD);
        self.bytes.set(self.bytes.get() + freed.room);
        self.dirty.set(self.dirty.get() + freed.dirty);
        true
    }

    /// Unmaps the oldest pages. False if there are none, or the kernel refuses. With the lock held.
    pub(super) fn let_go_oldest(&self) -> bool {
        self.lock.check_held(); // Checks FN1.
        let Some(place) = self.places.get(self.oldest.get()) else { return false };
        let held = place.get();
        let Some(start) = held.pages() else { return false };
        // SAFETY: pages of a freed block, which only this place knows of (FN1).
        if unsafe { !fences::unmap(start, held.room) } {
            return false;
        }
        place.set(FREE);
        self.oldest.set((self.oldest.get() + 1) % HELD);
        self.bytes.set(self.bytes.get() - held.room);
        self.dirty.set(self.dirty.get() - held.dirty);
        true
    }

    /// Moves the memory of a freed block, which is zero, to `bytes` bytes of new addresses, if there is one that fits. With
    /// the lock held.
    ///
    /// # Safety
    /// The new addresses are whole pages that are mapped without access, and no other code refers to them.
    pub(super) unsafe fn move_memory(&self, to: NonNull<u8>, bytes: usize) -> Outcome {
        self.lock.check_held(); // Checks FN1.
        let Some(place) = self.best_fit(bytes) else { return Outcome::Stayed };
        let held = place.get();
        let Some(from) = held.pages() else { return Outcome::Stayed };
        // Where a program locks all that it maps from now on, its block must have pages of its own.
        // SAFETY: the first of the new pages, by the caller's condition.
        let is_plain = unsafe { !is_locked(to) };
        // SAFETY: dirty pages of a freed block, which only this place knows of (FN1).
        let is_ready = is_plain && unsafe { bring_back(from, bytes) };
        let outcome = match is_ready {
            // SAFETY: two ranges of `bytes`, which differ: dirty pages of a freed block, which only this place knows of
            // (FN1), and the new ones, by the caller's condition.
            true => unsafe { move_to(from, bytes, to, true) },
            false => Outcome::Stayed,
        };
        if matches!(outcome, Outcome::Moved { .. }) && held.dirty == bytes {
            self.note_clean(place);
        } else {
            self.clean(place);
        }
        outcome
    }

    /// The place with the least memory that is enough for so many bytes, if it is not more than twice as much.
    fn best_fit(&self, bytes: usize) -> Option<&Cell<Place>> {
        let dirty = |place: &&Cell<Place>| place.get().dirty;
        let fits = |place: &&Cell<Place>| (bytes..=2 * bytes).contains(&dirty(place));
        self.places.iter().filter(fits).min_by_key(dirty)
    }

    /// Gives the memory back to the kernel of all blocks that were freed `delay` ms ago, or earlier.
    pub(crate) fn clean_since(&self, now: u64, delay: u64) {
        let is_due = |place: &&Cell<Place>| {
            let Place { dirty, since, .. } = place.get();
            dirty > 0 && clock::since(since, now) >= delay
        };
        self.lock.with(|| {
            if self.dirty.get() > 0 {
                self.places.iter().filter(is_due).for_each(|place| self.clean(place));
            }
        });
    }

    /// Gives a place's memory back to the kernel.
    fn clean(&self, place: &Cell<Place>) {
        let held = place.get();
        if let Some(start) = held.pages() {
            // SAFETY: pages of a freed block, which only this place knows of (FN1).
            unsafe { purge(start, held.dirty) };
        }
        self.note_clean(place);
    }

    fn note_clean(&self, place: &Cell<Place>) {
        let held = place.get();
        self.dirty.set(self.dirty.get() - held.dirty);
        place.set(Place { dirty: 0, ..held });
    }

    /// The places, the oldest one first.
    fn in_turn(&self) -> impl Iterator<Item = &Cell<Place>> {
        let (newer, older) = self.places.split_at_checked(self.oldest.get()).unwrap_or_default();
        older.iter().chain(newer)
    }

    /// True if an address lies in a freed block.
    pub(super) fn holds(&self, address: usize) -> bool {
        let is_there = |place: &Cell<Place>| {
            let Place { start, room, .. } = place.get();
            (start..start + room).contains(&address)
        };
        self.lock.with(|| self.places.iter().any(is_there))
    }

    /// True if the sums are right. For audits.
    pub(super) fn is_sound(&self) -> bool {
        let sum = |of: fn(Place) -> usize| self.places.iter().map(|place| of(place.get())).sum();
        self.lock.with(|| {
            let (bytes, dirty): (usize, usize) =
                (sum(|place| place.room), sum(|place| place.dirty));
            let is_within = |place: &Cell<Place>| place.get().dirty <= place.get().room;
            (bytes, dirty) == (self.bytes.get(), self.dirty.get()) // Checks FN2.
                && self.places.iter().all(is_within)
                && bytes <= HELD_BYTES
                && dirty <= DIRTY_BYTES
        })
    }
}
