//! The heap: a thread's lists, over slabs that the thread owns.
//!
//! ```text
//!            alloc: pop        free: push (own slab)        free: other thread's slab
//!                ▲                  │                               │
//!         ┌──────┴──────────────────▼──────┐                        │
//!         │ lists[class] of this thread    │                        │
//!         └──────▲──────────────────┬──────┘                        │
//!         refill │ batch      drain │ batch                         │
//!         ┌──────┴──────────────────▼──────┐   remote drain   ┌─────▼─────┐
//!         │ current slab   │ other slabs   │ ◀─────────────── │ remote    │
//!         └──────▲──────────────────┬──────┘                  └───────────┘
//!        acquire │           retire │ (used = 0, if the variant recycles)
//!         ┌──────┴──────────────────▼──────┐
//!         │ pool: 0.5 → 1 → 2 → 3 → system │
//!         └────────────────────────────────┘
//! ```
//!
//! K1  The blocks in a heap's lists are of slabs that the heap owns.
//! K2  A slab is in the list of slabs of exactly the heap that owns it, under its class.
//! K3  A heap is never unmapped; when its thread ends it waits, empty, for another thread.
//! K4  The placeholders (no heap yet, no heap any more) own no slab, so nothing is ever pushed to
//!     their lists, and every pop from them goes the slow way.
//!
//! Never: locks, or calls the system's malloc on a path that a slab can serve.

mod alloc;
mod audit;
mod check;
mod drain;
mod exit;
mod free;
mod free_remote;
mod heaps;
mod realloc;
mod refill;
mod usage;

pub(crate) use alloc::{alloc, alloc_zeroed};
pub(crate) use audit::audit;
pub(crate) use exit::{GiveUpHeap, leave_threads, release};
pub(crate) use free::free;
pub(crate) use heaps::Heaps;
pub(crate) use realloc::realloc;
pub(crate) use usage::free_blocks;

use crate::base::{CACHE_LINE, ClassIdx, MAX_CLASSES};
use crate::linked::LinkedList;
use crate::report::Statics;
use crate::report::list::Block;
use crate::report::list::Flag;
use crate::report::list::LocalList;
use crate::report::pool::Seeker;
use crate::report::registry::{self, Hint};
use crate::report::slab::{Slab, SuperSlab};
use crate::stats::Counters;
use crate::sys::atomic::{AtomicBool, AtomicU32};
use core::cell::Cell;
use core::mem::offset_of;

/// One thread's heap.
#[repr(C, align(64))]
pub(crate) struct Heap {
    /// Free blocks in this thread's hands, per class. [owner]
    lists: [LocalList; MAX_CLASSES],
    /// The SuperSlab found last. [owner], but shared by threads that have a placeholder
    hint: Hint,
    /// Names this heap in its slabs; from 1, or one of the placeholders'. [const]
    id: u32,
    /// Whose turn it is to be looked at for idleness. [owner]
    idle_turn: Cell<u8>,
    /// Refills that the pool refused, for pacing. [owner]
    refusals: Cell<u8>,
    /// Where the last scan for EMPTY slabs ended. [owner]
    scan_cursor: Cell<u32>,
    /// Slabs that this heap owns, per class. [owner]
    slabs: [OwnedSlabs; MAX_CLASSES],
    counters: Counters,
    shared: Shared,
}

/// The part of a heap that other threads write, on cache lines of its own. [shared]
#[repr(align(64))]
struct Shared {
    /// For each class, true if other threads have freed into a slab of it since the owner last looked.
    pending: [Flag; MAX_CLASSES],
    /// Link in the stack of idle heaps.
    next_idle: AtomicU32,
}

const _: () = assert!(offset_of!(Heap, lists) == 0, "the hottest first");
const _: () = assert!(offset_of!(Heap, shared) % CACHE_LINE == 0);

// SAFETY: the [owner] fields are touched only by the thread whose slot names this heap, and heaps
// change threads through the stack of idle heaps, which synchronises (K3). The placeholders' are
// read only: `lists` is pushed to only by a heap that owns slabs, which they do not (K4), and the
// slow paths replace a placeholder before they touch the rest. All other fields are atomic.
unsafe impl Sync for Heap {}

/// The slabs of one class that a heap owns.
struct OwnedSlabs {
    /// The slab that refills take from; it is in the list too. [owner]
    current: Cell<Option<&'static Slab>>,
    /// All of them. [owner]
    all: LinkedList<Slab>,
    /// Newest block of the thread's list when it was last looked at for idleness. [owner]
    newest_seen: Cell<*const Block>,
}

/// Id of the placeholder of a thread that has no heap yet.
const NOT_YET: u32 = u32::MAX;
/// Id of the placeholder of a thread whose end has been seen.
const NO_MORE: u32 = u32::MAX - 1;

impl Heap {
    const fn new(id: u32) -> Self {
        Self {
            lists: [const { LocalList::new() }; MAX_CLASSES],
            hint: Hint::new(),
            id,
            idle_turn: Cell::new(0),
            refusals: Cell::new(0),
            scan_cursor: Cell::new(0),
            slabs: [const { OwnedSlabs::new() }; MAX_CLASSES],
            counters: Counters::new(),
            shared: Shared {
                pending: [const { Flag::over(AtomicBool::new(false)) }; MAX_CLASSES],
                next_idle: AtomicU32::new(0),
            },
        }
    }

    /// Stands for the heap of a thread that has none yet.
    pub(crate) const fn placeholder_not_yet() -> Self {
        Self::new(NOT_YET)
    }

    /// Stands for the heap of a thread whose end has been seen.
    pub(crate) const fn placeholder_no_more() -> Self {
        Self::new(NO_MORE)
    }

    #[inline(always)]
    fn list(&self, class: ClassIdx) -> &LocalList {
        &self.lists[class.index()]
    }

    fn slabs(&self, class: ClassIdx) -> &OwnedSlabs {
        &self.slabs[class.index()]
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The SuperSlab that an address lies in, looked up as `free` does.
    #[inline(always)]
    pub(crate) fn lookup<V: Statics>(&self, address: usize) -> Option<&'static SuperSlab> {
        registry::lookup::<V>(address, &self.hint, &self.counters)
    }

    fn seeker(&self) -> Seeker<'_> {
        Seeker { heap: self.id, cursor: &self.scan_cursor, counters: &self.counters }
    }
}

impl OwnedSlabs {
    const fn new() -> Self {
        Self {
            current: Cell::new(None),
            all: LinkedList::new(),
            newest_seen: Cell::new(core::ptr::null()),
        }
    }

    fn is_current(&self, slab: &'static Slab) -> bool {
        self.current.get().is_some_and(|current| core::ptr::eq(current, slab))
    }

    /// Adds a slab that the heap has come to own (K2).
    fn link(&self, slab: &'static Slab) {
        self.all.push(slab);
    }

    /// Removes a slab that the heap is about to give up (K2).
    fn unlink(&self, slab: &'static Slab) {
        self.all.remove(slab);
        if self.is_current(slab) {
            self.current.set(None);
        }
    }

    /// The slabs; each may be unlinked while it is looked at.
    fn iter(&self) -> impl Iterator<Item = &'static Slab> {
        self.all.iter()
    }
}
