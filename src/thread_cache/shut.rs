//! Shut lists: how a thread that is served from its lists alone comes by the clock.
//!
//! Memory that waits goes back from the slow paths. A thread that allocates a block and frees it, again and again, takes
//! none: its list always has the one. So while much waits, a thread *shuts* its lists: every allocation goes the slow
//! way, and sees the clock.
//!
//! | lists | shut | an allocation | a free |
//! |---|---|---|---|
//! | of the C face | the tables lead from no size to a list | slow, from the list | as ever |
//! | of `GlobalAlloc` | each is closed, and its blocks lie *aside* | slow, from what lies aside | slow, to lie aside |
//!
//! | a thread's lists | a slow path finds | become |
//! |---|---|---|
//! | open | that much waits | shut |
//! | shut | that nothing waits any more | open |
//!
//! Much is a part of all memory (`PageHeap::is_much`): in a steady state lists are open. Of the slow frees in a row one in
//! [`FREES`] sees the clock, since who frees much at once allocates nothing meanwhile.
//!
//! An allocation that comes within [`TICKS`] of the last look is served at once: a busy thread pays little.
//!
//! A thread that has blocks at hand, and comes by no slow path, learns of it in the C face: the first thread to see that
//! much waits shuts the lists of all.
//!
//! Z3  While lists are shut that no tables lead to, each of them is closed, and its blocks are in `aside`.
//!
//! Never: shuts lists with a lock held but that of the cache pool, for a moment, and in the C face.

use super::{CacheOf, Cached, Tables, ThreadCache, limits};
use crate::base::ClassIdx;
use crate::central;
use crate::sys::atomic::Ordering;
use crate::sys::clock;

/// Blocks that are freed in a row between two looks at the clock.
const FREES: u32 = 32;
/// Ticks of the time-stamp counter between two looks at the clock: a fraction of a millisecond.
const TICKS: u64 = 1 << 20;
/// Allocations between two looks for an idle list: about as many as between two refills.
const TURNS: u8 = 64;

/// Looks at the clock, gives back what is due, and shuts or opens the lists. Whether they are shut.
pub(super) fn maintain<V: Cached>(cache: &'static CacheOf<V>) -> bool {
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
    cache.frees.set(0);
    purge_pending
}

/// Whether an allocation from a shut list need not look at the clock.
#[inline]
pub(super) fn serves_at_once<T>(cache: &ThreadCache<T>) -> bool {
    clock::ticks().is_some_and(|now| now.wrapping_sub(cache.looked_at.get()) < TICKS)
}

/// Whether an allocation from a shut list is to look for an idle one, too.
pub(super) fn is_turn<T>(cache: &ThreadCache<T>) -> bool {
    let left = cache.until_turn.get();
    cache.until_turn.set(left.checked_sub(1).unwrap_or(TURNS));
    left == 0
}

/// Whether a block that is freed to a shut list need look no further.
pub(super) fn takes_at_once<V: Cached>(cache: &CacheOf<V>) -> bool {
    if !cache.lies_aside::<V>() {
        return false;
    }
    let frees = cache.frees.get();
    cache.frees.set(frees + 1);
    frees < FREES
}

/// Shuts the lists of a thread, the caller or another one, which opens them itself: those that tables lead to.
pub(super) fn shut_from_afar<V: Cached>(cache: &'static CacheOf<V>) {
    if cache.is_shut() {
        return;
    }
    // ORDERING: relaxed: see `Cache::is_shut`.
    cache.is_shut.store(true, Ordering::Relaxed);
    cache.tables.set_quick::<V>(false);
}

fn shut<V: Cached>(cache: &'static CacheOf<V>) {
    if cache.is_shut() {
        return;
    }
    if V::COUNTED {
        return shut_from_afar::<V>(cache);
    }
    // ORDERING: relaxed, here and below: see `Cache::is_shut`.
    cache.is_shut.store(true, Ordering::Relaxed);
    for class in ClassIdx::all(V::CLASSES.count()) {
        let list = cache.list(class);
        cache.list_limits(class).aside.take_over(list);
        list.close();
    }
}

/// Opens lists that are shut.
pub(super) fn open<V: Cached>(cache: &'static CacheOf<V>) {
    if !cache.is_shut() {
        return;
    }
    if V::COUNTED {
        // One thing at a time: another thread may be shutting them.
        return V::pool().with_made(|| {
            // It may be just the news that much waits.
            if V::page_heap().purge_pending::<V>() {
                return;
            }
            // ORDERING: relaxed, as above.
            cache.is_shut.store(false, Ordering::Relaxed);
            cache.tables.set_quick::<V>(true);
        });
    }
    // ORDERING: relaxed, as above.
    cache.is_shut.store(false, Ordering::Relaxed);
    for class in ClassIdx::all(V::CLASSES.count()) {
        let list = cache.list(class);
        list.open(list.limit());
        list.take_over(&cache.list_limits(class).aside);
    }
}
