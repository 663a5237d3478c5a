//! How many blocks a thread's lists may hold.
//!
//! | knob `list_bound` | a list's limit |
//! |---|---|
//! | `blocks` | `list_limit` blocks, from the start |
//! | `bytes` | two batches at first; a refill raises it by what it fetches, up to 64 KiB |
//! | `share` | so, too, and beyond, while what all lists of the thread may hold beyond stays below its share of the heap |
//!
//! The share is an eighth of the slots in use, divided by the threads that have lists. As the heap shrinks, so do the
//! lists, by a batch with each block that comes over a limit; and where much memory waits to go back, at once.
//!
//! GR1  `granted` is how many bytes the limits of a thread's lists are beyond 64 KiB each.

use super::{CacheOf, Cached};
use crate::base::{ClassIdx, quotient};
use crate::central;
use crate::list::Batch;
use crate::variant::{Bound, least_limit, list_bytes_limit};

/// The part of the heap that threads may keep in lists: one in so many bytes.
const PART: usize = 8;
/// Bytes that a thread may keep beyond the bounds of its lists, at most.
const MOST_BYTES: usize = 4 << 20;
/// Batches that go back from a list beyond its bound at a time, where much memory waits.
const BATCHES: u32 = 8;

/// Bytes that a thread's lists may hold beyond 64 KiB each.
fn share<V: Cached>() -> usize {
    match V::LIST_BOUND {
        Bound::Blocks | Bound::Bytes => 0,
        Bound::Share => {
            quotient(V::spans().bytes_in_use(), PART * V::spans().users.threads()).min(MOST_BYTES)
        }
    }
}

/// Raises the limit of a list that was empty, by as many blocks as it is refilled with.
pub(super) fn raise<V: Cached>(cache: &CacheOf<V>, class: ClassIdx, blocks: u32) {
    let (list, base) = (cache.list(class), list_bytes_limit::<V>(class));
    let wanted = (list.limit() + blocks).max(least_limit::<V>(class));
    if wanted <= base {
        return list.set_limit(wanted);
    }
    let bytes = V::CLASSES.block_bytes(class);
    let others = cache.granted.get() - beyond::<V>(cache, class);
    let room = quotient(share::<V>().saturating_sub(others), bytes);
    set_limit::<V>(cache, class, wanted.min(base + u32::try_from(room).unwrap_or(0)));
}

/// Lowers the limit of a list by a batch where the thread may hold less than it does, because the heap shrank.
pub(super) fn follow<V: Cached>(cache: &CacheOf<V>, class: ClassIdx) {
    if cache.granted.get() <= share::<V>() {
        return;
    }
    let (list, base) = (cache.list(class), list_bytes_limit::<V>(class));
    let batch = u32::from(V::BATCHES[class.index()]);
    set_limit::<V>(cache, class, list.limit().saturating_sub(batch).max(base.min(list.limit())));
    let surplus = list.len().saturating_sub(list.limit());
    let mut blocks = Batch::new();
    list.take(surplus.min(batch), &mut blocks);
    central::give::<V>(cache.me::<V>(class), &mut blocks);
}

/// Takes a list's limit back to where it starts.
pub(super) fn reset<V: Cached>(cache: &CacheOf<V>, class: ClassIdx) {
    set_limit::<V>(cache, class, least_limit::<V>(class));
}

/// Gives back some of what the lists hold beyond 64 KiB each: the next few batches of one of them.
pub(super) fn shrink<V: Cached>(cache: &CacheOf<V>) {
    if cache.granted.get() == 0 {
        return;
    }
    let Some(class) =
        ClassIdx::all(V::CLASSES.count()).find(|class| beyond::<V>(cache, *class) > 0)
    else {
        return;
    };
    let base = list_bytes_limit::<V>(class);
    let list = if cache.lies_aside::<V>() { &cache.demand(class).aside } else { cache.list(class) };
    let most = BATCHES * u32::from(V::BATCHES[class.index()]);
    let surplus = list.len().saturating_sub(base);
    if surplus <= most {
        set_limit::<V>(cache, class, base);
    }
    if surplus > 0 {
        let mut batch = Batch::new();
        let left = list.len() - surplus.min(most);
        while list.len() > left {
            list.take(list.len() - left, &mut batch);
            central::give::<V>(cache.me::<V>(class), &mut batch);
        }
    }
}

/// Bytes that a list's limit is beyond 64 KiB.
fn beyond<V: Cached>(cache: &CacheOf<V>, class: ClassIdx) -> usize {
    let blocks = cache.list(class).limit().saturating_sub(list_bytes_limit::<V>(class));
    blocks as usize * V::CLASSES.block_bytes(class)
}

/// Sets a limit, and keeps GR1.
fn set_limit<V: Cached>(cache: &CacheOf<V>, class: ClassIdx, limit: u32) {
    let others = cache.granted.get() - beyond::<V>(cache, class);
    cache.list(class).set_limit(limit);
    cache.granted.set(others + beyond::<V>(cache, class));
}
