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
        let (segment, slice) = self.find::<V>(wanted, false)?;
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
        let (segment, slice) = self.find::<V>(wanted, true)?;
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
