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
//!
//! Never: locks, or keeps blocks of a thread without a cache.

use super::{CacheOf, Cached};
use crate::base::ClassIdx;
use crate::free_block::FreeBlock;
use crate::sys::pages;
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
    small: [Cell<Slot>; MOST],
    larger: [Cell<Slot>; MOST / LARGER],
}

/// A block's address, with its class above the bits of the address; or 0.
#[derive(Clone, Copy)]
struct Slot(u64);

/// The bits of an address.
const ADDRESS_BITS: u32 = 48;

impl Slot {
    const EMPTY: Self = Self(0);

    fn of(block: FreeBlock, class: ClassIdx) -> Self {
        let address = block.into_start().expose_provenance().get() as u64;
        Self(address | (class.index() as u64) << ADDRESS_BITS)
    }

    /// The block that lay in a slot, and its class.
    ///
    /// # Safety
    /// The value was taken out of a slot (QU1).
    unsafe fn block(self) -> Option<(FreeBlock, ClassIdx)> {
        let address = self.0 & ((1 << ADDRESS_BITS) - 1);
        let start = NonNull::new(ptr::with_exposed_provenance_mut(address as usize))?;
        let class = ClassIdx::from_table((self.0 >> ADDRESS_BITS) as u8);
        // SAFETY: a slot that is not 0 held a free block (QU1), and no slot holds it any more, by the caller's condition.
        Some((unsafe { FreeBlock::new(start) }, class))
    }
}

/// Takes a freed block in, and returns the one that leaves for it, if any does.
#[inline(always)]
pub(crate) fn exchange<V: Cached>(
    cache: &CacheOf<V>,
    block: FreeBlock,
    class: ClassIdx,
) -> Option<(FreeBlock, ClassIdx)> {
    let bytes = V::CLASSES.block_bytes(class);
    if V::QUARANTINE == 0 {
        return Some((block, class));
    }
    // SAFETY: null, or pages that `map_cold` mapped, zeroed, for this cache alone, until `close` unmaps them. Zero bytes
    // are an empty quarantine.
    let Some(quarantine) = (unsafe { cache.quarantine.get().as_ref() }) else {
        map_cold::<V>(cache);
        return Some((block, class));
    };
    let (slots, count) = match bytes <= SMALL {
        true => (&quarantine.small[..], V::QUARANTINE),
        false => (&quarantine.larger[..], V::QUARANTINE / LARGER),
    };
    let Some(slot) = slots.get(cache.placing.below(count.max(1))) else {
        return Some((block, class));
    };
    let leaves = slot.replace(Slot::of(block, class));
    // SAFETY: taken out of its slot above.
    unsafe { leaves.block() }
}

/// Maps the thread's quarantine, unless the thread has no cache, or memory is exhausted.
#[cold]
#[inline(never)]
fn map_cold<V: Cached>(cache: &CacheOf<V>) {
    if cache.is_open()
        && let Some(pages) = pages::map(size_of::<Quarantine>())
    {
        cache.quarantine.set(pages.cast().as_ptr());
    }
}

/// Moves all blocks to their lists.
pub(super) fn flush<V: Cached>(cache: &CacheOf<V>) {
    // SAFETY: null, or pages as in `exchange`.
    let Some(quarantine) = (unsafe { cache.quarantine.get().as_ref() }) else { return };
    for slot in quarantine.small.iter().chain(&quarantine.larger) {
        // SAFETY: taken out of its slot here.
        if let Some((block, class)) = unsafe { slot.replace(Slot::EMPTY).block() } {
            cache.blocks::<V>(class).put::<V>(block);
        }
    }
}

/// Unmaps the quarantine, which is empty.
pub(super) fn close<V: Cached>(cache: &CacheOf<V>) {
    if let Some(quarantine) = NonNull::new(cache.quarantine.replace(ptr::null_mut())) {
        // SAFETY: `map_cold` mapped these pages for this cache, which no longer refers to them.
        unsafe { pages::unmap(quarantine.cast(), size_of::<Quarantine>()) };
    }
}
