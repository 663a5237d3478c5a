//! Layer 6: what the threads of a variant of the central backend share.
//!
//! ```text
//!         refill: a batch ▲            │ drain: a batch
//!        ┌────────────────┴────────────▼────────────────┐
//!        │ arena: per class, slabs with blocks, by      │  a lock for each class of each arena
//!        │        fullness; of large blocks, in the     │
//!        │        first arena, a transfer cache as well │
//!        └────────────────▲────────────┬────────────────┘
//!         a free slice    │            │ a slab with every block home
//!        ┌────────────────┴────────────▼────────────────┐   spans of slices for large blocks
//!        │ page heap: segments with free slices         │ ◀──────────────────────────────────
//!        └────────────────▲────────────┬────────────────┘   pages of the map cache for larger ones
//!                    map  │            │ purge, unmap
//! ```
//!
//! N1  A block of a class is in exactly one place: its slab (a bit), a transfer cache, a batch on its way, a list of a
//!     thread cache, the blocks that a thread has put aside, its outbox, a parked list, or the program's hands.
//! N2  A slab is in the bin of its fullness, in its class's central list, exactly while it has blocks.
//! N3  A thread takes locks in this order (`base::rank`): the cache pool, the round of purging, the parked lists, the
//!     central lists by arena and then by class, the transfer caches, the page heap, the huge blocks, the fenced ones, the
//!     sampled ones. A thread holds more than one lock
//!     only to purge, to get or give a slice, to count all memory in use, and around a fork. A thread that holds a
//!     central list's lock, and reclaims slices or takes over a slab of another arena, tries the locks of other lists
//!     but never waits for one.
//!
//! Never: touches the lists of a thread cache.

mod access;
mod arena;
mod assembly;
mod audit;
mod background;
mod bins;
mod dirty;
pub(crate) mod empty;
mod exchange;
mod extents;
pub(crate) mod fenced;
mod figures;
mod held;
mod huge;
mod huge_blocks;
mod huge_pages;
mod keep;
mod limit;
mod list;
mod low_water;
mod map_cache;
mod numbers;
mod page_heap;
mod parked;
mod pending;
mod purge;
mod ranges;
mod relocation;
mod round;
mod samples;
mod segments;
#[cfg(test)]
mod tests;
mod tidy;
mod transfer;
mod tuning;
mod usage;

pub(crate) use arena::{Arena, join, leave, used};
pub(crate) use audit::check_shared;
pub(crate) use background::{ask, start_if_wanted, stop};
pub(crate) use empty::EmptyBlocks;
pub(crate) use exchange::{give, give_some, take, take_one, with_slab};
pub(crate) use held::Fenced;
pub(crate) use huge::{HOPELESS, Moved, huge_alloc, huge_free, huge_resize, mapping_bytes};
pub(crate) use huge_blocks::HugeBlocks;
pub(crate) use list::{CentralList, ListId, list_id};
pub(crate) use page_heap::PageHeap;
pub(crate) use parked::Parked;
use parked::parks;
pub(crate) use purge::{at_stake, fenced_bytes, idle_bytes, purge_all, tick, tick_alone};
pub(crate) use transfer::Transfer;
pub(crate) use usage::usage;

use crate::base::{ArenaIdx, ClassIdx};
use crate::page_map::PageMap;
use crate::stats::Counters;
use crate::sys::atomic::AtomicU32;
use crate::sys::lock::Lock;
use crate::variant::{Large, Variant};

/// A variant together with the state that its threads share.
pub(crate) trait Shared: Variant {
    /// The arenas.
    fn arenas() -> &'static [Arena];
    /// The transfer cache of a class.
    fn transfer(class: ClassIdx) -> &'static Transfer;
    /// The lists that ended threads left.
    fn parked() -> &'static Parked;
    /// The page heap, and with it all other state of the whole variant.
    fn page_heap() -> &'static PageHeap;
    /// The page map.
    fn page_map() -> &'static PageMap;
    /// The records of huge blocks, for callers that free by address alone.
    fn huge_blocks() -> &'static HugeBlocks;
    /// The huge blocks between fences, and what is kept of freed ones.
    fn fenced() -> &'static Fenced;
    /// The blocks of 0 bytes.
    fn empty_blocks() -> &'static EmptyBlocks;
    /// The event counters that all threads share. No hot path counts here.
    fn counters() -> &'static Counters;

    /// An arena.
    #[inline]
    fn arena(arena: ArenaIdx) -> &'static Arena {
        &Self::arenas()[arena.index() % Self::ARENAS]
    }

    /// An arena's central list of a class.
    #[inline]
    fn central(arena: ArenaIdx, class: ClassIdx) -> &'static CentralList {
        Self::arena(arena).list(class)
    }
}

impl Parked {
    pub(crate) const fn new() -> Self {
        Self::over(Lock::over(AtomicU32::new(0)))
    }
}

impl Transfer {
    pub(crate) const fn new() -> Self {
        Self::over(Lock::over(AtomicU32::new(0)), AtomicU32::new(0))
    }
}

/// The central lists of all arenas in use, ordered by arena and then by class.
pub(crate) fn lists<V: Shared>() -> impl Iterator<Item = &'static CentralList> {
    used::<V>().flat_map(|arena| {
        ClassIdx::all(V::CLASSES.count()).map(move |class| V::central(arena, class))
    })
}

/// Takes every lock, before a fork. No other thread is then in the middle of a change. The caller holds the lock of the
/// cache pool, so no arena comes into use meanwhile.
pub(crate) extern "C" fn lock_all<V: Shared>() {
    V::page_heap().round.lock.lock_in_turn();
    if parks::<V>() {
        V::parked().lock.lock_in_turn();
    }
    for list in lists::<V>() {
        list.lock.lock_in_turn();
    }
    for class in ClassIdx::all(V::CLASSES.count()) {
        V::transfer(class).lock.lock_in_turn();
    }
    V::page_heap().lock.lock_in_turn();
    if V::RECORDS_HUGE {
        V::huge_blocks().lock.lock_in_turn();
    }
    if V::LARGE == Large::Fenced {
        V::fenced().lock.lock_in_turn();
    }
    V::page_heap().sampled.lock();
}

/// Gives up every lock, after a fork, in the parent and in the child.
pub(crate) extern "C" fn unlock_all<V: Shared>() {
    V::page_heap().sampled.unlock();
    if V::LARGE == Large::Fenced {
        V::fenced().lock.unlock();
    }
    if V::RECORDS_HUGE {
        V::huge_blocks().lock.unlock();
    }
    V::page_heap().lock.unlock();
    for class in ClassIdx::all(V::CLASSES.count()) {
        V::transfer(class).lock.unlock();
    }
    for list in lists::<V>() {
        list.lock.unlock();
    }
    if parks::<V>() {
        V::parked().lock.unlock();
    }
    V::page_heap().round.lock.unlock();
}
