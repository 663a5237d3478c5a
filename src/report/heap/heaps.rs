//! All heaps of a variant, and the stack of heaps that wait for a thread.
//!
//! E1  A heap's id is its place plus one, for good.
//! E2  A heap that waits owns no slab and holds no block.

use super::Heap;
use crate::report::list::TaggedStack;
use crate::report::registry::Directory;
use crate::stats::Events;
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::pages;
use core::ptr::NonNull;

/// Threads that can have a heap at the same time; the ones beyond use the system's malloc.
const CAPACITY: usize = 16 * 1024;

pub(crate) struct Heaps {
    /// Heaps that wait for a thread. [shared]
    idle: TaggedStack,
    all: Directory<Heap, CAPACITY>,
}

impl Heaps {
    pub(crate) const fn new() -> Self {
        Self { idle: TaggedStack::over(AtomicU64::new(0)), all: Directory::new() }
    }

    /// The heap with this id; `None` for a placeholder's.
    pub(super) fn get(&self, id: u32) -> Option<&'static Heap> {
        let heap = self.all.get(id.checked_sub(1)?);
        debug_assert!(heap.is_none_or(|heap| heap.id == id), "E1");
        heap
    }

    /// All heaps, those that wait included.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'static Heap> {
        (0..self.all.len()).filter_map(|place| self.all.get(place))
    }

    /// A heap for this thread: one that waits, or a new one.
    pub(super) fn take(&self) -> Option<&'static Heap> {
        // ORDERING: relaxed; the stack's tag rejects a link that is not current (T2).
        let link =
            |id| self.get(id).map_or(0, |heap| heap.shared.next_idle.load(Ordering::Relaxed));
        let waiting = self.idle.pop(link).and_then(|id| self.get(id));
        let is_empty = |heap: &'static Heap| heap.lists.iter().all(|list| list.len() == 0);
        debug_assert!(waiting.is_none_or(is_empty), "K3");
        waiting.or_else(|| self.create_cold())
    }

    /// Lets an empty heap wait for another thread (E2).
    pub(super) fn put(&self, heap: &'static Heap) {
        debug_assert!(heap.slabs.iter().all(|slabs| slabs.iter().next().is_none()), "E2");
        self.idle.push(heap.id, |next| {
            // ORDERING: relaxed; the push that follows is a release.
            heap.shared.next_idle.store(next, Ordering::Relaxed);
        });
    }

    #[cold]
    #[inline(never)]
    fn create_cold(&self) -> Option<&'static Heap> {
        let pages: NonNull<Heap> = pages::map(size_of::<Heap>())?.cast();
        let Some(place) = self.all.reserve() else {
            // SAFETY: mapped above, and in no list or array, so no thread refers to it.
            unsafe { pages::unmap(pages.cast(), size_of::<Heap>()) };
            return None;
        };
        // SAFETY: fresh pages, large enough and aligned to a page, which no other thread knows of.
        unsafe { pages.write(Heap::new(place + 1)) };
        // SAFETY: written above, and a heap is never unmapped (K3).
        let heap = unsafe { pages.as_ref() };
        self.all.publish(place, heap);
        Some(heap)
    }

    /// Unmaps the heaps.
    ///
    /// # Safety
    /// No thread has use for one any more.
    pub(super) unsafe fn release(&self) {
        for heap in self.all() {
            // SAFETY: mapped by `create_cold`, and no thread refers to it, by the caller's condition.
            unsafe { pages::unmap(NonNull::from(heap).cast(), size_of::<Heap>()) };
        }
    }

    /// The sum of all heaps' counters.
    pub(crate) fn sum_into(&self, sum: &mut Events) {
        for heap in self.all() {
            heap.counters.sum_into(sum);
        }
    }
}
