//! How many blocks a thread's lists may hold.
//!
//! | knob `list_bound` | a list's limit |
//! |---|---|
//! | `blocks` | `list_limit` blocks, from the start |
//! | `bytes` | two batches at first; a refill raises it by what it fetches, up to 64 KiB |
//! | `share` | so, too, and beyond, while what all lists of the thread may hold beyond stays below its share of the heap |
//!
//! The share is an eighth of the slices in use, divided by the threads that have lists, and 4 MiB at most. As the heap
//! shrinks, so do the lists, by a batch with each batch that comes over a limit; and where much memory waits to go back, with
//! each look at the clock.
//!
//! GR1  `granted` is how many bytes the limits of a thread's lists are beyond 64 KiB each.

use super::drain::give_some;
use super::{CacheOf, Cached};
use crate::base::{ClassIdx, quotient};
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
            quotient(V::page_heap().bytes_in_use(), PART * V::page_heap().users.threads())
                .min(MOST_BYTES)
        }
    }
}

/// Raises the limit of a list that was empty, by as many blocks as it is refilled with.
pub(super) fn raise<V: Cached>(cache: &CacheOf<V>, class: ClassIdx, blocks: u32) {
    if V::LIST_BOUND == Bound::Blocks {
        return;
    }
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
    give_some::<V>(cache, class, list, surplus.min(batch));
}

/// Takes a list's limit back to where it starts.
pub(super) fn reset<V: Cached>(cache: &CacheOf<V>, class: ClassIdx) {
    set_limit::<V>(cache, class, first::<V>(class));
}

/// The limit of a list as a thread starts out.
pub(super) const fn first<V: Cached>(class: ClassIdx) -> u32 {
    match V::LIST_BOUND {
        Bound::Blocks => V::LIST_LIMIT,
        Bound::Bytes | Bound::Share => least_limit::<V>(class),
    }
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
    let list =
        if cache.lies_aside::<V>() { &cache.list_limits(class).aside } else { cache.list(class) };
    let most = BATCHES * u32::from(V::BATCHES[class.index()]);
    let surplus = list.len().saturating_sub(base);
    if surplus <= most {
        set_limit::<V>(cache, class, base);
    }
    give_some::<V>(cache, class, list, surplus.min(most));
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
