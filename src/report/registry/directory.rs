//! A directory: things that are never unmapped, in the order in which they came. The SuperSlabs are in one, which the
//! report's registry walks, and the heaps in another.
//!
//! D1  Places below `len` are taken, by one thing each, for good; a place reads as `None` until the thread that took it
//!     has filled it.
//! D2  A thread that gets a thing from its place sees all that was written before the thing was published.

use crate::stats::{Counters, Event};
use crate::sys::atomic::{AtomicPtr, AtomicU32, Ordering};
use core::ptr;

/// A directory of `N` things at most.
pub(crate) struct Directory<T: 'static, const N: usize> {
    /// [shared]
    len: AtomicU32,
    /// [shared], [const] once set
    entries: [AtomicPtr<T>; N],
}

impl<T, const N: usize> Directory<T, N> {
    /// A directory in these words, which are zero. The model checker creates the words.
    pub(crate) const fn over(len: AtomicU32, entries: [AtomicPtr<T>; N]) -> Self {
        Self { len, entries }
    }

    /// Takes a place; `None` when all are taken.
    pub(crate) fn reserve(&self) -> Option<u32> {
        let one_more = |len: u32| ((len as usize) < N).then_some(len + 1);
        // ORDERING: relaxed; it takes a place, and publishes nothing.
        self.len.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()
    }

    /// Fills a place that the caller has taken: from here on, other threads find the thing.
    pub(crate) fn publish(&self, index: u32, thing: &'static T) {
        let entry = &self.entries[index as usize];
        // ORDERING: release, paired with the acquire in `get`: a thread that finds a SuperSlab here sees all earlier
        // writes, the header and the hash table's entry included (D2).
        entry.store(ptr::from_ref(thing).cast_mut(), Ordering::Release);
    }

    #[inline]
    pub(crate) fn len(&self) -> u32 {
        // ORDERING: relaxed; a place below it may read as `None` still (D1).
        self.len.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&'static T> {
        // ORDERING: acquire, paired with the release in `publish` (D2).
        let entry = self.entries.get(index as usize)?.load(Ordering::Acquire);
        // SAFETY: an entry is null or came from a `&'static T`.
        unsafe { entry.as_ref() }
    }

    /// The thing at this address, by looking at one after the other.
    #[inline]
    pub(crate) fn find(&self, base: usize, counters: &Counters) -> Option<&'static T> {
        let len = self.len() as usize;
        for (probed, entry) in self.entries.iter().take(len).enumerate() {
            // ORDERING: relaxed. A thread that asks for a block of ours got it through a chain of
            // synchronisation that starts behind the SuperSlab's registration (G1), so `len` and
            // the entry are visible. For any other address either answer may be read here while its
            // SuperSlab is being registered, and the caller has no block there to reach through it.
            let entry = entry.load(Ordering::Relaxed);
            if entry.addr() == base {
                counters.count_many(Event::Probe, probed as u64 + 1);
                // SAFETY: an entry is null or came from a `&'static T`. This one is not null,
                // since no block lies in the zero page.
                return unsafe { entry.as_ref() };
            }
        }
        counters.count_many(Event::Probe, len as u64);
        None
    }
}
