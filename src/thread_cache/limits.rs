//! The limits of a thread's lists.
//!
//! | knob `list_bound` | a list's limit |
//! |---|---|
//! | `blocks` | `list_limit` blocks, from the start |
//! | `bytes` | two batches at first; a refill raises it by the blocks that it fetches, up to 64 KiB |
//! | `share` | as `bytes`, and above 64 KiB while the excess of all lists stays below the thread's share of the heap |
//!
//! The share is an eighth of the slices in use, divided by the number of threads with a cache, and 4 MiB at most.
//! As the heap shrinks, limits shrink: by a batch whenever a list gives a batch back. While much memory waits for a
//! purge, they also shrink at each look at the clock.
//!
//! GR1  `granted` is the sum, over the lists of a thread, of the bytes by which the list's limit exceeds 64 KiB.
//! GR2  A class's bit in `granted_classes` is set exactly while its list's limit exceeds 64 KiB.

use super::{CacheOf, Cached};
use crate::base::{ClassIdx, MAX_CLASSES, quotient};
use crate::central;
use crate::stats::{Unsound, ensure};
use crate::variant::{Bound, least_limit, list_bytes_limit};

/// All threads together may keep one byte in this many bytes of the heap in lists.
const PART: usize = 8;
/// Bytes that a thread may keep above the 64 KiB of each list, at most.
const MOST_BYTES: usize = 4 << 20;
/// Batches that one call of [`shrink`] gives back, at most.
const BATCHES: u32 = 8;

const _: () = assert!(MAX_CLASSES <= u64::BITS as usize, "a bit for each class");

/// Bytes that a thread's lists may hold above 64 KiB each.
fn share<V: Cached>() -> usize {
    match V::LIST_BOUND {
        Bound::Blocks | Bound::Bytes => 0,
        Bound::Share => {
            quotient(V::page_heap().bytes_in_use(), PART * V::page_heap().users.threads())
                .min(MOST_BYTES)
        }
    }
}

/// An error unless `granted` and `granted_classes` are those of the lists (GR1, GR2). For audits.
pub(crate) fn check<V: Cached>(cache: &CacheOf<V>) -> Result<(), Unsound> {
    if V::LIST_BOUND != Bound::Share {
        return Ok(());
    }
    let mut sum = 0;
    for class in ClassIdx::all(V::CLASSES.count()) {
        let beyond = beyond::<V>(cache, class);
        let is_noted = cache.granted_classes.get() & 1 << class.index() != 0;
        let at = core::ptr::from_ref(cache.list(class)).addr();
        ensure(is_noted == (beyond > 0), "GR2, a list whose limit is raised", at)?;
        sum += beyond;
    }
    ensure(cache.granted.get() == sum, "GR1, the bytes of raised limits", 0)
}

/// Raises the limit of an empty list by the blocks of its refill.
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

/// Lowers the limit of a list by a batch if the thread's limits exceed its share, because the heap shrank.
pub(super) fn follow<V: Cached>(cache: &CacheOf<V>, class: ClassIdx) {
    if cache.granted.get() <= share::<V>() {
        return;
    }
    let (list, base) = (cache.list(class), list_bytes_limit::<V>(class));
    let batch = u32::from(V::BATCHES[class.index()]);
    set_limit::<V>(cache, class, list.limit().saturating_sub(batch).max(base.min(list.limit())));
    let surplus = list.len().saturating_sub(list.limit());
    central::give_some::<V>(cache.list_id::<V>(class), list, surplus.min(batch));
}

/// Sets a list's limit back to its first value.
pub(super) fn reset<V: Cached>(cache: &CacheOf<V>, class: ClassIdx) {
    set_limit::<V>(cache, class, first::<V>(class));
}

/// The limit of a list in a newly opened cache.
pub(super) const fn first<V: Cached>(class: ClassIdx) -> u32 {
    match V::LIST_BOUND {
        Bound::Blocks => V::LIST_LIMIT,
        Bound::Bytes | Bound::Share => least_limit::<V>(class),
    }
}

/// Gives back up to [`BATCHES`] batches of the first list whose limit exceeds 64 KiB.
pub(super) fn shrink<V: Cached>(cache: &CacheOf<V>) {
    let granted = cache.granted_classes.get();
    if granted == 0 {
        return;
    }
    let class = ClassIdx::new(granted.trailing_zeros() as usize % MAX_CLASSES);
    let base = list_bytes_limit::<V>(class);
    debug_assert!(cache.list(class).limit() > base, "GR2");
    let list = cache.blocks::<V>(class);
    let most = BATCHES * u32::from(V::BATCHES[class.index()]);
    let given = list.len().saturating_sub(base).min(most);
    // The limit shrinks by as much, or the next frees would fill the list again.
    let limit = if given < most { base } else { base.max(list.limit().saturating_sub(given)) };
    set_limit::<V>(cache, class, limit);
    central::give_some::<V>(cache.list_id::<V>(class), list, given);
}

/// Bytes by which a list's limit exceeds 64 KiB.
fn beyond<V: Cached>(cache: &CacheOf<V>, class: ClassIdx) -> usize {
    let blocks = cache.list(class).limit().saturating_sub(list_bytes_limit::<V>(class));
    blocks as usize * V::CLASSES.block_bytes(class)
}

/// Sets a list's limit, and keeps GR1.
fn set_limit<V: Cached>(cache: &CacheOf<V>, class: ClassIdx, limit: u32) {
    let others = cache.granted.get() - beyond::<V>(cache, class);
    cache.list(class).set_limit(limit);
    let own = beyond::<V>(cache, class);
    cache.granted.set(others + own);
    let bit = 1 << class.index();
    let rest = cache.granted_classes.get() & !bit;
    cache.granted_classes.set(if own > 0 { rest | bit } else { rest });
}
