//! The soft limit: how many bytes of memory a variant may have from the kernel.
//!
//! | counts | does not count |
//! |---|---|
//! | the header of each segment | |
//! | slices in use, and dirty ones | clean slices, which have no memory |
//! | huge blocks in use, and dirty extents | clean extents, which have no memory |
//! | pages on their way between these | |
//! | huge blocks between fences; without a limit, the memory of freed ones | the addresses of freed ones |
//! | | tables: the page map, thread caches, records of huge blocks |
//! | | blocks that the system's malloc serves for the variant |
//!
//! A slab counts whole, even if a purge has taken pages of it. So does a huge block, even if the program has not touched
//! all of it.
//!
//! LM1  While a limit is set, a claim raises the count only as far as the limit. It looks and counts under one hold of
//!      the page heap's lock, so threads that claim at once do not pass the limit together.
//!
//! There is one exception. If the kernel refuses to move the pages of a huge block that grows, they are copied, and the
//! old ones count until they are purged.
//!
//! Never: purges, or waits.

use super::assembly::{Filling, Place};
use super::map_cache::MapCache;
use super::{PageHeap, Shared};
use crate::backend::LimitHandler;
use crate::base::{SLICE_BYTES, bit_range};
use crate::slab::Segment;
use crate::sys::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::sys::published::Published;
use core::cell::Cell;
use core::ptr;

/// The limit of one variant.
pub(crate) struct Limit {
    /// Bytes; 0 for no limit. [shared]
    most: AtomicUsize,
    /// The address of the [`LimitHandler`]; null for none. [shared]
    handler: Published<()>,
    /// Bytes with memory that are in no set of the page heap: pages on their way into a huge block, or back to the
    /// kernel. [page heap]
    away: Cell<usize>,
    /// Bytes of huge blocks between fences. [page heap]
    fenced: Cell<usize>,
}

impl Limit {
    pub(super) const fn new() -> Self {
        Self {
            most: AtomicUsize::new(0),
            handler: Published::over(AtomicPtr::new(ptr::null_mut())),
            away: Cell::new(0),
            fenced: Cell::new(0),
        }
    }

    /// The limit in bytes; 0 for none.
    #[inline]
    pub(crate) fn most(&self) -> usize {
        // ORDERING: relaxed; a setting, which publishes nothing.
        self.most.load(Ordering::Relaxed)
    }

    pub(crate) fn set_most(&self, bytes: usize) {
        // ORDERING: relaxed; a setting, which publishes nothing.
        self.most.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn set_handler(&self, handler: Option<LimitHandler>) {
        let address = handler.map_or(ptr::null_mut(), |handler| handler as *mut ());
        // What the program prepared for its handler comes first (F2).
        self.handler.set(address);
    }

    pub(crate) fn handler(&self) -> Option<LimitHandler> {
        // SAFETY: null is `None`, and any other value was made of such a function by `set_handler`.
        unsafe { core::mem::transmute::<*mut (), Option<LimitHandler>>(self.handler.get()) }
    }

    /// Notes that so many bytes with memory left their set, or are about to get memory. With the lock of the page heap
    /// held.
    pub(super) fn leave(&self, bytes: usize) {
        self.away.set(self.away.get() + bytes);
    }

    /// Notes that so many of these bytes are in a set again, or have no memory. With the lock of the page heap held.
    pub(super) fn arrive(&self, bytes: usize) {
        // A fork may have forgotten them.
        self.away.set(self.away.get().saturating_sub(bytes));
    }

    /// Changes the bytes of huge blocks between fences. With the lock of the page heap held.
    pub(super) fn change_fenced(&self, old: usize, new: usize) {
        self.fenced.set(self.fenced.get() - old + new);
    }

    /// Bytes of huge blocks between fences that are in use. With the lock of the page heap held.
    pub(super) fn fenced_in_use(&self) -> usize {
        self.fenced.get()
    }

    /// True if no pages are on their way. For audits.
    pub(super) fn is_quiet(&self) -> bool {
        self.away.get() == 0
    }

    /// Forgets what other threads had under way, in a child after a fork.
    pub(super) fn forget(&self) {
        self.away.set(0);
    }
}

impl PageHeap {
    /// The bytes that count. With the lock held.
    pub(crate) fn counted(&self) -> usize {
        let slices = self.segments.get() + self.in_use() + self.dirty_slices.get();
        let huge = self.map_cache.live() + self.map_cache.bytes();
        slices as usize * SLICE_BYTES + huge + self.limit.away.get() + self.limit.fenced.get()
    }

    /// Bytes by which the count may grow; `None` without a limit. With the lock held.
    #[inline]
    pub(super) fn room(&self) -> Option<usize> {
        match self.limit.most() {
            0 => None,
            most => Some(most.saturating_sub(self.counted())),
        }
    }

    /// True if the count may grow by so many bytes (LM1). With the lock held.
    #[inline]
    pub(super) fn admits(&self, bytes: usize) -> bool {
        self.room().is_none_or(|room| bytes <= room)
    }

    /// True if a run of free slices may come into use (LM1): the clean ones get memory.
    #[inline]
    pub(super) fn admits_run(&self, segment: &Segment, first: usize, count: usize) -> bool {
        self.room().is_none_or(|room| {
            let clean = bit_range(first, first + count) & !segment.dirty.get();
            clean.count_ones() as usize * SLICE_BYTES <= room
        })
    }

    /// Notes that a place was taken out of the extents, of which so many bytes are to get memory. With the lock held.
    pub(super) fn found(&self, fresh: usize, place: Option<Place>) -> Option<Place> {
        if place.is_some() {
            self.limit.leave(fresh);
        }
        place
    }

    /// Takes the addresses behind a block, if they are free.
    pub(super) fn place_behind<V: Shared>(&self, end: usize, bytes: usize) -> Option<Place> {
        self.lock.with(|| {
            let filling = Filling::of::<V>(0).within(self.room());
            let found = self.map_cache.find_behind(end, bytes, filling);
            self.map_cache.note_dirty(self.now());
            self.found(bytes, found)
        })
    }
}

impl MapCache {
    /// True if a place may have memory.
    #[inline]
    pub(super) fn has_room_at(&self, at: usize, bytes: usize, filling: Filling) -> bool {
        let fresh = || bytes - filling.head.max(self.dirty_in(at, bytes));
        filling.room.is_none_or(|room| fresh() <= room)
    }
}

impl Filling {
    /// A filling that may get so many bytes of memory.
    pub(super) fn within(self, room: Option<usize>) -> Self {
        Self { room, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Apex;
    use crate::base::PAGE_BYTES;
    use crate::central::ranges::State;

    /// Checks LM1: another thread that claims meanwhile must see what a block is about to get.
    #[test]
    fn pages_on_their_way_count() {
        const BYTES: usize = 4 * PAGE_BYTES;
        static PAGE_HEAP: PageHeap = PageHeap::new();
        let page_heap = &PAGE_HEAP;
        let (start, bytes) = page_heap.reserve(2 * BYTES, PAGE_BYTES).expect("address space");
        page_heap.lock.with(|| page_heap.map_cache.add(start, bytes));
        let finds = |start| page_heap.place_behind::<Apex>(start, BYTES).is_some();
        page_heap.limit.set_most(2 * BYTES - 1);
        assert!(finds(start) && !finds(start + BYTES));
        assert_eq!(page_heap.lock.with(|| page_heap.counted()), BYTES);
        page_heap.limit.set_most(2 * BYTES);
        assert!(finds(start + BYTES));
        page_heap.lock.with(|| {
            page_heap.map_cache.put(start, 2 * BYTES, State::Clean);
            // SAFETY: no code uses the page heap any more.
            unsafe { page_heap.map_cache.release() };
        });
    }
}
