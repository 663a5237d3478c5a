//! A thread's copy of the leaves' addresses. It lies in the thread cache, so one register leads to it and to the lists.

use super::{LEAF_LG, Leaf, PART_LG, PARTS, PageMap};
use crate::base::SLICE_LG;
use crate::sys::asm::byte_at;
use core::cell::Cell;
use core::ptr;

/// Stands for the leaf of a part that the thread knows none of. No thread writes to it, so it has no memory.
static NOTHING: Leaf = Leaf::new();

/// For each part, the address of its leaf less the offset of the part's first byte. [owner]
///
/// The copy in a placeholder is shared, and only read.
pub(crate) struct Leaves([Cell<*const u8>; PARTS]);

impl Leaves {
    /// A copy that knows no leaf.
    pub(crate) const fn new() -> Self {
        let leaves = [const { Cell::new(ptr::null()) }; PARTS];
        let mut part = 0;
        while part < PARTS {
            // The linker fills this constant in, since it is a symbol's address plus an offset.
            let leaf = (&raw const NOTHING).cast::<u8>().wrapping_sub(part << LEAF_LG);
            leaves[part].replace(leaf);
            part += 1;
        }
        Self(leaves)
    }

    /// The page map's byte for an address; 0 if this thread does not know the leaf.
    ///
    /// # Safety
    /// The address is below 2^47.
    #[inline(always)]
    pub(crate) unsafe fn place(&self, address: usize) -> usize {
        debug_assert!(address >> PART_LG < PARTS);
        // SAFETY: the parts cover all addresses below 2^47, by the caller's condition.
        let leaf = unsafe { self.0.get_unchecked(address >> PART_LG) }.get();
        // ORDERING: relaxed; a caller that has a block there got it through locks or the program's own synchronisation,
        // after the store in `PageMap::note_slices`.
        // SAFETY: the byte lies in the part's leaf or in `NOTHING`. Both live as long as a thread has a cache (A3), and
        // threads write their bytes only atomically.
        unsafe { byte_at::<0>(leaf, address >> SLICE_LG) }
    }

    /// Copies the address of the leaf that covers an address, if there is one.
    pub(crate) fn learn(&self, map: &PageMap, address: usize) {
        let part = address >> PART_LG;
        let leaf = map.leaf(address);
        if let Some(known) = self.0.get(part).filter(|_| !leaf.is_null()) {
            known.set(leaf.wrapping_sub(part << LEAF_LG));
        }
    }
}
