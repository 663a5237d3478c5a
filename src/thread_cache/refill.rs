//! The slow path of allocation: a refill moves a batch from the central list to the thread's list.

use super::drain::drain_idle;
use super::lifecycle::open;
use super::short::again_cold;
use super::{CacheOf, Cached, State, lend, limits, sample, shut};
use crate::base::{ClassIdx, ListOffset, quotient};
use crate::batch::Batch;
use crate::central;
use crate::free_block::FreeBlock;
use crate::variant::{Bound, Spread};
use core::ptr;

/// Bytes that a list's first refill asks for.
const FIRST_BYTES: usize = 1024;

/// Allocates a block when the thread's list is empty or closed; null when memory is exhausted.
#[cold]
#[inline(never)]
pub(crate) fn refill_cold<V: Cached>(class: ClassIdx) -> *mut u8 {
    let mut cache = V::cache();
    if cache.state.get() != State::Open {
        match prepare_cold::<V>(cache, class) {
            Ok(opened) => cache = opened,
            Err(block) => return block,
        }
    }
    or_purged::<V>(class, refill::<V>(cache, lend::serving::<V>(cache, class)))
}

/// The cache to refill, for a thread that has none yet, or samples blocks. Or else the block itself: a sampled one, or
/// one for a thread without a cache.
#[cold]
#[inline(never)]
fn prepare_cold<V: Cached>(
    cache: &'static CacheOf<V>,
    class: ClassIdx,
) -> Result<&'static CacheOf<V>, *mut u8> {
    let opened = match cache.state.get() {
        State::Open | State::Sampling => Some(cache),
        State::Uninit => open::<V>(),
        State::Dead => None,
    };
    let Some(cache) = opened else {
        return Err(or_purged::<V>(class, take_one::<V>(class)));
    };
    let bytes = V::CLASSES.block_bytes(class);
    // A block of a class is aligned to the largest power of two that divides its size.
    if let Some(block) = sample::due::<V>(cache, bytes, 1 << bytes.trailing_zeros()) {
        return Err(block.as_ptr());
    }
    // From shut lists blocks come one at a time.
    let blocks = if cache.lies_aside::<V>() { 1 } else { wanted::<V>(cache, class) };
    sample::count::<V>(cache, blocks);
    Ok(cache)
}

/// A block, or one that a purge makes free: the kernel has no more memory, and unused memory of this variant may be
/// enough.
#[inline(always)]
fn or_purged<V: Cached>(class: ClassIdx, block: Option<FreeBlock>) -> *mut u8 {
    let block = block.or_else(|| {
        again_cold::<V, _>(V::CLASSES.block_bytes(class), || {
            central::take_one::<V>(V::cache().list_id::<V>(class))
        })
    });
    // One that comes from no list still has its seal (FB4).
    block.map_or(ptr::null_mut(), |block| block.unseal::<V>().into_start().as_ptr())
}

/// Allocates a block as [`refill_cold`] does, and makes its first `bytes` zero.
///
/// # Safety
/// A block of the list's class has that many bytes.
#[cold]
#[inline(never)]
pub(crate) unsafe fn refill_zeroed_cold<V: Cached>(bytes: usize, offset: ListOffset) -> *mut u8 {
    let block = refill_cold::<V>(offset.class());
    if !block.is_null() {
        // SAFETY: the block has that many bytes, by the caller's condition, and only this thread has it.
        unsafe { block.write_bytes(0, bytes) };
    }
    block
}

/// A block for a thread without a cache.
fn take_one<V: Cached>(class: ClassIdx) -> Option<FreeBlock> {
    central::tick_alone::<V>();
    central::take_one::<V>(V::cache().list_id::<V>(class))
}

fn refill<V: Cached>(cache: &'static CacheOf<V>, class: ClassIdx) -> Option<FreeBlock> {
    let batch = u32::from(V::BATCHES[class.index()]);
    if cache.lies_aside::<V>() {
        if shut::is_turn(cache) {
            drain_idle::<V>(cache, class);
        }
        if shut::serves_at_once(cache)
            && let Some(block) = cache.list_limits(class).aside.pop_checked::<V>()
        {
            return Some(block);
        }
    }
    if shut::maintain::<V>(cache) && !V::COUNTED {
        let aside = &cache.list_limits(class).aside;
        return aside.pop_checked::<V>().or_else(|| {
            let mut fetched = Batch::new();
            central::take::<V>(cache.list_id::<V>(class), batch / 2 + 1, &mut fetched);
            aside.fill::<V>(&mut fetched);
            aside.pop_checked::<V>()
        });
    }
    let list = cache.list(class);
    // Opening the cache may have allocated, and so filled the list.
    if list.len() == 0 {
        let list_limits = cache.list_limits(class);
        let want = wanted::<V>(cache, class);
        list_limits.refill.set(want);
        limits::raise::<V>(cache, class, want);
        lend::count_refill::<V>(cache, class, want);
        let mut fetched = Batch::new();
        central::take::<V>(cache.list_id::<V>(class), want, &mut fetched);
        if V::SPREAD == Spread::Random {
            cache.placing.seed();
            fetched.shuffle(&cache.placing);
        }
        list.fill::<V>(&mut fetched);
        list_limits.newest_seen.set(0);
        drain_idle::<V>(cache, class);
    }
    list.pop_checked::<V>()
}

/// Blocks that the next refill of a class asks for.
pub(super) fn wanted<V: Cached>(cache: &CacheOf<V>, class: ClassIdx) -> u32 {
    let batch = u32::from(V::BATCHES[class.index()]);
    match V::LIST_BOUND {
        Bound::Blocks => batch,
        // A small batch at first, and twice as much each time: most threads use most classes little.
        Bound::Bytes | Bound::Share => {
            let first = quotient(FIRST_BYTES, V::CLASSES.block_bytes(class)).max(1) as u32;
            (cache.list_limits(class).refill.get() * 2).max(first).min(batch)
        }
    }
}
