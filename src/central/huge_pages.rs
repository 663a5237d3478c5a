//! Huge pages for the segments of a large heap.
//!
//! A segment is as large as a huge page of the processor, and aligned to it. Where the heap is large, the page heap maps
//! a segment and asks the kernel to back it with one huge page at once. It costs a fifth of the page faults of its small
//! pages, and one entry of the translation buffer serves it.
//!
//! | `transparent_hugepage/enabled` | the segment gets |
//! |---|---|
//! | `always`, `madvise` | a huge page; small pages, all at once, if the kernel has no huge page |
//! | `never` | small pages, all at once |
//!
//! If the kernel has to move other memory out of the way, a huge page costs more than it saves. The next segments then
//! get small pages, four times as many each time, before the heap asks again. So a slow kernel costs a small part of
//! what the page faults of the whole heap do.
//!
//! A program need not touch all of a span. So spans do not make the heap ask, nor does a heap of which spans take much.
//!
//! Once it has memory, the segment refuses huge pages as others do. Otherwise the kernel would fill the gaps that a purge
//! leaves.

use crate::base::{MAX_SLICES, SEGMENT_BYTES, SLICE_BYTES};
use crate::sys::{clock, pages};
use core::cell::Cell;
use core::ptr::NonNull;

/// A heap that uses fewer segments gets its memory page by page, as the program touches it.
const PART: u32 = 32;
/// Ticks of the time-stamp counter, half a millisecond to a millisecond and a half, that a segment's memory may take:
/// about as many as the page faults of its small pages.
const DEAR: u64 = 3_000_000;
/// Segments with small pages, after the first huge page that was dear.
const FEWEST: u32 = 16;
/// Each dear request in a row makes the wait so many times as long, up to `MOST` segments.
const BACKOFF: u32 = 4;
const MOST: u32 = 1024;

/// Slices that spans may take for each segment that gets memory at once.
const SPANS: u32 = 4;

/// The pages of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// One huge page, if the kernel has one.
    Huge,
    /// Small pages.
    Small,
}

/// The requests of one page heap. All fields are guarded by its lock.
pub(super) struct HugePages {
    /// True while a thread asks.
    asking: Cell<bool>,
    /// Segments that will get small pages before the next request.
    wait: Cell<u32>,
    /// Segments to wait after the last dear request; 0 if the last one was cheap.
    backoff: Cell<u32>,
    /// Slices that spans have taken since the last segment.
    spans: Cell<u32>,
}

impl HugePages {
    pub(super) const fn new() -> Self {
        Self {
            asking: Cell::new(false),
            wait: Cell::new(0),
            backoff: Cell::new(0),
            spans: Cell::new(0),
        }
    }

    /// Notes that a span takes slices.
    pub(super) fn note_span(&self, slices: usize) {
        self.spans.set(self.spans.get().saturating_add(slices as u32));
    }

    /// The pages to ask for in the next segment of a heap that uses so many slices. `None` if the program is to touch
    /// them first, or if another thread asks. Otherwise the caller calls [`map`] without the lock, and then
    /// [`end`](Self::end).
    pub(super) fn begin(&self, slices: u32) -> Option<Size> {
        let is_large = slices >= PART * MAX_SLICES as u32 && self.spans.take() <= SPANS;
        if !is_large || self.asking.replace(true) {
            return None;
        }
        let wait = self.wait.get();
        self.wait.set(wait.saturating_sub(1));
        Some(if wait == 0 { Size::Huge } else { Size::Small })
    }

    /// Forgets a request of a thread that a child after a fork does not have.
    pub(super) fn forget(&self) {
        self.asking.set(false);
    }

    /// Notes the ticks that a request took.
    pub(super) fn end(&self, size: Size, ticks: u64) {
        self.asking.set(false);
        if size == Size::Small {
            return;
        }
        let longer = (BACKOFF * self.backoff.get()).clamp(FEWEST, MOST);
        self.backoff.set(if ticks > DEAR { longer } else { 0 });
        self.wait.set(self.backoff.get());
    }
}

/// Maps the pages of a segment that have memory. Returns them, and the ticks of the time-stamp counter that this took.
pub(super) fn map(size: Size) -> (Option<NonNull<u8>>, u64) {
    let before = clock::ticks();
    let pages = pages::map_aligned(SEGMENT_BYTES, SEGMENT_BYTES);
    if let Some(pages) = pages {
        let is_huge = size == Size::Huge;
        // Little of the first slice, the header, is ever used.
        let skipped = if is_huge { 0 } else { SLICE_BYTES };
        // SAFETY: inside the mapping.
        let from = unsafe { pages.add(skipped) };
        // SAFETY: whole pages, mapped above, that only this function refers to.
        unsafe { pages::refuse_huge_pages(pages, SEGMENT_BYTES) };
        // SAFETY: whole pages of the mapping above, that only this function refers to.
        unsafe { pages::populate(from, SEGMENT_BYTES - skipped, is_huge) };
    }
    let ticks = clock::ticks().zip(before).map_or(0, |(after, before)| after.wrapping_sub(before));
    (pages, ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dear_request_is_not_repeated_soon() {
        let requests = HugePages::new();
        let large = PART * MAX_SLICES as u32;
        assert_eq!(requests.begin(large - 1), None);
        assert_eq!(requests.begin(large), Some(Size::Huge));
        assert_eq!(requests.begin(large), None, "a thread asks already");
        requests.end(Size::Huge, DEAR);
        for backoff in [FEWEST, BACKOFF * FEWEST, BACKOFF * BACKOFF * FEWEST] {
            assert_eq!(requests.begin(large), Some(Size::Huge));
            requests.end(Size::Huge, DEAR + 1);
            for _ in 0..backoff {
                assert_eq!(requests.begin(large), Some(Size::Small));
                requests.end(Size::Small, 2 * DEAR);
            }
        }
        requests.note_span(SPANS as usize + 1);
        assert_eq!(requests.begin(large), None, "spans take much");
        for _ in 0..2 {
            assert_eq!(requests.begin(large), Some(Size::Huge));
            requests.end(Size::Huge, 0);
        }
    }
}
