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
//! | `Uninit` | closed | the first allocation or free; where blocks are freed by address, the seventeenth free | `Open` |
//! | `Uninit` | closed | the same, and the system has no room to tell of the thread's end | `Dead` |
//! | `Uninit` | closed | the same, and memory is exhausted | stays |
//! | `Open` | open, or shut for a while (`shut`) | the thread ends (pthread key) | `Dead`, its blocks parked or given back |
//! | `Dead` | closed | anything | stays: one block at a time, from and to the central lists |
//!
//! With `thread_slot = "pointer"` a placeholder is `Dead`: the slot points to it from then on. The thread's cache is
//! `Uninit` again and waits for another thread.
//!
//! Z1  A closed list is empty, and every pop from it and push to it goes the slow way: that is all the
//!     checking there is.
//! Z2  No slab belongs to a thread, so nothing of a thread stays behind but what its lists hold.
//!
//! Never: locks on a hot path, or asks whether the thread is set up.

mod address;
mod alloc;
mod audit;
mod drain;
mod exit;
mod fill;
mod free;
mod large;
mod limits;
mod outbox;
mod realloc;
mod refill;
mod shut;
#[allow(dead_code, reason = "a build without a face has no tables")]
mod tables;
mod trim;

pub(crate) use address::{
    free as free_at, malloc, quick, realloc as realloc_at, usable_size, zeroed,
};
pub(crate) use alloc::{alloc, alloc_zeroed};
pub(crate) use audit::audit;
pub(crate) use exit::{CachePool, CloseCache, leave_threads, prepare_at_start, release};
#[allow(unused_imports, reason = "a build without a face has no mallopt")]
pub(crate) use fill::fill_with;
pub(crate) use free::free;
pub(crate) use realloc::realloc;
#[allow(unused_imports, reason = "a build without a face has no tables")]
pub(crate) use tables::{AddressTables, Tables};
pub(crate) use trim::{purge, trim};

use crate::base::{ArenaIdx, ClassIdx, MAX_CLASSES};
use crate::central::{self, ListId, Shared, Usage};
use crate::list::FreeList;
use crate::page_map::PageMap;
use crate::stats::Event;
use crate::sys::atomic::{AtomicBool, Ordering};
use crate::sys::thread::ExitHook;
use crate::variant::Slot;
use core::cell::Cell;
use core::mem::offset_of;
use core::ptr;
use outbox::Outbox;

/// What of a thread's life the allocator has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Uninit,
    Open,
    Dead,
}

/// One thread's lists, and what leads to them. [owner], but for what says otherwise; placeholders are shared, and nothing
/// of them is written but the counts of closed lists.
#[repr(C, align(64))]
pub(crate) struct ThreadCache<T> {
    /// What leads from an address or a size to a list, where the face needs that.
    tables: T,
    /// Hot.
    lists: [FreeList; MAX_CLASSES],
    /// What is asked of each list, for the slow paths.
    list_limits: [ListLimits; MAX_CLASSES],
    state: Cell<State>,
    /// Whether the lists are shut (Z3). Where tables lead to them, other threads shut them, too. [shared]
    is_shut: AtomicBool,
    /// Whether the thread is looking at the clock.
    asks: Cell<bool>,
    /// Blocks freed the slow way since the clock was looked at.
    frees: Cell<u32>,
    /// The time-stamp counter when the clock was looked at last.
    looked_at: Cell<u64>,
    /// Allocations from shut lists until an idle one is looked for.
    until_turn: Cell<u8>,
    /// Bytes that the lists may hold beyond what each may in any case (GR1).
    granted: Cell<usize>,
    /// The list that is looked at for idleness next.
    idle_turn: Cell<u8>,
    /// Blocks on their way home.
    outbox: Outbox,
    /// The arena that the thread takes small blocks from and brings them home to.
    arena: Cell<ArenaIdx>,
    /// Link in the stack of caches that wait for a thread.
    next_idle: Cell<*const Self>,
    /// Link in the stack of all caches that were mapped.
    next_made: Cell<*const Self>,
}

/// A variant's.
pub(crate) type CacheOf<V> = ThreadCache<<V as Cached>::Tables>;

/// How much a list is asked for.
struct ListLimits {
    /// Blocks that the last refill asked for; the next asks for twice as many.
    refill: Cell<u32>,
    /// Its newest block when it was last looked at for idleness; 0 for none.
    newest_seen: Cell<usize>,
    /// Whether the blocks of the last batch that went home were of many slabs.
    scattered: Cell<bool>,
    /// Its blocks while it is shut.
    aside: FreeList,
}

const _: () = assert!(offset_of!(ThreadCache<()>, lists) == 0, "the hottest first");

// SAFETY: a cache is touched by its thread only, but for its tables, which are `Sync`, `is_shut`, which is atomic, and the
// links, under a lock; and changes threads through the stack of idle ones, under that lock. The placeholders' lists are
// closed, and of a closed list that is shared only the count is written, as by atomics (W3); nor is anything else of a
// placeholder written.
unsafe impl<T: Sync> Sync for ThreadCache<T> {}

/// A variant with its threads' caches.
pub(crate) trait Cached: Shared {
    /// What its face adds to a cache.
    type Tables: Tables;
    /// This thread's cache, or the placeholder that stands for one.
    fn cache() -> &'static CacheOf<Self>;
    /// Makes the slot point elsewhere, where it points.
    fn set_cache(cache: &'static CacheOf<Self>);
    /// The placeholder of threads that have had theirs, where the slot points.
    fn dead() -> &'static CacheOf<Self>;
    /// Caches that wait for a thread, where the slot points.
    fn pool() -> &'static CachePool<Self::Tables>;
    /// Tells of a thread's end.
    fn hook() -> &'static ExitHook<CloseCache<Self>>;
    /// One more cache, closed, in pages of its own; `None` when memory is exhausted.
    fn new_cache() -> Option<&'static CacheOf<Self>>;

    /// Whether a closed list may be shared, and so must not be written to but atomically.
    const SHARED: bool = matches!(Self::THREAD_SLOT, Slot::Pointer);
}

impl<T> ThreadCache<T> {
    const fn new(state: State, tables: T) -> Self {
        Self {
            tables,
            lists: [const { FreeList::closed() }; MAX_CLASSES],
            list_limits: [const { ListLimits::new() }; MAX_CLASSES],
            state: Cell::new(state),
            is_shut: AtomicBool::new(false),
            asks: Cell::new(false),
            frees: Cell::new(0),
            looked_at: Cell::new(0),
            until_turn: Cell::new(0),
            granted: Cell::new(0),
            idle_turn: Cell::new(0),
            outbox: Outbox::new(),
            arena: Cell::new(ArenaIdx::FIRST),
            next_idle: Cell::new(ptr::null()),
            next_made: Cell::new(ptr::null()),
        }
    }

    /// What a thread starts out with.
    pub(crate) const fn uninit(tables: T) -> Self {
        Self::new(State::Uninit, tables)
    }

    /// Stands for the cache of a thread whose end has been seen.
    pub(crate) const fn dead(tables: T) -> Self {
        Self::new(State::Dead, tables)
    }

    #[inline(always)]
    fn list(&self, class: ClassIdx) -> &FreeList {
        &self.lists[class.index()]
    }

    /// The central list of a class that the thread deals with.
    fn list_id<V: Shared>(&self, class: ClassIdx) -> ListId {
        central::list_id::<V>(self.arena.get(), class)
    }

    fn list_limits(&self, class: ClassIdx) -> &ListLimits {
        &self.list_limits[class.index()]
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

/// The page map, for a lookup, which is counted.
#[inline(always)]
pub(crate) fn lookup<V: Shared>() -> &'static PageMap {
    V::counters().count(Event::Lookup);
    V::counters().count(Event::Probe);
    V::page_map()
}

impl ListLimits {
    const fn new() -> Self {
        Self {
            refill: Cell::new(0),
            newest_seen: Cell::new(0),
            scattered: Cell::new(false),
            aside: FreeList::unbounded(),
        }
    }
}

/// How much memory there is, and what of it is in use.
pub(crate) fn usage<V: Cached>() -> Usage {
    let cache = V::cache();
    let is_open = cache.state.get() == State::Open;
    if is_open {
        shut::open::<V>(cache);
        outbox::flush::<V>(cache);
    }
    let listed = |class| {
        if is_open { cache.list(class).len() as usize } else { 0 }
    };
    V::pool().with_made(|| central::usage::<V>(listed))
}
