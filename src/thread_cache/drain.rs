//! The slow path of freeing: a drain moves batches from the thread's list to the central list.

use super::lifecycle::open;
use super::outbox::Sent;
use super::{CacheOf, Cached, State, fill, limits, outbox, sample, shut, spans};
use crate::base::ClassIdx;
use crate::batch::Batch;
use crate::free_block::FreeBlock;
use crate::variant::least_limit;
use crate::{central, check};

/// Batches that one call of [`drain_idle`] gives back, at most.
const MOST_BATCHES: u32 = 8;
/// Bytes of a heap too large for the processor's caches.
const LARGE: usize = 64 << 20;

/// Frees a block whose list is at its limit, or closed. The list has counted the push that failed.
///
/// A push to a list below its limit fails only for a block with a seal. That ends the process, unless the program has
/// made the seal.
#[cold]
#[inline(never)]
pub(crate) fn overflow_cold<V: Cached>(block: FreeBlock, class: ClassIdx) {
    let mut cache = V::cache();
    let list = cache.list(class);
    list.undo_push();
    if list.has_room() {
        look::<V>(&block);
    }
    if cache.is_open() && !cache.lies_aside::<V>() {
        return overflow::<V>(cache, class, block);
    }
    if shut::takes_at_once::<V>(cache) {
        return put_aside::<V>(cache, class, block);
    }
    if cache.state.get() == State::Uninit && V::pool().frees_enough::<V>() {
        cache = open::<V>().unwrap_or(cache);
    }
    if !cache.is_open() {
        let mut batch = Batch::new();
        look::<V>(&block);
        let block = fill::wiped::<V>(block, class);
        block.seal::<V>();
        batch.push(block);
        central::give::<V>(cache.list_id::<V>(class), &mut batch);
        central::tick_alone::<V>();
        return;
    }
    if shut::maintain::<V>(cache) && !V::COUNTED {
        return put_aside::<V>(cache, class, block);
    }
    overflow::<V>(cache, class, block);
}

/// Ends the process if a block that a program frees was free already, in a variant that looks.
#[inline]
fn look<V: Cached>(block: &FreeBlock) {
    if block.was_free::<V>() {
        check::sealed::<V>(block.node().cast(), "double free:");
    }
}

/// Looks at all blocks of a batch, and seals them. The reads do not wait for each other, so they take less time than
/// one at each free would.
pub(super) fn look_and_seal<V: Cached>(batch: &Batch) {
    for block in batch.iter() {
        look::<V>(block);
        block.seal::<V>();
    }
}

/// Frees a block whose list is at its limit.
///
/// A batch of the newest blocks goes home, because the processor's caches still hold them. If the program frees blocks
/// all over a large heap, they go through the outbox instead, and no link is written to them one by one.
fn overflow<V: Cached>(cache: &'static CacheOf<V>, class: ClassIdx, block: FreeBlock) {
    let (list, list_limits) = (cache.list(class), cache.list_limits(class));
    let batch = u32::from(V::BATCHES[class.index()]);
    let block = match list_limits.scattered.get() {
        true => outbox::put::<V>(cache, class, block),
        false => Sent::Not(block),
    };
    let runs = match block {
        Sent::Waits => return,
        Sent::Home(runs) => runs,
        Sent::Not(block) => {
            look::<V>(&block);
            list.put::<V>(block);
            if list.len() < list.limit() {
                return;
            }
            let mut blocks = Batch::new();
            list.take::<V>(batch, &mut blocks);
            central::give::<V>(cache.list_id::<V>(class), &mut blocks)
        }
    };
    list_limits.scattered.set(runs * 2 > batch && V::page_heap().bytes_in_use() > LARGE);
    list_limits.newest_seen.set(0);
    limits::follow::<V>(cache, class);
    drain_idle::<V>(cache, class);
    shut::maintain::<V>(cache);
}

/// Frees a block to a list that is shut. A full list gives a batch to the central list.
#[inline]
fn put_aside<V: Cached>(cache: &'static CacheOf<V>, class: ClassIdx, block: FreeBlock) {
    look::<V>(&block);
    let aside = &cache.list_limits(class).aside;
    aside.put::<V>(block);
    if aside.len() >= least_limit::<V>(class) {
        let mut blocks = Batch::new();
        aside.take::<V>(V::BATCHES[class.index()].into(), &mut blocks);
        central::give::<V>(cache.list_id::<V>(class), &mut blocks);
    }
}

/// Examines one list per call, in turn, and drains it if it was not used since its last turn.
///
/// Blocks that lie idle in a list keep their slabs from becoming empty. The list of class `active` is in use.
pub(crate) fn drain_idle<V: Cached>(cache: &'static CacheOf<V>, active: ClassIdx) {
    let turn = usize::from(cache.idle_turn.get()) % V::CLASSES.count();
    cache.idle_turn.set(turn as u8 + 1);
    if turn == 0 {
        spans::drain_idle::<V>(cache);
        sample::follow::<V>(cache);
    }
    let class = ClassIdx::new(turn);
    let list_limits = cache.list_limits(class);
    let list = cache.blocks::<V>(class);
    let newest = list.newest();
    let seen = list_limits.newest_seen.replace(newest);
    if class == active {
        return;
    }
    outbox::flush_class::<V>(cache, class);
    if seen != newest || seen == 0 {
        return;
    }
    let most = MOST_BATCHES * u32::from(V::BATCHES[class.index()]);
    if list.len() <= most {
        return drain_list::<V>(cache, class);
    }
    // The rest goes home at the list's next turns, so that each call stays short.
    central::give_some::<V>(cache.list_id::<V>(class), list, most);
    list_limits.newest_seen.set(list.newest());
}

/// Moves every block of a class from the thread's cache to the central list.
pub(crate) fn drain_list<V: Cached>(cache: &'static CacheOf<V>, class: ClassIdx) {
    let list_limits = cache.list_limits(class);
    list_limits.refill.set(0);
    list_limits.newest_seen.set(0);
    let list = cache.blocks::<V>(class);
    central::give_some::<V>(cache.list_id::<V>(class), list, u32::MAX);
    outbox::flush_class::<V>(cache, class);
    if !cache.lies_aside::<V>() {
        limits::reset::<V>(cache, class);
    }
}
