//! Layer 7: the thread's front end over the central lists.
//!
//! ```text
//!            alloc: pop        free: push, whichever thread the block came from
//!                ▲                  │
//!         ┌──────┴──────────────────▼──────┐
//!         │ lists[class] of this thread    │   in the thread-local slot itself, or where it points
//!         └──────▲──────────────────┬──────┘
//!         refill │ a batch    drain │ a batch
//!         ┌──────┴──────────────────▼──────┐
//!         │ central, per class             │
//!         └────────────────────────────────┘
//! ```
//!
//! | a thread's state | lists | event | becomes |
//! |---|---|---|---|
//! | `NotYet` | closed | the first allocation or free; where blocks are freed by address, the seventeenth free | `Open` |
//! | `NotYet` | closed | the same, and the system has no room to tell of the thread's end | `Gone` |
//! | `NotYet` | closed | the same, and memory is exhausted | stays |
//! | `Open` | open, or shut for a while (`shut`) | the thread ends (pthread key) | `Gone`, its blocks parked or given back |
//! | `Gone` | closed | anything | stays: one block at a time, from and to the central lists |
//!
//! With `thread_slot = "pointer"` a placeholder is `Gone`: the slot points to it from then on. The thread's cache is
//! `NotYet` again and waits for another thread.
//!
//! Z1  A closed list is empty, and every pop from it and push to it goes the slow way: that is all the
//!     checking there is.
//! Z2  No slab belongs to a thread, so nothing of a thread stays behind but what its lists hold.
//!
//! Never: locks on a hot path, or asks whether the thread is set up.

mod address;
mod alloc;
mod audit;
#[allow(dead_code, reason = "a build without a face has no desks")]
mod desk;
mod drain;
mod exit;
mod fill;
mod free;
mod large;
mod realloc;
mod refill;
mod shut;
mod trim;

pub(crate) use address::{
    AtDesk, free as free_at, malloc, quick, realloc as realloc_at, usable_size, zeroed,
};
pub(crate) use alloc::{alloc, alloc_zeroed};
pub(crate) use audit::audit;
#[allow(unused_imports, reason = "a build without a face has no desks")]
pub(crate) use desk::Desk;
pub(crate) use exit::{CloseCache, Idle, leave_threads, prepare_at_start, release};
#[allow(unused_imports, reason = "a build without a face has no mallopt")]
pub(crate) use fill::fill_with;
pub(crate) use free::free;
pub(crate) use realloc::realloc;
pub(crate) use trim::{purge, trim};

use crate::base::{ClassIdx, MAX_CLASSES};
use crate::central::{Shared, Usage};
use crate::list::{Block, Step, WindowList};
use crate::page_map::Kind;
use crate::stats::Event;
use crate::sys::atomic::{AtomicBool, Ordering};
use crate::sys::thread::ExitHook;
use crate::variant::Slot;
use core::cell::Cell;
use core::mem::offset_of;
use core::ptr;

/// What of a thread's life the allocator has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    NotYet,
    Open,
    Gone,
}

/// One thread's lists. [owner], but for what says otherwise; placeholders are shared, and only read.
#[repr(C, align(64))]
pub(crate) struct Cache {
    /// Hot.
    lists: [WindowList; MAX_CLASSES],
    /// What a list may hold, and how it fared, for the slow paths.
    demands: [Demand; MAX_CLASSES],
    state: Cell<State>,
    /// Whether the lists are shut (Z3). Where they are counted plainly, other threads shut them, too. [shared]
    is_shut: AtomicBool,
    /// Whether the thread is looking at the clock.
    asks: Cell<bool>,
    /// Blocks freed the slow way since the clock was looked at.
    frees: Cell<u32>,
    /// Allocations from shut lists until an idle one is looked for.
    until_turn: Cell<u8>,
    /// The list that is looked at for idleness next.
    idle_turn: Cell<u8>,
    /// Link in the stack of caches that wait for a thread.
    next_idle: Cell<*const Cache>,
    /// Link in the stack of all caches that were mapped.
    next_made: Cell<*const Cache>,
}

/// How much a list is asked for.
struct Demand {
    /// Blocks that it may hold; 0 before the first refill.
    limit: Cell<u32>,
    /// Blocks that the last refill asked for; the next asks for twice as many.
    refill: Cell<u32>,
    /// Its newest block when it was last looked at for idleness.
    newest_seen: Cell<*const Block>,
    /// Its newest block while the lists are shut.
    aside: Cell<*mut Block>,
}

const _: () = assert!(offset_of!(Cache, lists) == 0, "the hottest first");

// SAFETY: a cache is touched by its thread only, but for `is_shut`, which is atomic, and the links, under a lock; and
// changes threads through the stack of idle ones, under that lock. The placeholders' lists are closed, and a list that is closed is not written to where it is
// shared (`keeps`), or its count alone, as by atomics, where it is counted plainly (`count_up`); nor is anything
// else of a placeholder.
unsafe impl Sync for Cache {}

/// A variant with its threads' caches.
pub(crate) trait Cached: Shared {
    /// This thread's cache, or the placeholder that stands for one.
    fn cache() -> &'static Cache;
    /// Makes the slot point elsewhere, where it points.
    fn set_cache(cache: &'static Cache);
    /// The placeholder of threads that have had theirs, where the slot points.
    fn gone() -> &'static Cache;
    /// Caches that wait for a thread, where the slot points.
    fn idle() -> &'static Idle;
    /// Tells of a thread's end.
    fn hook() -> &'static ExitHook<CloseCache<Self>>;
    /// Has sizes lead to a thread's lists without a look at the clock, or not: where the lists are counted plainly.
    fn set_quick(_cache: &'static Cache, _quick: bool) {}
    /// One more cache, closed, in pages of its own; `None` when memory is exhausted.
    fn new_cache() -> Option<&'static Cache>;

    /// Whether a closed list may be shared, and so must not be written to.
    const KEEPS: bool = matches!(Self::THREAD_SLOT, Slot::Pointer);
}

impl Cache {
    const fn new(state: State, counted: bool) -> Self {
        Self {
            lists: if counted {
                [const { WindowList::closed(true) }; MAX_CLASSES]
            } else {
                [const { WindowList::closed(false) }; MAX_CLASSES]
            },
            demands: [const { Demand::new() }; MAX_CLASSES],
            state: Cell::new(state),
            is_shut: AtomicBool::new(false),
            asks: Cell::new(false),
            frees: Cell::new(0),
            until_turn: Cell::new(0),
            idle_turn: Cell::new(0),
            next_idle: Cell::new(ptr::null()),
            next_made: Cell::new(ptr::null()),
        }
    }

    /// What a thread starts out with.
    pub(crate) const fn not_yet(counted: bool) -> Self {
        Self::new(State::NotYet, counted)
    }

    /// Stands for the cache of a thread whose end has been seen.
    pub(crate) const fn gone(counted: bool) -> Self {
        Self::new(State::Gone, counted)
    }

    #[inline(always)]
    fn list(&self, class: ClassIdx) -> &WindowList {
        &self.lists[class.index()]
    }

    fn demand(&self, class: ClassIdx) -> &Demand {
        &self.demands[class.index()]
    }

    /// Whether the lists are shut (Z3).
    #[inline(always)]
    fn is_shut(&self) -> bool {
        // ORDERING: relaxed; a thread that does not see it yet is served once more as ever.
        self.is_shut.load(Ordering::Relaxed)
    }

    /// Whether the thread's blocks lie aside (Z3).
    fn lies_aside<V: Cached>(&self) -> bool {
        !V::COUNTED && self.is_shut()
    }
}

/// What lies at an address, looked up as `free` does.
#[inline(always)]
pub(crate) fn lookup<V: Shared>(address: usize) -> Kind {
    V::counters().count(Event::Lookup);
    V::counters().count(Event::Probe);
    V::page_map().kind(address)
}

impl Demand {
    const fn new() -> Self {
        Self {
            limit: Cell::new(0),
            refill: Cell::new(0),
            newest_seen: Cell::new(ptr::null()),
            aside: Cell::new(ptr::null_mut()),
        }
    }
}

/// How much memory there is, and what of it is in use.
pub(crate) fn usage<V: Cached>() -> Usage {
    let cache = V::cache();
    let is_open = cache.state.get() == State::Open;
    if is_open {
        shut::open::<V>(cache);
    }
    crate::central::usage::<V>(|class| {
        if is_open { cache.list(class).len(step::<V>(class)) as usize } else { 0 }
    })
}

/// How a list of this class counts its blocks.
#[inline(always)]
fn step<V: Cached>(class: ClassIdx) -> Step {
    crate::central::step::<V>(class)
}
