//! The page heap's segments: 2 MiB each, mapped one at a time and unmapped whole.
//!
//! | event | effect |
//! |---|---|
//! | no segment has the slices that a claim wants | the page heap maps a segment |
//! | a dirty extent of the map cache has room for one | the segment is made of it, with all slices dirty |
//! | the kernel refuses to map one | the segment is made of a clean extent |
//! | a purge leaves a second segment without memory and without a block | the page heap unmaps it, or the map cache gets it back |
//! | the program unloads the allocator | the page heap unmaps every segment |
//!
//! Never: unmaps a segment of which a slice is in use, but when the program unloads the allocator.

use super::ranges::State;
use super::{PageHeap, Shared};
use crate::base::{MAX_SLICES, SEGMENT_BYTES, SLICE_BYTES, SliceIdx, slices_in};
use crate::page_map::Kind;
use crate::slab::{Segment, usable_slices};
use crate::stats::Event;
use crate::sys::{fences, pages, watcher};
use crate::variant::Headers;
use core::ptr::NonNull;

/// Segments at most whose pages differ in their access. Each is two mappings, and four if its header has fences. The
/// kernel gives a process some 65 000.
const SPLIT_MOST: u32 = 4096;

impl PageHeap {
    /// Maps a segment of which so many slices before `end` are to be used, and notes it in the page map. If the kernel
    /// refuses, a clean extent may serve. `None` when memory is exhausted, or when the address is beyond the page map.
    pub(super) fn map<V: Shared>(&self, slices: usize, end: usize) -> Option<&'static Segment> {
        self.lock.check_held();
        // The header is a slice, too (LM1).
        if !self.admits((1 + slices) * SLICE_BYTES) {
            return None;
        }
        let (pages, open) = self.map_fresh::<V>(end).or_else(|| {
            let pages = self.map_cache.take(State::Clean, SEGMENT_BYTES, SEGMENT_BYTES)?;
            // SAFETY: mapped, as extents are (EX1).
            unsafe { pages::refuse_huge_pages(pages, SEGMENT_BYTES) };
            Some((pages, MAX_SLICES))
        })?;
        watcher::show(pages.as_ptr(), SEGMENT_BYTES);
        // SAFETY: zeroed pages of that size and alignment: a new mapping, or a range that `take` removed from its set.
        // The first `open` slices have access. No other thread knows of them.
        unsafe { self.add::<V>(pages, open) }
    }

    /// Makes a segment of a dirty extent, so that what large blocks left serves others. `None` if no dirty extent has
    /// room for one. With the lock held.
    pub(super) fn borrow<V: Shared>(&self) -> Option<&'static Segment> {
        self.lock.check_held();
        let pages = self.map_cache.take(State::Dirty, SEGMENT_BYTES, SEGMENT_BYTES)?;
        watcher::show(pages.as_ptr(), SEGMENT_BYTES);
        self.map_cache.lower_peak(SEGMENT_BYTES);
        self.map_cache.note_dirty(self.now());
        // SAFETY: taken out of the extents, so the pages are mapped and nothing refers to them (EX1).
        unsafe { pages.write_bytes(0, size_of::<Segment>()) };
        // SAFETY: pages of that size and alignment, which no other thread knows of. The segment's own bytes are zero.
        unsafe { self.add_with_memory::<V>(pages) }
    }

    /// Adds a segment whose pages have memory. All its slices are dirty. With the lock held.
    ///
    /// # Safety
    /// As for [`add`](Self::add), and all the pages have access.
    pub(super) unsafe fn add_with_memory<V: Shared>(
        &self,
        pages: NonNull<u8>,
    ) -> Option<&'static Segment> {
        self.lock.check_held();
        // SAFETY: the caller's condition.
        let segment = unsafe { self.add::<V>(pages, MAX_SLICES) }?;
        for slice in slices_in(usable_slices::<V>()) {
            segment.freed_at[slice.index()].set(self.now());
        }
        self.change_dirty(segment, || segment.dirty.set(usable_slices::<V>()));
        self.dirty_slices.set(self.dirty_slices.get() + usable_slices::<V>().count_ones());
        Some(segment)
    }

    /// Makes pages a segment, with every slice free, and notes it in the page map. `None` if the address is beyond the
    /// page map, or memory is exhausted; the pages are unmapped then. With the lock held.
    ///
    /// # Safety
    /// `pages` are [`SEGMENT_BYTES`] bytes, aligned to their size, of which the first `open` slices have access, and the
    /// header's bytes are zero. No other thread knows of them.
    unsafe fn add<V: Shared>(&self, pages: NonNull<u8>, open: usize) -> Option<&'static Segment> {
        self.lock.check_held();
        // SAFETY: the caller's condition. `unmap` takes the segment out of the page map and all lists before it unmaps
        // the pages, so they stay mapped while a thread can find them.
        let segment = unsafe { Segment::create::<V>(pages, open, self.may_split()) };
        if !V::page_map().cover(segment.address()) {
            // SAFETY: the segment's own pages. It is in no list and not in the page map, so no thread refers to it.
            unsafe { self.let_go::<V>(segment) };
            return None;
        }
        V::counters().count(Event::AcquireGrow);
        V::page_map().note(segment.address(), Kind::Header);
        V::page_map().note_slices(segment.address() + SLICE_BYTES, MAX_SLICES - 1, Kind::Free);
        if V::HEADERS == Headers::Fenced {
            V::page_map().note(segment.slice_start(SliceIdx::LAST).addr().get(), Kind::Header);
        }
        self.all.push(segment);
        self.segments.set(self.segments.get() + 1);
        self.free_slices.set(self.free_slices.get() + usable_slices::<V>().count_ones());
        self.available.push(segment);
        Some(segment)
    }

    /// Maps a segment ahead of need, which stays mapped for good.
    pub(crate) fn map_spare<V: Shared>(&self) -> bool {
        self.lock.with(|| self.map::<V>(0, 1).map(|segment| segment.pinned.set(true)).is_some())
    }

    /// Unmaps a segment without memory, all of whose slices are free. With the lock held.
    pub(super) fn unmap<V: Shared>(&self, segment: &'static Segment) {
        self.lock.check_held();
        debug_assert!(segment.is_decommitted::<V>(), "X4");
        V::page_map().note_slices(segment.address(), MAX_SLICES, Kind::Foreign);
        self.available.remove(segment);
        self.all.remove(segment);
        self.segments.set(self.segments.get() - 1);
        self.free_slices.set(self.free_slices.get() - usable_slices::<V>().count_ones());
        // The pages that the program has locked go with the mapping.
        self.dirty_slices.set(self.dirty_slices.get() - segment.dirty.get().count_ones());
        // SAFETY: no block of the segment is out, the segment is in no list, and no lookup finds it (X4).
        unsafe { self.let_go::<V>(segment) };
    }

    /// Unmaps a segment, or gives it to the map cache if it came from there, or if the kernel refuses.
    ///
    /// # Safety
    /// Nothing refers to the segment but the caller, which does so no more.
    unsafe fn let_go<V: Shared>(&self, segment: &'static Segment) {
        let is_split = V::HEADERS == Headers::Fenced || !segment.is_open();
        let pages = segment.slice_start(SliceIdx::FIRST);
        let start = pages.expose_provenance().get();
        let is_lent = self.map_cache.owned.overlaps(start, SEGMENT_BYTES);
        // SAFETY: the caller's condition.
        if !is_lent && unsafe { pages::unmap(pages, SEGMENT_BYTES) } {
            return;
        }
        // SAFETY: the caller's condition.
        if is_split && unsafe { !fences::open(pages, SEGMENT_BYTES) } {
            // The kernel allows no more mappings. The addresses are lost, and what memory they have goes back.
            // SAFETY: the caller's condition.
            unsafe { pages::purge(pages, SEGMENT_BYTES) };
            return;
        }
        // SAFETY: the caller's condition. Pages that the program has locked keep their memory.
        let is_clean = unsafe { pages::purge(pages, SEGMENT_BYTES) };
        if !is_lent {
            self.map_cache.own(start, SEGMENT_BYTES);
        }
        let state = if is_clean { State::Clean } else { State::Dirty };
        self.map_cache.put(start, SEGMENT_BYTES, state);
    }

    /// Unmaps every segment, and the addresses that no huge block has.
    ///
    /// # Safety
    /// No code refers to a block of the variant, or will ask for one.
    pub(crate) unsafe fn release(&'static self) {
        // SAFETY: no code refers to a block, or will ask for one, by the caller's condition.
        unsafe { self.sampled.release() };
        self.lock.with(|| {
            for segment in self.all() {
                // SAFETY: no code refers to the segment's blocks, by the caller's condition. The iterator has already
                // gone past it.
                unsafe { pages::unmap(segment.slice_start(SliceIdx::FIRST), SEGMENT_BYTES) };
            }
            // SAFETY: no code refers to a block, or will ask for one, by the caller's condition.
            unsafe { self.map_cache.release() };
        });
    }

    /// True if a new segment may be several mappings.
    pub(super) fn may_split(&self) -> bool {
        self.segments.get() < SPLIT_MOST
    }

    /// Segments that are mapped now.
    pub(crate) fn segments(&self) -> u32 {
        self.lock.with(|| self.segments.get())
    }

    /// Calls `visit` with every segment.
    pub(crate) fn visit(&self, visit: impl FnMut(&'static Segment)) {
        self.lock.with(|| self.all().for_each(visit));
    }

    /// All segments. With the lock held, or when no other thread is at work. The caller may unmap a segment once it has
    /// got it.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'static Segment> {
        self.all.iter()
    }
}
