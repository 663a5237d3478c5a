//! The page heap's figures: how much memory is in use, and how much is idle.

use super::PageHeap;
use crate::base::{MAX_SLICES, SEGMENT_BYTES, SLICE_BYTES};
use crate::sys::atomic::Ordering;

impl PageHeap {
    /// True if the map cache has an address: a huge block's, or one that no block has.
    pub(crate) fn has_addresses(&self, address: usize) -> bool {
        self.lock.with(|| self.map_cache.owned.overlaps(address, 1))
    }

    /// Slices in use. With the lock held.
    pub(super) fn in_use(&self) -> u32 {
        self.lock.check_held();
        self.segments.get() * (MAX_SLICES as u32 - 1) - self.free_slices.get()
    }

    pub(super) fn note_in_use(&self) {
        // ORDERING: relaxed; a number that publishes nothing.
        self.slices_in_use.store(self.in_use(), Ordering::Relaxed);
    }

    /// Bytes of the slices in use, as a thread without the lock sees them.
    pub(crate) fn bytes_in_use(&self) -> usize {
        // ORDERING: relaxed, as in `note_in_use`.
        self.slices_in_use.load(Ordering::Relaxed) as usize * SLICE_BYTES
    }

    /// Bytes of dirty slices and of the map cache. Takes the lock.
    pub(super) fn free_bytes(&self) -> usize {
        self.lock.with(|| self.free_and_dirty())
    }

    /// Bytes of dirty slices and of the map cache. With the lock held.
    pub(super) fn free_and_dirty(&self) -> usize {
        self.lock.check_held();
        self.dirty_slices.get() as usize * SLICE_BYTES + self.map_cache.bytes()
    }

    /// Bytes of all segments, plus the bytes of dirty slices and of the map cache. A purge that gives slices, mappings
    /// or segments back makes this number smaller.
    pub(crate) fn slack(&self) -> usize {
        self.lock.with(|| self.segments.get() as usize * SEGMENT_BYTES + self.free_and_dirty())
    }
}
