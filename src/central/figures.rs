//! The page heap's figures: how much memory is in use, and how much is idle.

use super::PageHeap;
use crate::base::{MAX_SLICES, SEGMENT_BYTES, SLICE_BYTES};
use crate::slab::Segment;
use crate::sys::atomic::Ordering;

impl PageHeap {
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

    /// True if the counts of free and dirty slices (V2) and of dirty segments (V3) match the segments, and those with free
    /// slices are `available` (V1). For audits.
    pub(crate) fn sums_up(&self) -> bool {
        let sum = |of: fn(&Segment) -> u32| self.all().map(of).sum::<u32>();
        let have_free = sum(|segment| u32::from(segment.free.get() != 0)) as usize;
        let available = self.available.iter().filter(|segment| segment.free.get() != 0).count();
        (have_free, have_free) == (available, self.available.iter().count())
            && sum(|segment| segment.free.get().count_ones()) == self.free_slices.get()
            && sum(|segment| segment.dirty.get().count_ones()) == self.dirty_slices.get()
            && sum(|segment| u32::from(segment.purgeable_slices() != 0))
                == self.dirty_segment_count.get()
            && self.dirty_segments.iter().filter(|segment| segment.purgeable_slices() != 0).count()
                == self.dirty_segment_count.get() as usize
    }
}
