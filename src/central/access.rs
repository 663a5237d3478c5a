//! Which slices of a segment have access. With `access = "stepwise"` a fresh segment has it in steps:
//!
//! ```text
//!             open slices                    no access: never in use, without memory
//! ┌────────┬─────────┬─────────┬─ … ─┬─────────┬──────────────────────────────────┐
//! │ header │ slice 1 │ slice 2 │     │ slice 7 │ slices 8 to 31                   │   a wild write there ends the
//! └────────┴─────────┴─────────┴─ … ─┴─────────┴──────────────────────────────────┘   program with SIGSEGV
//!                                     a claim ─▶ moves the end by whole steps
//! ```
//!
//! | segment | its open slices |
//! |---|---|
//! | fresh from the kernel | the first step, or as many as the first claim needs |
//! | after a claim that needs more | to the end of the step that the claim needs |
//! | after a purge | as before |
//! | made of an extent, or in huge pages | all |
//! | mapped beyond a number of segments, or at the kernel's limit of mappings | all |
//!
//! The kernel does not reckon with memory for pages without access, so it may refuse a step where it would have refused
//! a segment. A claim then looks for slices that are open already, as there are after a purge.
//!
//! The caller holds the lock of the page heap.
//!
//! Never: takes access away.

use super::{PageHeap, Shared};
use crate::base::{MAX_SLICES, SEGMENT_BYTES, SLICE_BYTES, SliceIdx};
use crate::slab::{Segment, Wanted, step_end};
use crate::sys::{fences, pages};
use crate::variant::Access;
use core::ptr::NonNull;

impl PageHeap {
    /// Finds free slices that may come into use, and gives them access. `None` if there are none, if the limit does not
    /// admit them (LM1), or if the kernel refuses.
    pub(super) fn find_open<V: Shared>(
        &self,
        wanted: Wanted,
    ) -> Option<(&'static Segment, SliceIdx)> {
        self.lock.check_held();
        let (segment, slice) = self.find::<V, false>(wanted)?;
        if !self.admits_run(segment, slice.index(), wanted.count) {
            return None;
        }
        if segment.open_to::<V>(slice.index() + wanted.count) {
            return Some((segment, slice));
        }
        self.find_open_cold::<V>(wanted)
    }

    /// Finds free slices that have access already.
    #[cold]
    #[inline(never)]
    fn find_open_cold<V: Shared>(&self, wanted: Wanted) -> Option<(&'static Segment, SliceIdx)> {
        let (segment, slice) = self.find::<V, true>(wanted)?;
        self.admits_run(segment, slice.index(), wanted.count).then_some((segment, slice))
    }

    /// Maps the pages of a segment, of which the slices before `end` at least have access. Returns how many have.
    pub(super) fn map_fresh<V: Shared>(&self, end: usize) -> Option<(NonNull<u8>, usize)> {
        self.lock.check_held();
        let is_stepwise = V::ACCESS == Access::Stepwise && self.may_split();
        let pages = if is_stepwise {
            pages::map_aligned_shut(SEGMENT_BYTES, SEGMENT_BYTES)?
        } else {
            pages::map_aligned(SEGMENT_BYTES, SEGMENT_BYTES)?
        };
        // SAFETY: mapped above.
        unsafe { pages::refuse_huge_pages(pages, SEGMENT_BYTES) };
        // At its limit of mappings the kernel opens all of them or none: then they are one mapping with their neighbours.
        let steps = if is_stepwise { [step_end::<V>(end), MAX_SLICES] } else { [MAX_SLICES; 2] };
        let open = steps.into_iter().find(|open| {
            // SAFETY: pages of the mapping above, which no other code knows of.
            !is_stepwise || unsafe { fences::open(pages, open * SLICE_BYTES) }
        });
        if open.is_none() {
            // SAFETY: mapped above, and no other code knows of them.
            unsafe { pages::unmap(pages, SEGMENT_BYTES) };
        }
        Some((pages, open?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Apex;
    use crate::sys::kernel;

    /// Checks X5. The kernel tells whether a word may be read.
    #[test]
    fn a_segment_has_access_as_far_as_it_says() {
        let heap = PageHeap::new();
        let fresh = |end| heap.lock.with(|| heap.map_fresh::<Apex>(end)).expect("address space");
        for (first, steps) in [(1, [8, 16, 24, 32]), (9, [16, 16, 24, 32]), (32, [32; 4])] {
            let (pages, open) = fresh(first);
            // SAFETY: pages of a segment, zeroed, of which so many slices have access, and which only this test has.
            let segment = unsafe { Segment::create::<Apex>(pages, open, false) };
            let check = |open: usize| {
                for slice in (0..MAX_SLICES).map(SliceIdx::new) {
                    let start = segment.slice_start(slice).addr().get();
                    for at in [start, start + SLICE_BYTES - 8] {
                        let is_open = slice.index() < open;
                        assert_eq!(kernel::is_readable(at), is_open, "{} of {open}", slice.index());
                    }
                }
                assert_eq!(segment.open_slices().count_ones() as usize, open);
            };
            check(open);
            for (end, open) in [2, 10, 24, 25].into_iter().zip(steps) {
                assert!(segment.open_to::<Apex>(end));
                check(open);
            }
            // SAFETY: mapped above, and the segment is used no more.
            assert!(unsafe { pages::unmap(pages, SEGMENT_BYTES) });
        }
    }
}
