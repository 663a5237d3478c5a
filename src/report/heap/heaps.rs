//! All heaps of a variant, and the stack of heaps that wait for a thread.
//!
//! E1  A heap's id is its place plus one, for good.
//! E2  A heap that waits owns no slab and holds no block.

use super::Heap;
use crate::report::list::TaggedStack;
use crate::stats::Events;
use crate::sys::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use crate::sys::pages;
use core::ptr::{self, NonNull};

/// Threads that can have a heap at the same time; the ones beyond use the system's malloc.
const CAPACITY: usize = 16 * 1024;

pub(crate) struct Heaps {
    /// [shared]
    len: AtomicU32,
    /// Heaps that wait for a thread. [shared]
    idle: TaggedStack,
    /// [shared], [const] once set
    entries: [AtomicPtr<Heap>; CAPACITY],
}

impl Heaps {
    pub(crate) const fn new() -> Self {
        Self {
            len: AtomicU32::new(0),
            idle: TaggedStack::over(AtomicU64::new(0)),
            entries: [const { AtomicPtr::new(ptr::null_mut()) }; CAPACITY],
        }
    }

    /// The heap with this id; `None` for a placeholder's.
    pub(super) fn get(&self, id: u32) -> Option<&'static Heap> {
        // ORDERING: acquire, paired with the release in `create_cold`.
        let heap = self.entries.get(id.checked_sub(1)? as usize)?.load(Ordering::Acquire);
        // SAFETY: an entry is null or a heap that is never unmapped (K3).
        unsafe { heap.as_ref() }
    }

    /// All heaps, those that wait included.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'static Heap> {
        // ORDERING: relaxed; a place that is taken and not yet filled reads as `None`.
        (1..=self.len.load(Ordering::Relaxed)).filter_map(|id| self.get(id))
    }

    /// A heap for this thread: one that waits, or a new one.
    pub(super) fn take(&self) -> Option<&'static Heap> {
        // ORDERING: relaxed; the stack's tag rejects a link that is not current (T2).
        let link =
            |id| self.get(id).map_or(0, |heap| heap.shared.next_idle.load(Ordering::Relaxed));
        self.idle.pop(link).and_then(|id| self.get(id)).or_else(|| self.create_cold())
    }

    /// Lets an empty heap wait for another thread (E2).
    pub(super) fn put(&self, heap: &'static Heap) {
        self.idle.push(heap.id, |next| {
            // ORDERING: relaxed; the push that follows is a release.
            heap.shared.next_idle.store(next, Ordering::Relaxed);
        });
    }

    #[cold]
    #[inline(never)]
    fn create_cold(&self) -> Option<&'static Heap> {
        let pages: NonNull<Heap> = pages::map(size_of::<Heap>())?.cast();
        let one_more = |len: u32| ((len as usize) < CAPACITY).then_some(len + 1);
        // ORDERING: relaxed; it takes a place, and publishes nothing.
        let Ok(place) = self.len.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
        else {
            // SAFETY: mapped above, and in no list or array, so no thread refers to it.
            unsafe { pages::unmap(pages.cast(), size_of::<Heap>()) };
            return None;
        };
        // SAFETY: fresh pages, large enough and aligned to a page, which no other thread knows of.
        unsafe { pages.write(Heap::new(place + 1)) };
        // ORDERING: release, paired with the acquire in `get`.
        self.entries[place as usize].store(pages.as_ptr(), Ordering::Release);
        self.get(place + 1)
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
