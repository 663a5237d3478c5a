//! Shut lists: they make a thread look at the clock although its lists could serve it.
//!
//! Only the slow paths purge. A thread that allocates and frees one block again and again takes no slow path, because
//! its list always has that block. So while much memory waits for a purge, a thread *shuts* its lists. Every allocation
//! then takes the slow path, and looks at the clock.
//!
//! | lists | while they are shut | an allocation | a free |
//! |---|---|---|---|
//! | of the C face | the tables lead every size to a closed list | slow, from the list | fast, to the list |
//! | of `GlobalAlloc` | each list is closed, and its blocks lie *aside* | slow, from `aside` | slow, to `aside` |
//!
//! | a thread's lists | a slow path finds | become |
//! |---|---|---|
//! | open | that much memory waits | shut |
//! | shut | that little memory waits | open |
//!
//! *Much* is a part of all memory (`PageHeap::is_much`). In a steady state lists are open.
//!
//! A busy thread pays little. An allocation within [`TICKS`] of the last look at the clock is served at once. Of slow
//! frees in a row only one in [`FREES`] looks at the clock.
//!
//! In the C face the first thread that sees much memory wait shuts the lists of all threads. So a thread that takes no
//! slow path learns of it, too.
//!
//! Z3  While the lists of a variant without tables are shut, each of them is closed, and its blocks are in `aside`.
//!
//! Never: shuts lists with a lock held, except that the C face briefly holds the lock of the cache pool.

use super::{CacheOf, Cached, Tables, ThreadCache, limits, spans};
use crate::base::{ClassIdx, rank};
use crate::central;
use crate::sys::atomic::Ordering;
use crate::sys::{clock, held};

/// Frees in a row between two looks at the clock.
const FREES: u32 = 32;
/// Allocations between two readings of the time-stamp counter.
const ALLOCATIONS: u8 = 15;
/// Ticks of the time-stamp counter between two looks at the clock: a fraction of a millisecond.
const TICKS: u64 = 1 << 20;
/// Allocations between two calls of `drain_idle`: about as many as between two refills.
const TURNS: u8 = 64;

/// Looks at the clock, goes on with a purge that is due, and shuts or opens the lists. True if much memory waits for a
/// purge.
pub(crate) fn maintain<V: Cached>(cache: &'static CacheOf<V>) -> bool {
    central::tick::<V>(&cache.asks);
    cache.looked_at.set(clock::ticks().unwrap_or(0));
    let purge_pending = V::page_heap().purge_pending::<V>();
    if purge_pending {
        limits::shrink::<V>(cache);
        shut::<V>(cache);
        if V::page_heap().is_news::<V>() {
            V::pool().shut_others::<V>();
        }
    } else {
        open::<V>(cache);
    }
    spans::renew::<V>(cache);
    cache.frees.set(0);
    purge_pending
}

/// True if an allocation from a shut list need not look at the clock. It counts the allocation, and reads the counter
/// of ticks only for one in [`ALLOCATIONS`], since reading it takes longer than a hit.
#[inline]
pub(crate) fn serves_at_once<T>(cache: &ThreadCache<T>) -> bool {
    let left = cache.until_ticks.get();
    if left > 0 {
        cache.until_ticks.set(left - 1);
        return true;
    }
    let serves = clock::ticks().is_some_and(|now| now.wrapping_sub(cache.looked_at.get()) < TICKS);
    if serves {
        cache.until_ticks.set(ALLOCATIONS);
    }
    serves
}

/// True if the thread looked at the clock a fraction of a millisecond ago, or the clock is stopped.
pub(crate) fn has_just_looked<T>(cache: &ThreadCache<T>) -> bool {
    clock::ticks().is_none_or(|now| now.wrapping_sub(cache.looked_at.get()) < TICKS)
}

/// True if it is time to call `drain_idle` in an allocation from a shut list.
pub(super) fn is_turn<T>(cache: &ThreadCache<T>) -> bool {
    let left = cache.until_turn.get();
    cache.until_turn.set(left.checked_sub(1).unwrap_or(TURNS));
    left == 0
}

/// True if a free to a shut list need not look at the clock.
pub(super) fn takes_at_once<V: Cached>(cache: &CacheOf<V>) -> bool {
    if !cache.lies_aside::<V>() {
        return false;
    }
    let frees = cache.frees.get();
    cache.frees.set(frees + 1);
    frees < FREES
}

/// Shuts the lists of any thread in the C face. The owner thread opens them again.
pub(super) fn shut_from_afar<V: Cached>(cache: &'static CacheOf<V>) {
    if cache.is_shut() {
        return;
    }
    // ORDERING: relaxed; the flag publishes nothing. A thread that reads the old value takes the other path once
    // more, which is harmless.
    cache.is_shut.store(true, Ordering::Relaxed);
    cache.tables.set_quick::<V>(false, 0);
}

fn shut<V: Cached>(cache: &'static CacheOf<V>) {
    if cache.is_shut() {
        return;
    }
    if V::COUNTED {
        return shut_from_afar::<V>(cache);
    }
    // ORDERING: relaxed; the flag publishes nothing. A thread that reads the old value takes the other path once
    // more, which is harmless.
    cache.is_shut.store(true, Ordering::Relaxed);
    for class in ClassIdx::all(V::CLASSES.count()) {
        let list = cache.list(class);
        cache.list_limits(class).aside.take_over(list);
        list.close();
    }
}

/// Opens lists that are shut.
pub(crate) fn open<V: Cached>(cache: &'static CacheOf<V>) {
    if !cache.is_shut() {
        return;
    }
    if V::COUNTED {
        // With the lock, since another thread may be shutting them.
        return V::pool().with_made(|| {
            held::check_rank(rank::CACHE_POOL);
            // Much memory may have begun to wait before this thread got the lock.
            if V::page_heap().purge_pending::<V>() {
                return;
            }
            // ORDERING: relaxed; the flag publishes nothing. A thread that reads the old value takes the other path
            // once more, which is harmless.
            cache.is_shut.store(false, Ordering::Relaxed);
            cache.tables.set_quick::<V>(true, cache.own_classes.get());
        });
    }
    // ORDERING: relaxed; the flag publishes nothing. A thread that reads the old value takes the other path once
    // more, which is harmless.
    cache.is_shut.store(false, Ordering::Relaxed);
    for class in ClassIdx::all(V::CLASSES.count()) {
        let list = cache.list(class);
        debug_assert!(list.len() == 0 && !list.has_room(), "Z3");
        list.open(list.limit());
        list.take_over(&cache.list_limits(class).aside);
    }
}
