//! Dirty segments: the segments of which a purge may give slices back, in the order in which purges visit them.
//!
//! ```text
//!  first ──▶ segment ──▶ segment ──▶ … ──▶ last     `end_turn` moves the first to the end,
//!                                                   or unmaps it, where it has no memory left
//! ```
//!
//! A freed slice stays dirty and waits for reuse. The *allowance* is how many slices may wait: [`FEW_SLICES`], or half
//! as many as are in use. Beyond the allowance, each `mark_free` purges the first segment of the list as well. So a
//! program that falls silent, and looks at no clock, has given most of its memory back by then.
//!
//! A claim may take a clean slice after such an early purge. The slice is then *regretted*, and raises the allowance by
//! one, until another slice has waited in vain.
//!
//! Each freed run of slices costs a look at one other segment at most. The caller holds the lock of the page heap.
//!
//! V3  A segment is in the list `dirty_segments` exactly while a purge may give back slices of it.
//! V4  A segment that is decommitted and not pinned is `spare`: there is one such at most.
//!
//! Never: purges a slice in use.

use super::round::Budget;
use super::tidy::purge_slices;
use super::{PageHeap, Shared};
use crate::slab::Segment;
use crate::stats::Event;

/// Slices that may always wait for reuse: 32 MiB.
const FEW_SLICES: u32 = 512;
/// Dirty slices of a segment that are worth a system call.
const WORTH_A_CALL: u32 = 8;

impl PageHeap {
    /// Notes that dirty slices went back to the kernel, or came into use.
    pub(super) fn note_clean(&self, segment: &'static Segment, slices: u32) {
        self.change_dirty(segment, || {
            self.dirty_slices
                .set(self.dirty_slices.get() - (segment.dirty.get() & slices).count_ones());
            segment.dirty.set(segment.dirty.get() & !slices);
            segment.refused.set(segment.refused.get() & !slices);
        });
    }

    /// Notes that the kernel refused to take dirty slices back.
    pub(super) fn note_refused(&self, segment: &'static Segment, slices: u32) {
        self.change_dirty(segment, || segment.refused.set(segment.refused.get() | slices));
    }

    /// Changes the slices that a purge may give back of a segment, and keeps V3 true.
    pub(super) fn change_dirty(&self, segment: &'static Segment, change: impl FnOnce()) {
        self.lock.check_held();
        let was_dirty = segment.purgeable_slices() != 0;
        change();
        match (was_dirty, segment.purgeable_slices() != 0) {
            (false, true) => {
                self.dirty_segments.push_last(segment);
                self.dirty_segment_count.set(self.dirty_segment_count.get() + 1);
            }
            (true, false) => {
                self.dirty_segments.remove(segment);
                self.dirty_segment_count.set(self.dirty_segment_count.get() - 1);
            }
            (false, false) | (true, true) => {}
        }
    }

    /// Purges the segment that has waited longest, if more slices wait than the allowance.
    pub(super) fn give_back_early<V: Shared>(&self) {
        self.lock.check_held();
        let used = self.in_use();
        let allowance = FEW_SLICES.max(used / 2) + self.regretted.get();
        let is_kept = self.free_and_dirty() <= self.tuning.idle_kept();
        if V::PURGE_MS.is_none() || self.dirty_slices.get() <= allowance || is_kept {
            return;
        }
        let Some(segment) = self.next_dirty_segment() else { return };
        V::counters().count(Event::Look);
        if segment.purgeable_slices().count_ones() >= WORTH_A_CALL {
            let slices = purge_slices::<V>(segment, self.now(), 0, &mut Budget::unbounded());
            self.early.set(self.early.get() + slices);
        }
        self.end_turn::<V>(segment);
    }

    pub(super) fn dirty_segment_count(&self) -> u32 {
        self.lock.check_held();
        self.dirty_segment_count.get()
    }

    /// The segment that a purge visits next.
    pub(super) fn next_dirty_segment(&self) -> Option<&'static Segment> {
        self.lock.check_held();
        self.dirty_segments.first()
    }

    /// Moves a segment to the end of the list after a visit. If it is decommitted, it becomes the spare, or is unmapped
    /// if there is a spare already.
    pub(super) fn end_turn<V: Shared>(&self, segment: &'static Segment) {
        self.lock.check_held();
        if segment.purgeable_slices() != 0 {
            self.dirty_segments.remove(segment);
            self.dirty_segments.push_last(segment);
        }
        if !segment.is_decommitted::<V>() || segment.pinned.get() {
            return;
        }
        match self.spare.get() {
            None => self.spare.set(Some(segment)),
            Some(_) => self.unmap::<V>(segment),
        }
    }

    /// Unmaps the spare segment.
    pub(super) fn unmap_spare<V: Shared>(&self) {
        self.lock.check_held();
        if let Some(segment) = self.spare.take() {
            self.unmap::<V>(segment);
        }
    }

    /// Lowers the allowance by slices that waited in vain.
    pub(super) fn forget_regrets(&self, slices: u32) {
        self.lock.check_held();
        self.regretted.set(self.regretted.get().saturating_sub(slices));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Apex;
    use crate::base::{SliceIdx, bit_range};

    /// Runs `action` with a page heap of its own, which has a segment, and with the lock held.
    fn with_segment(action: impl FnOnce(&PageHeap, &'static Segment)) {
        let heap = PageHeap::new();
        heap.lock.with(|| {
            let segment = heap.map::<Apex>(1, 1).expect("address space");
            action(&heap, segment);
            let in_use = !segment.free.get() & crate::slab::usable_slices::<Apex>();
            let used = SliceIdx::new(in_use.trailing_zeros() as usize);
            if in_use != 0 {
                heap.mark_free::<Apex>(segment, used, in_use.count_ones() as usize);
            }
            heap.note_clean(segment, u32::MAX);
            heap.unmap::<Apex>(segment);
        });
    }

    /// A program that locks its memory would pay for a call each time.
    #[test]
    fn what_the_kernel_refused_waits_for_its_next_use() {
        with_segment(|heap, segment| {
            let slice = SliceIdx::new(3);
            let turn = || {
                heap.mark_used(segment, slice, 2);
                heap.mark_free::<Apex>(segment, slice, 2);
            };
            turn();
            assert!(segment.purgeable_slices() == 0b11000 && heap.next_dirty_segment().is_some());
            heap.note_refused(segment, 0b11000);
            assert!(segment.purgeable_slices() == 0 && heap.next_dirty_segment().is_none());
            assert!(segment.is_decommitted::<Apex>() && heap.dirty_segment_count() == 0);
            assert_eq!(heap.dirty_slices.get(), 2, "they have memory");
            turn();
            assert!(segment.purgeable_slices() == 0b11000 && heap.next_dirty_segment().is_some());
        });
    }

    #[test]
    fn regrets_raise_the_allowance_and_slices_that_wait_in_vain_lower_it() {
        with_segment(|heap, segment| {
            let figures = || (heap.early.get(), heap.regretted.get());
            heap.early.set(5);
            heap.mark_used(segment, SliceIdx::new(1), 3);
            assert_eq!(figures(), (2, 3));
            // A dirty slice serves, so nothing went back too early.
            heap.mark_free::<Apex>(segment, SliceIdx::new(1), 3);
            heap.mark_used(segment, SliceIdx::new(1), 3);
            assert_eq!(figures(), (2, 3));
            heap.mark_used(segment, SliceIdx::new(4), 8);
            assert_eq!(figures(), (0, 5));
            heap.forget_regrets(2);
            assert_eq!(figures(), (0, 3));
            heap.forget_regrets(9);
            assert_eq!(figures(), (0, 0));
        });
    }

    #[test]
    fn one_segment_without_memory_stays() {
        with_segment(|heap, segment| {
            let map = || heap.map::<Apex>(1, 1).expect("address space");
            let (other, ahead) = (map(), map());
            ahead.pinned.set(true);
            for segment in [segment, ahead, other] {
                heap.mark_used(segment, SliceIdx::new(1), 1);
                heap.mark_free::<Apex>(segment, SliceIdx::new(1), 1);
                heap.note_clean(segment, bit_range(1, 2));
                heap.end_turn::<Apex>(segment);
            }
            assert_eq!(heap.segments.get(), 2, "the spare one, and the one mapped ahead");
            // What comes into use is spare no more.
            heap.mark_used(segment, SliceIdx::new(1), 1);
            heap.unmap_spare::<Apex>();
            assert_eq!(heap.segments.get(), 2);
            heap.unmap::<Apex>(ahead);
        });
    }
}
