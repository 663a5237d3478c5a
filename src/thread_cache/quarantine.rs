//! The quarantine: freed blocks of a thread that wait before they can be handed out again.
//!
//! ```text
//!  freed ──▶ a random slot ──▶ the block that was there goes on to its list
//! ```
//!
//! A block thus waits for a random number of frees, as many on average as there are slots. So neither a program nor an
//! attacker knows which request gets a freed block, and a late write to it mostly hits a block that nothing uses. The
//! idea is that of `DieHarder` (Novark and Berger 2010) and of OpenBSD's malloc.
//!
//! QU1  A slot holds 0, or a free block of its class that only the quarantine refers to.
//! QU2  A quarantine is one thread's, or waits for one. It changes hands with the lock of the cache pool held.
//!
//! Never: locks, or keeps blocks of a thread without a cache.

use super::drain::overflow_cold;
use super::{CacheOf, Cached};
use crate::base::{ListOffset, rank};
use crate::free_block::FreeBlock;
use crate::sys::{held, pages};
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// Bytes of the largest blocks that all slots take. Larger ones would keep much memory, and have slots of their own.
const SMALL: usize = 1024;
/// One slot for larger blocks to so many others.
const LARGER: usize = 16;
/// The most slots for small blocks, which the knob `quarantine` says.
const MOST: usize = 1024;

/// A thread's quarantine. Zero bytes are an empty one. [owner]
pub(super) struct Quarantine {
    /// Link among those that wait for a thread, and among all that were mapped. [pool's lock]
    next_free: Cell<*mut Quarantine>,
    next_made: Cell<*mut Quarantine>,
    small: [Cell<Slot>; MOST],
    larger: [Cell<Slot>; MOST / LARGER],
}

/// A block's address, and below it the offset of its list; or 0.
#[derive(Clone, Copy)]
struct Slot(u64);

/// The bits of an offset. An address has no more than the other 48.
const OFFSET_BITS: u32 = 16;

impl Slot {
    const EMPTY: Self = Self(0);

    #[inline(always)]
    fn of(block: FreeBlock, list: ListOffset) -> Self {
        let address = block.into_start().expose_provenance().get() as u64;
        Self(address << OFFSET_BITS | list.bytes() as u64)
    }

    /// The block that lay in a slot, and its list.
    ///
    /// # Safety
    /// The value was taken out of a slot (QU1).
    #[inline(always)]
    unsafe fn block(self) -> Option<(FreeBlock, ListOffset)> {
        let address = (self.0 >> OFFSET_BITS) as usize;
        let start = NonNull::new(ptr::with_exposed_provenance_mut(address))?;
        let list = ListOffset::from_bytes(self.0 as u16);
        // SAFETY: a slot that is not 0 held a free block (QU1), and no slot holds it any more, by the caller's condition.
        Some((unsafe { FreeBlock::new(start) }, list))
    }
}

/// All quarantines of a variant. [pool's lock]
pub(super) struct Quarantines {
    /// Those that wait for a thread. They are empty.
    free: Cell<*mut Quarantine>,
    made: Cell<*mut Quarantine>,
}

impl Quarantines {
    pub(super) const fn new() -> Self {
        Self { free: Cell::new(ptr::null_mut()), made: Cell::new(ptr::null_mut()) }
    }

    /// An empty quarantine. `None` when memory is exhausted.
    fn take(&self) -> Option<NonNull<Quarantine>> {
        held::check_rank(rank::CACHE_POOL); // Checks QU2.
        if let Some(waiting) = NonNull::new(self.free.get()) {
            // SAFETY: `put` was given it, and it stays mapped until `release`.
            self.free.set(unsafe { waiting.as_ref() }.next_free.get());
            return Some(waiting);
        }
        let fresh = pages::map(size_of::<Quarantine>())?.cast::<Quarantine>();
        // SAFETY: mapped above, zeroed, which is an empty quarantine, and no other code knows of it.
        unsafe { fresh.as_ref() }.next_made.set(self.made.replace(fresh.as_ptr()));
        Some(fresh)
    }

    fn put(&self, empty: NonNull<Quarantine>) {
        held::check_rank(rank::CACHE_POOL); // Checks QU2.
        // SAFETY: `take` returned it, and it stays mapped until `release`.
        unsafe { empty.as_ref() }.next_free.set(self.free.replace(empty.as_ptr()));
    }

    /// Unmaps all quarantines.
    ///
    /// # Safety
    /// No thread uses one any more.
    pub(super) unsafe fn release(&self) {
        while let Some(made) = NonNull::new(self.made.get()) {
            // SAFETY: a quarantine that `take` noted, which is mapped until the line below.
            self.made.set(unsafe { made.as_ref() }.next_made.get());
            // SAFETY: `take` mapped these pages for it. By the caller's condition no thread refers to it.
            unsafe { pages::unmap(made.cast(), size_of::<Quarantine>()) };
        }
        self.free.set(ptr::null_mut());
    }
}

/// Takes a freed block of a list in, and returns the one that leaves for it, if any does. `is_small` may be false for a
/// small block, too.
#[inline(always)]
pub(crate) fn exchange<V: Cached>(
    cache: &CacheOf<V>,
    block: FreeBlock,
    list: ListOffset,
    is_small: bool,
) -> Option<(FreeBlock, ListOffset)> {
    if V::QUARANTINE == 0 {
        return Some((block, list));
    }
    // SAFETY: null, or a quarantine that `first_cold` took for this cache alone, which stays mapped until the variant is
    // released.
    match unsafe { cache.quarantine.get().as_ref() } {
        Some(quarantine) => exchange_in::<V>(quarantine, cache, block, list, is_small),
        None => {
            first_cold::<V>(cache, block, list);
            None
        }
    }
}

#[inline(always)]
fn exchange_in<V: Cached>(
    quarantine: &Quarantine,
    cache: &CacheOf<V>,
    block: FreeBlock,
    list: ListOffset,
    is_small: bool,
) -> Option<(FreeBlock, ListOffset)> {
    let slot = if is_small || V::CLASSES.block_bytes(list.class()) <= SMALL {
        quarantine.small.get(cache.placing.below(V::QUARANTINE))
    } else {
        quarantine.larger.get(cache.placing.below((V::QUARANTINE / LARGER).max(1)))
    };
    let Some(slot) = slot else { return Some((block, list)) };
    let leaves = slot.replace(Slot::of(block, list));
    // SAFETY: taken out of its slot above.
    unsafe { leaves.block() }
}

/// Gives the thread a quarantine for its first block. The block goes past it if the thread has no cache, or memory is
/// exhausted.
#[cold]
#[inline(never)]
fn first_cold<V: Cached>(cache: &CacheOf<V>, block: FreeBlock, list: ListOffset) {
    let mapped = || V::pool().with_made(|| V::pool().quarantines.take());
    let mut passes = Some((block, list));
    if cache.is_open()
        && let Some(empty) = mapped()
        && let Some((block, list)) = passes.take()
    {
        cache.placing.seed();
        cache.quarantine.set(empty.as_ptr());
        // SAFETY: taken above for this cache alone, and mapped until the variant is released.
        passes = exchange_in::<V>(unsafe { empty.as_ref() }, cache, block, list, false);
    }
    if let Some((block, list)) = passes
        && let Err(block) = cache.list_at_offset(list).push::<V>(block, V::SHARED)
    {
        overflow_cold::<V>(block, list.class());
    }
}

/// Moves all blocks to their lists.
pub(super) fn flush<V: Cached>(cache: &CacheOf<V>) {
    // SAFETY: null, or a quarantine as in `exchange`.
    let Some(quarantine) = (unsafe { cache.quarantine.get().as_ref() }) else { return };
    for slot in quarantine.small.iter().chain(&quarantine.larger) {
        // SAFETY: taken out of its slot here.
        if let Some((block, list)) = unsafe { slot.replace(Slot::EMPTY).block() } {
            cache.blocks::<V>(list.class()).put::<V>(block);
        }
    }
}

/// Leaves the quarantine, which is empty, to another thread.
pub(super) fn close<V: Cached>(cache: &CacheOf<V>) {
    if let Some(quarantine) = NonNull::new(cache.quarantine.replace(ptr::null_mut())) {
        V::pool().with_made(|| V::pool().quarantines.put(quarantine));
    }
}
