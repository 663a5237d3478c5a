//! The page map's leaves as one thread knows them: one load less, from a register that leads to the thread's lists too.

use super::{LEAF_LG, Leaf, PART_LG, PARTS, PageMap};
use crate::base::SLICE_LG;
use crate::sys::asm::byte_at;
use core::cell::Cell;
use core::ptr;

/// What a part without a leaf reads as. Never written to, so it has no memory.
static NOTHING: Leaf = Leaf::new();

/// For each part, where the byte of address 0 would be. [owner]; those of threads without lists are shared, and only
/// read.
pub(crate) struct Leaves([Cell<*const u8>; PARTS]);

impl Leaves {
    /// Knows none.
    pub(crate) const fn new() -> Self {
        let leaves = [const { Cell::new(ptr::null()) }; PARTS];
        let mut part = 0;
        while part < PARTS {
            // A pointer that is no more than an address leaves this constant as the linker's to fill in.
            let leaf = (&raw const NOTHING).cast::<u8>().wrapping_sub(part << LEAF_LG);
            leaves[part].replace(leaf);
            part += 1;
        }
        Self(leaves)
    }

    /// The place of the list for what lies at an address, as far as this thread knows.
    ///
    /// # Safety
    /// The address is a program's, below 2^47.
    #[inline(always)]
    pub(crate) unsafe fn place(&self, address: usize) -> usize {
        debug_assert!(address >> PART_LG < PARTS);
        // SAFETY: the caller's condition: there are as many parts as that.
        let leaf = unsafe { self.0.get_unchecked(address >> PART_LG) }.get();
        // ORDERING: relaxed, for the reason given in `PageMap::note_slices`.
        // SAFETY: the byte of the address, in its part's leaf or in `NOTHING`, which live as long as a thread has lists
        // (A3), and whose bytes are written atomically.
        unsafe { byte_at::<0>(leaf, address >> SLICE_LG) }
    }

    /// Learns the leaf that an address is in.
    pub(crate) fn learn(&self, map: &PageMap, address: usize) {
        let part = address >> PART_LG;
        let leaf = map.leaf(address);
        if let Some(known) = self.0.get(part).filter(|_| !leaf.is_null()) {
            known.set(leaf.wrapping_sub(part << LEAF_LG));
        }
    }
}
