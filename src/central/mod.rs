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
//!        └────────────────▲────────────┬────────────────┘   mappings of their own for larger ones
//!                    map  │            │ purge, unmap
//! ```
//!
//! N1  A block of a class is in exactly one place: its slab (a bit), a transfer cache, a batch on its way, a thread's list
//!     or what lies aside of it, its outbox, a parked list, or the program's hands.
//! N2  A slab is in its class's list of slabs of its fullness exactly while it has blocks.
//! N3  Locks are taken in the order: the cache pool's, the round's of purging, the parked lists', the central lists' by
//!     arena and then by class, then the page heap's, then the huge blocks'. A thread holds more than one only to purge, to get or
//!     give a slice, to count all that is in use, and around a fork. A thread that reclaims slices, or takes a slab over from
//!     another arena, holds a central list's lock and tries others', but never waits for one.
//!
//! Never: touches a thread's lists.

mod arena;
mod background;
mod bins;
mod dirty;
mod exchange;
mod huge;
mod huge_blocks;
mod list;
mod map_cache;
mod page_heap;
mod parked;
mod pending;
mod purge;
mod retained;
mod round;
mod segments;
mod tidy;
mod transfer;
mod tuning;
mod usage;

pub(crate) use arena::{Arena, join, leave, used};
pub(crate) use background::{ask, start_if_wanted, stop};
pub(crate) use exchange::{give, give_all, take, take_one, with_slab};
pub(crate) use huge::{HOPELESS, Moved, huge_alloc, huge_free, huge_resize, mapping_bytes};
pub(crate) use huge_blocks::HugeBlocks;
pub(crate) use list::{CentralList, ListId, list_id};
pub(crate) use page_heap::PageHeap;
pub(crate) use parked::Parked;
use parked::parks;
pub(crate) use purge::{at_stake, idle_bytes, purge_all, tick, tick_alone};
pub(crate) use transfer::Transfer;
pub use usage::Usage;
pub(crate) use usage::usage;

use crate::base::{ArenaIdx, ClassIdx};
use crate::page_map::PageMap;
use crate::stats::Counters;
use crate::variant::Variant;

/// A variant with what its threads share.
pub(crate) trait Shared: Variant {
    /// The sets of central lists.
    fn arenas() -> &'static [Arena];
    /// The transfer cache of a class.
    fn transfer(class: ClassIdx) -> &'static Transfer;
    /// The lists of threads that ended.
    fn parked() -> &'static Parked;
    /// The slices, free or not, and what else is for the whole variant.
    fn page_heap() -> &'static PageHeap;
    /// What lies where.
    fn page_map() -> &'static PageMap;
    /// The huge blocks, for who frees by address alone.
    fn huge_blocks() -> &'static HugeBlocks;
    /// What is counted for all threads at once: nothing on a hot path.
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

/// The central lists of the arenas that are in use, each arena's from the first class to the last.
pub(crate) fn lists<V: Shared>() -> impl Iterator<Item = &'static CentralList> {
    used::<V>().flat_map(|arena| {
        ClassIdx::all(V::CLASSES.count()).map(move |class| V::central(arena, class))
    })
}

/// Takes every lock, for a fork. The caller holds the lock of the cache pool, so no arena comes into use meanwhile: nobody else is in the middle of anything then.
pub(crate) extern "C" fn lock_all<V: Shared>() {
    V::page_heap().round.lock.lock();
    if parks::<V>() {
        V::parked().lock.lock();
    }
    for list in lists::<V>() {
        list.lock.lock();
    }
    V::page_heap().lock.lock();
    if V::BY_ADDRESS {
        V::huge_blocks().lock.lock();
    }
}

/// Gives every lock up, in the parent and in the child.
pub(crate) extern "C" fn unlock_all<V: Shared>() {
    if V::BY_ADDRESS {
        V::huge_blocks().lock.unlock();
    }
    V::page_heap().lock.unlock();
    for list in lists::<V>() {
        list.lock.unlock();
    }
    if parks::<V>() {
        V::parked().lock.unlock();
    }
    V::page_heap().round.lock.unlock();
}
