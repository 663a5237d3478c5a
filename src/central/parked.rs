//! Parked lists: the lists of threads that ended, for the next threads to start with.
//!
//! A program that starts many short-lived threads mostly gives each similar work. A thread that parks its lists need
//! not bring every block home, class by class, and the next thread need not fetch them.
//!
//! ```text
//! a thread ends ──▶ a place: its lists, whole ──▶ a thread starts
//!                        │ no thread took them for `purge_ms`
//!                        ▼
//!                   the central lists, class by class
//! ```
//!
//! Q1  The lists of a place whose bit in `taken` is not set are empty.
//! Q2  A block that is parked is out of its slab, and in no other list.
//!
//! Never: parks more than [`MOST_BYTES`] of a thread, or waits for the lock at a thread's start or end. If the lock is
//! taken, the thread goes without.

use super::{ListId, Shared, at_stake, give_some};
use crate::base::{ArenaIdx, ClassIdx, MAX_CLASSES, rank};
use crate::free_list::FreeList;
use crate::stats::Event;
use crate::sys::clock;
use crate::sys::lock::Lock;
use crate::variant::{ThreadExit, Variant, list_bytes_limit};
use core::cell::Cell;

/// Threads whose lists can be parked at a time.
const PLACES: usize = 16;
/// Bytes of blocks that one thread may park.
const MOST_BYTES: usize = 256 << 10;

/// One thread's lists, each with the limit that it had.
struct Place {
    lists: [FreeList; MAX_CLASSES],
    /// The time when the thread ended, in milliseconds.
    parked_at: Cell<u64>,
}

/// The parked lists of one variant.
pub(crate) struct Parked {
    /// Guards all fields below.
    pub(super) lock: Lock<{ rank::PARKED }>,
    /// The places that hold lists, a bit each (Q1).
    taken: Cell<u32>,
    places: [Place; PLACES],
}

// SAFETY: the thread that holds the lock is the only one to touch the other fields.
unsafe impl Sync for Parked {}

impl Place {
    const fn new() -> Self {
        Self { lists: [const { FreeList::unbounded() }; MAX_CLASSES], parked_at: Cell::new(0) }
    }
}

impl Parked {
    /// No lists, with this lock. The model checker creates the lock.
    pub(crate) const fn over(lock: Lock<{ rank::PARKED }>) -> Self {
        Self { lock, taken: Cell::new(0), places: [const { Place::new() }; PLACES] }
    }

    /// Parks the lists of a thread that ends, which become empty. If they hold too much or nothing, it leaves them as
    /// they are, for the caller to give back.
    pub(crate) fn park<V: Shared>(&self, lists: &[FreeList; MAX_CLASSES]) {
        if !parks::<V>() || !(1..=MOST_BYTES).contains(&bytes_in::<V>(lists)) {
            return;
        }
        V::counters().count(Event::Atomic);
        self.try_with(|| {
            let index = self.taken.get().trailing_ones() as usize;
            let Some(place) = self.places.get(index) else { return };
            for class in ClassIdx::all(V::CLASSES.count()) {
                let (to, from) = (&place.lists[class.index()], &lists[class.index()]);
                to.set_limit(from.limit());
                to.take_over(from);
            }
            place.parked_at.set(V::page_heap().now());
            self.set_taken(self.taken.get() | 1 << index);
        });
    }

    /// Fills the empty lists of a thread that starts with parked ones.
    pub(crate) fn take<V: Shared>(&self, lists: &[FreeList; MAX_CLASSES]) {
        if !parks::<V>() {
            return;
        }
        V::counters().count(Event::Atomic);
        self.try_with(|| {
            let Some(place) = self.places.get(self.taken.get().trailing_zeros() as usize) else {
                return;
            };
            for class in ClassIdx::all(V::CLASSES.count()) {
                let (to, from) = (&lists[class.index()], &place.lists[class.index()]);
                to.set_limit(from.limit().min(list_bytes_limit::<V>(class)));
                to.take_over(from);
            }
            self.set_taken(self.taken.get() & (self.taken.get() - 1));
        });
    }

    fn set_taken(&self, places: u32) {
        self.lock.check_held();
        self.taken.set(places);
    }

    /// Runs `action` with the lock held, if the lock is free.
    fn try_with(&self, action: impl FnOnce()) {
        if self.lock.try_lock() {
            action();
            self.lock.unlock();
        }
    }

    /// Gives lists that were parked for `delay` milliseconds to the central lists: those of `most` threads at most.
    pub(crate) fn send_home<V: Shared>(&self, now: u64, delay: u64, most: usize) {
        if !parks::<V>() {
            return;
        }
        self.lock.with(|| {
            let is_due = |(index, place): &(usize, &Place)| {
                let is_taken = self.taken.get() & 1 << index != 0;
                is_taken && clock::since(place.parked_at.get(), now) >= delay
            };
            for (index, place) in self.places.iter().enumerate().filter(is_due).take(most) {
                place.empty::<V>();
                self.set_taken(self.taken.get() & !(1 << index));
            }
        });
    }

    /// About how many bytes may go back when all parked blocks come home, at most.
    pub(super) fn bytes<V: Shared>(&self) -> usize {
        if !parks::<V>() {
            return 0;
        }
        let of_list =
            |(class, list): (ClassIdx, &FreeList)| list.len() as usize * at_stake::<V>(class);
        self.lock.with(|| match self.taken.get() {
            0 => 0,
            _ => self.lists::<V>().map(of_list).sum(),
        })
    }

    /// The places' lists, each with its class, and true if its place is taken. For audits.
    pub(super) fn places<V: Variant>(&self) -> impl Iterator<Item = (bool, ClassIdx, &FreeList)> {
        self.places.iter().enumerate().flat_map(|(index, place)| {
            let is_taken = self.taken.get() & 1 << index != 0;
            ClassIdx::all(V::CLASSES.count())
                .map(move |class| (is_taken, class, &place.lists[class.index()]))
        })
    }

    /// The places' lists, each with its class. For audits.
    pub(crate) fn lists<V: Variant>(&self) -> impl Iterator<Item = (ClassIdx, &FreeList)> {
        self.places::<V>().map(|(_, class, list)| (class, list))
    }
}

impl Place {
    fn empty<V: Shared>(&self) {
        for class in ClassIdx::all(V::CLASSES.count()) {
            let list = &self.lists[class.index()];
            if list.len() > 0 {
                give_some::<V>(ListId { arena: ArenaIdx::FIRST, class }, list, u32::MAX);
            }
        }
    }
}

/// True if a thread parks its lists when it ends.
pub(super) const fn parks<V: Variant>() -> bool {
    matches!(V::THREAD_EXIT, ThreadExit::Park)
}

fn bytes_in<V: Variant>(lists: &[FreeList; MAX_CLASSES]) -> usize {
    let bytes = |class: ClassIdx| {
        let len = lists[class.index()].len();
        len as usize * V::CLASSES.block_bytes(class)
    };
    ClassIdx::all(V::CLASSES.count()).map(bytes).sum()
}
