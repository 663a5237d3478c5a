//! A segment: its header, with a mask of its free slices.

use super::bitmap::{FAR, Slab};
use crate::base::{
    MAX_SLICES, PAGE_BYTES, SEGMENT_BYTES, SLICE_BYTES, SLICE_LG, SliceIdx, bit_range, round_up,
};
use crate::linked::{Linked, Links};
use crate::sys::fences;
use crate::variant::{Access, Growth, Headers, Variant};
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// The mask of all slices but the header.
const BUT_THE_HEADER: u32 = bit_range(1, MAX_SLICES);

/// The mask of the slices of a segment that can be claimed: all but the header, and the last one where it is a fence.
pub(crate) const fn usable_slices<V: Variant>() -> u32 {
    match V::HEADERS {
        Headers::Open => BUT_THE_HEADER,
        Headers::Fenced => BUT_THE_HEADER & !SliceIdx::LAST.bit(),
    }
}

/// Slices that get access together. The memory of a program that uses little lies in the first two steps.
const STEP: usize = 8;

/// The end of the step that ends at a slice, or has it: of the slices that get access with it.
pub(crate) const fn step_end<V: Variant>(end: usize) -> usize {
    let usable = MAX_SLICES - usable_slices::<V>().leading_zeros() as usize;
    let steps = end.next_multiple_of(STEP);
    if steps < usable { steps } else { usable }
}

/// The header of a segment. In a fresh segment all bytes are zero but those of `free` and `open`.
#[repr(C, align(64))]
pub(crate) struct Segment {
    /// Neighbours among the segments with free slices. [page heap]
    available: Links<Segment>,
    /// Neighbours among all segments. [page heap]
    all: Links<Segment>,
    /// Neighbours among the segments with dirty slices that the next purge examines. [page heap]
    dirty_links: Links<Segment>,
    /// Slices that are free (X1). [page heap]
    pub(crate) free: Cell<u32>,
    /// Free slices that may have memory (X2). [page heap]
    pub(crate) dirty: Cell<u32>,
    /// Dirty slices that the kernel refused at their last purge, as it does for locked pages. A purge does not offer
    /// them again until they have been in use. [page heap]
    pub(crate) refused: Cell<u32>,
    /// True if the segment was mapped ahead of need. It then stays mapped. [page heap]
    pub(crate) pinned: Cell<bool>,
    /// Slices from the start that have access (X5): whole steps, or all. [page heap]
    open: Cell<u8>,
    /// For each dirty slice, the time at which it became free, in milliseconds. [page heap]
    pub(crate) freed_at: [Cell<u64>; MAX_SLICES],
    /// For each slice, the slices of the span that starts there; 0 if none does. [page heap]
    pub(crate) span: [Cell<u8>; MAX_SLICES],
    pub(super) slabs: [Slab; MAX_SLICES],
    /// The far bitmap words of each slab. [class]
    far: [[Cell<u64>; FAR]; MAX_SLICES],
}

const _: () = assert!(size_of::<Segment>() <= SLICE_BYTES, "the header fits slice 0");

// SAFETY: every thread that touches a field holds the lock that X3 names; a slab's `home` is atomic.
unsafe impl Sync for Segment {}

/// The list of segments with free slices.
pub(crate) const AVAILABLE: u8 = 0;
/// The list of all segments.
pub(crate) const ALL: u8 = 1;
/// The list of segments that the next purge examines.
pub(crate) const DIRTY: u8 = 2;

impl Linked<AVAILABLE> for Segment {
    fn links(&self) -> &Links<Self> {
        &self.available
    }
}

impl Linked<ALL> for Segment {
    fn links(&self) -> &Links<Self> {
        &self.all
    }
}

impl Linked<DIRTY> for Segment {
    fn links(&self) -> &Links<Self> {
        &self.dirty_links
    }
}

impl Segment {
    /// Makes a segment, with every slice free; `fenced` if its header may have fences.
    ///
    /// # Safety
    /// `pages` are [`SEGMENT_BYTES`] bytes, aligned to their size, of which the first `open` slices have access. The
    /// bytes of `Self` are zero. No other thread knows of the pages, and they stay mapped while a thread can find them.
    pub(crate) unsafe fn create<V: Variant>(
        pages: NonNull<u8>,
        open: usize,
        fenced: bool,
    ) -> &'static Self {
        // From now on everything in the segment is reached by address.
        let segment = ptr::with_exposed_provenance::<Self>(pages.expose_provenance().get());
        // SAFETY: zero bytes are a valid segment (numbers, atomics, `None`s), aligned and large enough, by the
        // caller's condition.
        let segment = unsafe { &*segment };
        segment.free.set(usable_slices::<V>());
        segment.open.set(open as u8);
        if V::HEADERS == Headers::Fenced && fenced {
            segment.fence();
        }
        segment
    }

    /// Takes the access to the pages behind the header and to the last slice, so that no write past a block's end gets to
    /// the header of this segment or of the next one. If the kernel refuses, at its limit of mappings, they stay open.
    fn fence(&self) {
        const HEADER: usize = round_up(size_of::<Segment>(), PAGE_BYTES);
        let fences = [(SliceIdx::FIRST, HEADER), (SliceIdx::LAST, 0)];
        // No step reaches the last slice.
        let is_open = |slice: SliceIdx| self.open_slices() & slice.bit() != 0;
        for (slice, from) in fences.into_iter().filter(|&(slice, _)| is_open(slice)) {
            let slice = self.slice_start(slice);
            // SAFETY: inside the slice.
            let first = unsafe { slice.add(from) };
            // SAFETY: whole pages of the segment behind the header's own, or of a slice that no mask offers. Nothing
            // refers to them.
            let _ = unsafe { fences::fence(first, SLICE_BYTES - from) };
        }
    }

    /// The segment that an address lies in.
    ///
    /// # Safety
    /// The address lies in a segment, which stays mapped while the reference is in use (X4).
    #[inline(always)]
    pub(crate) unsafe fn containing(address: usize) -> &'static Self {
        let base = address & !(SEGMENT_BYTES - 1);
        // SAFETY: segments are aligned to their size, so the header is at `base`. `create` exposed its provenance, and
        // by the caller's condition it is mapped.
        unsafe { &*ptr::with_exposed_provenance::<Self>(base) }
    }

    pub(crate) fn address(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    pub(crate) fn slab(&'static self, slice: SliceIdx) -> &'static Slab {
        &self.slabs[slice.index()]
    }

    pub(super) fn far_word(&self, slice: SliceIdx, at: usize) -> &Cell<u64> {
        &self.far[slice.index()][at % FAR]
    }

    /// The start of a slice's memory.
    pub(crate) fn slice_start(&self, slice: SliceIdx) -> NonNull<u8> {
        let address = self.address() + slice.index() * SLICE_BYTES;
        NonNull::new(ptr::with_exposed_provenance_mut(address)).unwrap_or(NonNull::dangling())
    }

    /// The slice that an address of this segment lies in.
    #[inline(always)]
    pub(crate) fn slice_at(address: usize) -> SliceIdx {
        SliceIdx::new(address >> SLICE_LG)
    }

    /// The mask of the slices that a purge may give back.
    pub(crate) fn purgeable_slices(&self) -> u32 {
        self.dirty.get() & !self.refused.get()
    }

    /// True if all slices are free, and none has memory that the kernel would take.
    pub(crate) fn is_decommitted<V: Variant>(&self) -> bool {
        self.free.get() == usable_slices::<V>() && self.purgeable_slices() == 0
    }

    /// The slices that have access, but what is a fence (X5).
    pub(crate) fn open_slices(&self) -> u32 {
        bit_range(0, self.open.get().into())
    }

    /// True if all slices have access, but what is a fence.
    pub(crate) fn is_open(&self) -> bool {
        self.open_slices() == u32::MAX
    }

    /// Gives access to the slices before `end`, and to those of its step (X5). False if the kernel refuses; nothing has
    /// changed then.
    #[inline]
    pub(crate) fn open_to<V: Variant>(&self, end: usize) -> bool {
        V::ACCESS == Access::Whole
            || end <= self.open.get().into()
            || self.open_cold(step_end::<V>(end))
    }

    #[cold]
    #[inline(never)]
    fn open_cold(&self, end: usize) -> bool {
        let first = SliceIdx::new(self.open.get().into());
        let bytes = (end - first.index()) * SLICE_BYTES;
        // SAFETY: whole slices of the segment, which are behind the open ones. So nothing refers to them (X5).
        let is_open = unsafe { fences::open(self.slice_start(first), bytes) };
        if is_open {
            self.open.set(end as u8);
        }
        is_open
    }

    /// The best run of free slices for a request, of those in a mask, if there is one.
    pub(crate) fn find_run(&self, wanted: Wanted, among: u32) -> Option<Run> {
        best_run(self.free.get() & among, self.dirty.get(), wanted)
    }
}

/// A request for a run of slices.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) count: usize,
    /// The number of the first slice is a multiple of this power of two.
    pub(crate) align: usize,
    pub(crate) growth: Growth,
}

/// A run of free slices that a request may claim. A better run compares greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Run {
    /// True if all slices of the run are dirty. Using them takes no new memory from the kernel.
    pub(crate) is_dirty: bool,
    /// Tight: all slices of a segment less the slices of the hole. Roomy: dirty free slices in a row from the run's
    /// start.
    suits: usize,
    /// Slices from the run's start to the segment's end: low ones have room to grow.
    room: usize,
}

impl Run {
    pub(crate) fn slice(self) -> SliceIdx {
        SliceIdx::new(MAX_SLICES - self.room)
    }
}

/// The best run of `free` slices: one that is all `dirty`, if there is one.
///
/// Among equals it takes the tightest hole (tight), or the most dirty slices ahead (roomy), then the lowest address.
fn best_run(free: u32, dirty: u32, wanted: Wanted) -> Option<Run> {
    let dirty = free & dirty;
    let (is_dirty, mut starts) = match starts_in(dirty, wanted) {
        0 => (false, starts_in(free, wanted)),
        starts => (true, starts),
    };
    let mut best = None;
    while starts != 0 {
        let start = starts.trailing_zeros() as usize;
        let suits = match wanted.growth {
            Growth::Tight => {
                let below = (free << (MAX_SLICES - 1 - start)).leading_ones() as usize - 1;
                let ahead = (free >> start).trailing_ones() as usize;
                // The first start of a hole is the best one there.
                starts &= !bit_range(start, start + ahead);
                MAX_SLICES - (below + ahead)
            }
            Growth::Roomy => {
                starts &= starts - 1;
                (dirty >> start).trailing_ones() as usize
            }
        };
        best = best.max(Some(Run { is_dirty, suits, room: MAX_SLICES - start }));
    }
    best
}

/// The slices of a mask at which a run that is wanted may start.
fn starts_in(mask: u32, Wanted { count, align, .. }: Wanted) -> u32 {
    // After each round, bit i says that `len` slices from i on are in the mask.
    let (mut starts, mut len) = (mask, 1);
    while len < count {
        let step = len.min(count - len);
        starts &= starts >> step;
        len += step;
    }
    starts & ALIGNED[(align.trailing_zeros() as usize).min(ALIGNED.len() - 1)]
}

/// For each binary logarithm, the slices whose numbers are multiples of that power of two.
const ALIGNED: [u32; 6] = [u32::MAX, 0x5555_5555, 0x1111_1111, 0x0101_0101, 0x0001_0001, 1];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_hole_that_fits() {
        let tight = |count| Wanted { count, align: 1, growth: Growth::Tight };
        let find = |mask, count| best_run(mask, 0, tight(count)).map(|run| run.slice().index());
        assert_eq!(find(0b1110_0110, 2), Some(1));
        assert_eq!(find(0b1110_0110, 3), Some(5));
        assert_eq!(find(0b1110_0110, 4), None);
        assert_eq!((find(u32::MAX, 32), find(BUT_THE_HEADER, 31)), (Some(0), Some(1)));
        assert_eq!((find(BUT_THE_HEADER, 32), find(0, 1)), (None, None));
    }

    #[test]
    fn at_a_multiple() {
        let find = |free, count, align| {
            let wanted = Wanted { count, align, growth: Growth::Tight };
            best_run(free, 0, wanted).map(|run| run.slice().index())
        };
        assert_eq!((find(BUT_THE_HEADER, 1, 2), find(BUT_THE_HEADER, 8, 16)), (Some(2), Some(16)));
        assert_eq!((find(BUT_THE_HEADER, 1, 32), find(0b1110, 2, 4)), (None, None));
        assert_eq!(find(0b1111_0110, 3, 4), Some(4));
    }

    /// Looks at every place of a run, and compares them.
    fn best_of_all(free: u32, dirty: u32, wanted: Wanted) -> Option<Run> {
        let Wanted { count, align, growth } = wanted;
        let holds = |mask: u32, start: usize| {
            let run = bit_range(start, start + count);
            mask & run == run
        };
        let run = |start: usize| {
            let hole = (0..=start).rev().take_while(|at| free >> at & 1 == 1).count()
                + (start + 1..MAX_SLICES).take_while(|at| free >> at & 1 == 1).count();
            let suits = match growth {
                Growth::Tight => MAX_SLICES - hole,
                Growth::Roomy => ((free & dirty) >> start).trailing_ones() as usize,
            };
            Run { is_dirty: holds(free & dirty, start), suits, room: MAX_SLICES - start }
        };
        let starts = (0..=MAX_SLICES - count).filter(|start| start.is_multiple_of(align));
        starts.filter(|&start| holds(free, start)).map(run).max()
    }

    #[test]
    fn the_best_run_of_random_masks() {
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 32) as u32
        };
        for _ in 0..2000 {
            let (free, dirty) = (random() | random() << 3, random() | random() << 1);
            let [count, align] = [1 + random() as usize % 9, 1 << (random() % 6)];
            for growth in [Growth::Tight, Growth::Roomy] {
                let wanted = Wanted { count, align, growth };
                let expected = best_of_all(free, dirty, wanted);
                assert_eq!(best_run(free, dirty, wanted), expected, "{free:b} {dirty:b}");
            }
        }
    }

    #[test]
    fn dirty_slices_first() {
        let tight = |count| Wanted { count, align: 1, growth: Growth::Tight };
        let run = best_run(0b1111_0110, 0b0110_0000, tight(2)).expect("a run");
        assert_eq!((run.slice().index(), run.is_dirty), (5, true));
        let run = best_run(0b1111_0110, 0b0110_0000, tight(3)).expect("a run");
        assert_eq!((run.slice().index(), run.is_dirty), (4, false));
    }

    /// So a fresh segment opens as few steps as it can.
    #[test]
    fn clean_slices_from_the_low_end() {
        let (mut free, low) = (BUT_THE_HEADER, |run: Run| run.slice().index());
        for (count, align, start) in [(1, 1, 1), (2, 2, 2), (3, 1, 4), (8, 8, 8), (1, 1, 7)] {
            for growth in [Growth::Tight, Growth::Roomy] {
                let wanted = Wanted { count, align, growth };
                let best = best_run(free, 0, wanted).map(low);
                assert_eq!(best, Some(start), "{count} of {free:b}");
            }
            free &= !bit_range(start, start + count);
        }
    }

    #[test]
    fn the_most_dirty_slices_ahead() {
        let find = |free, dirty, count| {
            let wanted = Wanted { count, align: 1, growth: Growth::Roomy };
            best_run(free, dirty, wanted).map(|run| run.slice().index())
        };
        assert_eq!(find(0b1111_0110, 0b1111_0110, 1), Some(4));
        assert_eq!(find(0b1111_0110, 0b0001_0110, 1), Some(1));
        assert_eq!(find(0b1111_0110, 0, 2), Some(1));
    }
}
