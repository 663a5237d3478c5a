//! Layer 7: the thread cache, the front end of the central lists.
//!
//! ```text
//!            alloc: pop        free: push, even a block that another thread allocated
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
//! | `Uninit` | closed | the first allocation or free; in the C face the first allocation, or the 17th free | `Open` |
//! | `Uninit` | closed | that event, but the system cannot report the thread's end | `Dead` |
//! | `Uninit` | closed | that event, but memory is exhausted | `Uninit` |
//! | `Open` | open, or shut (`shut`) | the thread ends (pthread key) | `Dead`; its blocks are parked or drained |
//! | `Open` | open, or shut | it learns that blocks are sampled (`sample`) | `Sampling` |
//! | `Sampling` | open, or shut | it learns that none is | `Open` |
//! | `Sampling` | open, or shut | the thread ends | `Dead`, as from `Open` |
//! | `Dead` | closed | any | `Dead`; blocks go singly from and to the central lists |
//!
//! With `thread_slot = "pointer"` the slot of a dead thread points to a placeholder, which is `Dead`. The cache itself
//! becomes `Uninit` again, and waits in the [`CachePool`] for another thread.
//!
//! Z1  A closed list is empty, and every pop from it and push to it fails. The hot paths make no other check of the
//!     thread's state.
//! Z2  No slab belongs to a thread, so a thread leaves nothing behind but the blocks in its cache.
//!
//! Never: locks on a hot path, or asks whether the thread is set up.

pub(crate) mod drain;
pub(crate) mod fill;
mod forks;
pub(crate) mod lend;
pub(crate) mod lifecycle;
pub(crate) mod limits;
pub(crate) mod outbox;
pub(crate) mod quarantine;
pub(crate) mod refill;
pub(crate) mod sample;
pub(crate) mod short;
pub(crate) mod shut;
pub(crate) mod spans;
#[allow(dead_code, reason = "a build without a face has no tables")]
pub(crate) mod tables;

use crate::base::{ArenaIdx, ClassIdx, LIST_BYTES, ListOffset, MAX_CLASSES, PAGE_BYTES};
use crate::central::{self, ListId, Shared};
use crate::free_list::FreeList;
use crate::sys::atomic::{AtomicBool, Ordering};
use crate::sys::pages;
use crate::sys::secret::Random;
use crate::sys::thread::ExitHook;
use crate::variant::Slot;
use core::cell::Cell;
use core::mem::{MaybeUninit, offset_of};
use core::ptr;
use lifecycle::{CachePool, CloseCache};
use outbox::Outbox;
use quarantine::Quarantine;
use spans::Spans;
use tables::Tables;

/// The state of a thread, as far as this variant knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    Uninit = 0,
    Open = 1,
    Dead = 2,
    /// Open, and some refills give a sampled block.
    Sampling = 3,
}

/// One thread's lists, and the state of its slow paths. [owner], unless a field says otherwise.
///
/// Placeholders stand for the caches of threads that have none. They are shared: threads write only to the counts of
/// their closed lists.
#[repr(C, align(64))]
pub(crate) struct ThreadCache<T> {
    /// The tables from an address or a size to a list; `()` unless the variant has the C face.
    pub(crate) tables: T,
    /// The lists of free blocks. Hot.
    lists: [FreeList; MAX_CLASSES],
    /// What the slow paths know of each list.
    list_limits: [ListLimits; MAX_CLASSES],
    pub(crate) state: Cell<State>,
    /// True while the lists are shut (Z3). In the C face other threads shut them, too. [shared]
    is_shut: AtomicBool,
    /// True while the thread looks at the clock.
    asks: Cell<bool>,
    /// True while the thread is in the program's limit handler.
    in_handler: Cell<bool>,
    /// Blocks freed to shut lists since the thread last looked at the clock.
    frees: Cell<u32>,
    /// The time-stamp counter at the last look at the clock.
    looked_at: Cell<u64>,
    /// Allocations from shut lists until the thread reads that counter again.
    until_ticks: Cell<u8>,
    /// Allocations from shut lists until the next call of `drain_idle`.
    until_turn: Cell<u8>,
    /// The classes that no longer borrow, as bits (LE2).
    own_classes: Cell<u64>,
    /// Bytes that the limits of the lists exceed their common bound by (GR1).
    granted: Cell<usize>,
    /// The classes whose limits exceed that bound, as bits (GR2).
    granted_classes: Cell<u64>,
    /// The number of the list that `drain_idle` examines next.
    idle_turn: Cell<u8>,
    /// The arena whose central lists the thread uses.
    arena: Cell<ArenaIdx>,
    /// Blocks that the thread fetches until the next sample.
    until_sample: Cell<u32>,
    /// The state of the thread's random numbers.
    random: Cell<u64>,
    /// Link in the stack of caches that wait for a thread. [pool's lock]
    next_idle: Cell<*const Self>,
    /// Link in the stack of all caches that were mapped. [pool's lock]
    next_made: Cell<*const Self>,
    /// What places blocks at random; unused unless the variant does.
    pub(crate) placing: Random,
    /// Freed blocks that wait; null until the first does.
    quarantine: Cell<*mut Quarantine>,
    // Last, in a page that most threads never need.
    /// Free spans.
    spans: Spans,
    /// Blocks that go home with the next batch.
    pub(crate) outbox: Outbox,
}

/// The thread cache of a variant.
pub(crate) type CacheOf<V> = ThreadCache<<V as Cached>::Tables>;

/// What the slow paths know of one list.
pub(crate) struct ListLimits {
    /// Blocks that the last refill asked for. The next refill asks for twice as many.
    refill: Cell<u32>,
    /// The list's newest block when `drain_idle` last examined it; 0 for none.
    newest_seen: Cell<usize>,
    /// True if the blocks of the last batch that went home were of many slabs.
    scattered: Cell<bool>,
    /// Bytes of the blocks that the class has borrowed.
    borrowed: Cell<u32>,
    /// The list's blocks while it is shut.
    pub(crate) aside: FreeList,
}

const _: () = assert!(offset_of!(ThreadCache<()>, lists) == 0, "the hottest first");

// SAFETY: only the owner thread touches a cache, with three exceptions. The tables are `Sync`, `is_shut` is atomic, and
// the links are touched under the pool's lock. A cache changes threads through the stack of idle caches, under that
// lock. The lists of placeholders are closed. Threads write only to the counts of these lists, by `count_up` or
// atomically (W3). They write to nothing else in a placeholder.
unsafe impl<T: Sync> Sync for ThreadCache<T> {}

/// A variant with the statics of its thread caches. They are apart from [`Shared`], which `central` uses, since their
/// types lie above `central`.
pub(crate) trait Cached: Shared {
    /// The tables of its caches; `()` unless the variant has the C face.
    type Tables: Tables;
    /// This thread's cache, or a placeholder.
    fn cache() -> &'static CacheOf<Self>;
    /// Sets the slot's pointer. It does nothing if the slot holds the cache itself.
    fn set_cache(cache: &'static CacheOf<Self>);
    /// The placeholder of dead threads, for slots that hold a pointer.
    fn dead() -> &'static CacheOf<Self>;
    /// The pool of caches that wait for a thread, for slots that hold a pointer.
    fn pool() -> &'static CachePool<Self::Tables>;
    /// The hook that closes a thread's cache when the thread ends.
    fn hook() -> &'static ExitHook<CloseCache<Self>>;
    /// A new closed cache, in pages of its own; `None` when memory is exhausted.
    fn new_cache() -> Option<&'static CacheOf<Self>>;

    /// True if threads may share a closed list, and so must write to it only by `count_up` or atomically.
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
            in_handler: Cell::new(false),
            frees: Cell::new(0),
            looked_at: Cell::new(0),
            until_ticks: Cell::new(0),
            until_turn: Cell::new(0),
            own_classes: Cell::new(0),
            granted: Cell::new(0),
            granted_classes: Cell::new(0),
            idle_turn: Cell::new(0),
            outbox: Outbox::new(),
            spans: Spans::new(),
            arena: Cell::new(ArenaIdx::FIRST),
            until_sample: Cell::new(0),
            random: Cell::new(0),
            next_idle: Cell::new(ptr::null()),
            next_made: Cell::new(ptr::null()),
            placing: Random::new(),
            quarantine: Cell::new(ptr::null_mut()),
        }
    }

    /// A cache that no thread has opened yet.
    pub(crate) const fn uninit(tables: T) -> Self {
        Self::new(State::Uninit, tables)
    }

    /// Makes a cache that no thread has opened yet, in pages of its own, which stay mapped. `None` when memory is
    /// exhausted.
    ///
    /// It writes to the tables and the lists alone, so the pages of all else get memory when the thread needs them.
    pub(crate) fn map(tables: T) -> Option<&'static Self> {
        const { assert!(align_of::<Self>() <= PAGE_BYTES) };
        let cache = pages::map(size_of::<Self>())?.cast::<MaybeUninit<Self>>();
        // SAFETY: fresh pages, large enough and aligned, that no other code knows of.
        let cache = unsafe { &mut *cache.as_ptr() };
        let place = cache.as_mut_ptr();
        let lists = [const { FreeList::closed() }; MAX_CLASSES];
        const { assert!(offset_of!(Self, tables) == 0) };
        // SAFETY: the first field of the cache, to which nothing refers yet.
        unsafe { place.cast::<T>().write(tables) };
        // SAFETY: inside the cache.
        let place = unsafe { place.byte_add(offset_of!(Self, lists)) };
        // SAFETY: the field at that offset, to which nothing refers yet.
        unsafe { place.cast::<[FreeList; MAX_CLASSES]>().write(lists) };
        // SAFETY: the two fields are written above. Fresh pages are zero, which is the value that `new` gives to all
        // other fields of an `Uninit` cache: numbers, null pointers, `false`, the first index, and `Uninit`.
        Some(unsafe { cache.assume_init_ref() })
    }

    /// A placeholder for the cache of a dead thread.
    pub(crate) const fn dead(tables: T) -> Self {
        Self::new(State::Dead, tables)
    }

    #[inline(always)]
    pub(crate) fn list(&self, class: ClassIdx) -> &FreeList {
        &self.lists[class.index()]
    }

    /// The list at an offset from the first list.
    #[inline(always)]
    pub(crate) fn list_at_offset(&self, offset: ListOffset) -> &FreeList {
        const { assert!(size_of::<FreeList>() == LIST_BYTES) };
        let list = self.lists.as_ptr().wrapping_byte_add(offset.bytes());
        // SAFETY: an offset is 16 times an index below `MAX_CLASSES`, since only `ListOffset::of` makes one. So an
        // element of the array is there, and the pointer is the array's.
        unsafe { &*list }
    }

    /// The arena whose central lists the thread uses.
    pub(crate) fn arena(&self) -> ArenaIdx {
        self.arena.get()
    }

    /// The central list that serves this thread for a class.
    fn list_id<V: Shared>(&self, class: ClassIdx) -> ListId {
        central::list_id::<V>(self.arena.get(), class)
    }

    pub(crate) fn list_limits(&self, class: ClassIdx) -> &ListLimits {
        &self.list_limits[class.index()]
    }

    /// True if the thread has a cache. It is one test: the open states have the lowest bit.
    #[inline(always)]
    pub(crate) fn is_open(&self) -> bool {
        self.state.get() as u8 & State::Open as u8 != 0
    }

    /// True while the lists are shut (Z3).
    #[inline(always)]
    pub(crate) fn is_shut(&self) -> bool {
        // ORDERING: relaxed; a thread that does not see the change yet takes the fast path once more, which is
        // harmless.
        self.is_shut.load(Ordering::Relaxed)
    }

    /// True if the thread's blocks lie aside (Z3).
    pub(crate) fn lies_aside<V: Cached>(&self) -> bool {
        !V::COUNTED && self.is_shut()
    }

    /// The list that has the blocks of a class, aside or not.
    fn blocks<V: Cached>(&self, class: ClassIdx) -> &FreeList {
        if self.lies_aside::<V>() { &self.list_limits(class).aside } else { self.list(class) }
    }
}

impl ListLimits {
    const fn new() -> Self {
        Self {
            refill: Cell::new(0),
            newest_seen: Cell::new(0),
            scattered: Cell::new(false),
            borrowed: Cell::new(0),
            aside: FreeList::unbounded(),
        }
    }
}

/// Sends home what the cache has apart from its lists.
pub(crate) fn flush<V: Cached>(cache: &CacheOf<V>) {
    if V::QUARANTINE > 0 {
        quarantine::flush::<V>(cache);
    }
    outbox::flush::<V>(cache);
    spans::flush::<V>(cache);
}
