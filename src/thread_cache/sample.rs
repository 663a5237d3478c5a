//! Which blocks are sampled: a thread counts the blocks that it fetches, and the refill after the count's end gives a
//! sampled block instead.
//!
//! | the thread | its refills |
//! |---|---|
//! | is `Open` | ask nothing |
//! | is `Sampling` | count their blocks, and sample one when the gap is over |
//!
//! A thread learns at its start whether blocks are sampled, and then once in as many refills and drains as there are
//! classes. So a thread that does not sample pays a comparison then, and nothing at a refill.
//!
//! Never: is asked on a hit.

use super::drain::drain_idle;
use super::lifecycle::open;
use super::{CacheOf, Cached, State, shut};
use crate::base::ClassIdx;
use crate::sampled::{gap, next};
use crate::sys::{clock, thread};
use core::ptr::{self, NonNull};

/// Starts to sample, or stops, if that was switched since the thread last asked. The cache is open.
#[inline]
pub(crate) fn follow<V: Cached>(cache: &CacheOf<V>) {
    let wanted = V::page_heap().sampled.mean() != 0;
    if wanted != (cache.state.get() == State::Sampling) {
        turn_cold::<V>(cache, wanted);
    }
}

#[cold]
#[inline(never)]
fn turn_cold<V: Cached>(cache: &CacheOf<V>, on: bool) {
    cache.state.set(if on { State::Sampling } else { State::Open });
    if on {
        let ticks = clock::ticks().unwrap_or(0);
        let seed = ptr::from_ref(cache).addr() as u64 ^ u64::from(thread::id()) << 32 ^ ticks;
        cache.random.set(next(next(seed)));
        start::<V>(cache);
    }
}

/// Starts a new gap. The sampled block at its end counts, too.
fn start<V: Cached>(cache: &CacheOf<V>) {
    let mean = V::page_heap().sampled.mean();
    cache.random.set(next(cache.random.get()));
    cache.until_sample.set(gap(mean, cache.random.get()) - 1);
}

/// Counts blocks that the thread fetched.
pub(crate) fn count<V: Cached>(cache: &CacheOf<V>, blocks: u32) {
    cache.until_sample.set(cache.until_sample.get().saturating_sub(blocks));
}

/// A sampled block, if the gap is over and the pool has room. The thread is `Sampling`, or has just opened its cache.
#[cold]
#[inline(never)]
pub(crate) fn due<V: Cached>(
    cache: &'static CacheOf<V>,
    size: usize,
    align: usize,
) -> Option<NonNull<u8>> {
    follow::<V>(cache);
    if cache.state.get() != State::Sampling || cache.until_sample.get() > 0 {
        return None;
    }
    start::<V>(cache);
    // Where all blocks are sampled, chance has no say: the program can be run again with the same result.
    let is_all = V::page_heap().sampled.mean() == 1;
    let at_end = is_all || cache.random.get() >> 63 == 0;
    let block = V::page_heap().sampled.allocate(size, align, at_end)?;
    // In place of the refill, which would have done so.
    shut::maintain::<V>(cache);
    drain_idle::<V>(cache, ClassIdx::new(0));
    Some(block)
}

/// A sampled block for a request that its own size and alignment are known of, if it is time for one.
#[inline]
pub(crate) fn exact<V: Cached>(size: usize, align: usize) -> Option<NonNull<u8>> {
    let cache = V::cache();
    if cache.state.get() == State::Open { None } else { exact_cold::<V>(cache, size, align) }
}

#[cold]
#[inline(never)]
fn exact_cold<V: Cached>(
    cache: &'static CacheOf<V>,
    size: usize,
    align: usize,
) -> Option<NonNull<u8>> {
    let cache = match cache.state.get() {
        State::Uninit if V::page_heap().sampled.mean() != 0 => open::<V>()?,
        State::Sampling => cache,
        State::Uninit | State::Open | State::Dead => return None,
    };
    due::<V>(cache, size, align)
}
