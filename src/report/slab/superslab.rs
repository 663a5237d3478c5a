//! The header of a SuperSlab: its slots that threads may claim, as masks with one bit per slot.

use super::meta::Slab;
use crate::base::{CACHE_LINE, SLICE_LG, SliceIdx, bit_range, round_up};
use crate::report::list::ClaimMask;
use crate::variant::Variant;
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// The header of a SuperSlab.
#[repr(C, align(64))]
pub(crate) struct SuperSlab {
    /// Slots that were never claimed. [shared]
    pub(crate) unused: ClaimMask,
    /// EMPTY slabs that are not on the pool's freelist. [shared]
    pub(crate) empty: ClaimMask,
    /// Slabs in part-use that a thread left behind when it ended. [shared]
    pub(crate) orphans: ClaimMask,
    /// Place in the directory. [const]
    index: Cell<u32>,
}

const _: () = assert!(size_of::<SuperSlab>() == CACHE_LINE);

// SAFETY: the masks are atomic, and `index` is written once, by `create`, before any other thread
// can find the SuperSlab.
unsafe impl Sync for SuperSlab {}

impl SuperSlab {
    /// Makes a SuperSlab of fresh pages, with every slot UNUSED but the first, which is the
    /// caller's.
    ///
    /// # Safety
    /// `pages` are [`Variant::SUPERSLAB_BYTES`] of zeroed memory, aligned to their size. No other
    /// thread knows of them, and they stay mapped while a thread can find them.
    pub(crate) unsafe fn create<V: Variant>(pages: NonNull<u8>) -> &'static Self {
        // Everything in the SuperSlab is reached by address from here on.
        let header = ptr::with_exposed_provenance::<Self>(pages.expose_provenance().get());
        // SAFETY: zeroed pages are a valid header (atomics and a number), aligned, large enough,
        // and stay mapped while a thread can find them, by the caller's condition.
        let header = unsafe { &*header };
        header.unused.offer(bit_range(1, V::SLICES));
        header
    }

    /// Sets this SuperSlab's place in the directory, before the directory has it.
    pub(crate) fn set_index(&self, index: u32) {
        self.index.set(index);
    }

    pub(crate) fn index(&self) -> u32 {
        self.index.get()
    }

    /// The SuperSlab that an address lies in.
    ///
    /// # Safety
    /// The address lies in a SuperSlab of this variant.
    #[inline(always)]
    pub(crate) unsafe fn containing<V: Variant>(address: usize) -> &'static Self {
        let base = address & !(V::SUPERSLAB_BYTES - 1);
        // SAFETY: SuperSlabs are aligned to their size, so the header is at `base`; its provenance
        // was exposed by `create`, and it lives forever (L1).
        unsafe { &*ptr::with_exposed_provenance::<Self>(base) }
    }

    #[inline(always)]
    pub(crate) fn address(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    /// The slab of a slot below [`Variant::SLICES`].
    #[inline(always)]
    pub(crate) fn slab<V: Variant>(&'static self, slot: SliceIdx) -> &'static Slab {
        debug_assert!(slot.index() < V::SLICES);
        let address = self.address() + size_of::<Self>() + slot.index() * size_of::<Slab>();
        // SAFETY: the metadata of every slot follows the header in the same pages, which started
        // out as zeros, a valid slab; it is aligned, its provenance was exposed by `create`, and it
        // lives forever (L1).
        unsafe { &*ptr::with_exposed_provenance::<Slab>(address) }
    }

    /// The slab that an address of this SuperSlab belongs to.
    #[inline(always)]
    pub(crate) fn slab_at<V: Variant>(&'static self, address: usize) -> &'static Slab {
        self.slab::<V>(SliceIdx::new((address - self.address()) >> SLICE_LG))
    }

    /// Bytes at the start of slot 0 that are header and metadata, rounded up to blocks.
    pub(crate) const fn header_bytes<V: Variant>(block_bytes: usize) -> usize {
        round_up(size_of::<Self>() + V::SLICES * size_of::<Slab>(), block_bytes)
    }
}
