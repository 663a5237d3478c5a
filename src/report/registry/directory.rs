//! The list of all SuperSlabs, in the order in which they were mapped; and the report's registry,
//! which walks it.
//!
//! D1  Places below `len` are taken, by one SuperSlab each, for good; a place reads as `None` until
//!     the thread that took it has filled it.

use super::CAPACITY;
use crate::report::slab::SuperSlab;
use crate::stats::{Counters, Event};
use crate::sys::atomic::{AtomicPtr, AtomicU32, Ordering};
use core::ptr;

pub(crate) struct Directory {
    /// [shared]
    len: AtomicU32,
    /// [shared], [const] once set
    entries: [AtomicPtr<SuperSlab>; CAPACITY],
}

impl Directory {
    pub(crate) const fn new() -> Self {
        Self {
            len: AtomicU32::new(0),
            entries: [const { AtomicPtr::new(ptr::null_mut()) }; CAPACITY],
        }
    }

    /// Takes a place; `None` when all are taken.
    pub(crate) fn reserve(&self) -> Option<u32> {
        let one_more = |len: u32| ((len as usize) < CAPACITY).then_some(len + 1);
        // ORDERING: relaxed; it takes a place, and publishes nothing.
        self.len.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()
    }

    /// Fills a place that the caller has taken: from here on, other threads find the SuperSlab.
    pub(crate) fn publish(&self, index: u32, superslab: &'static SuperSlab) {
        let entry = &self.entries[index as usize];
        // ORDERING: release, paired with the acquire in `get`: a thread that finds the SuperSlab here
        // sees all earlier writes, the header and the hash table's entry included.
        entry.store(ptr::from_ref(superslab).cast_mut(), Ordering::Release);
    }

    #[inline]
    pub(crate) fn len(&self) -> u32 {
        // ORDERING: relaxed; a place below it may read as `None` still (D1).
        self.len.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&'static SuperSlab> {
        // ORDERING: acquire, paired with the release in `publish`.
        let entry = self.entries.get(index as usize)?.load(Ordering::Acquire);
        // SAFETY: an entry is null or came from a `&'static SuperSlab`.
        unsafe { entry.as_ref() }
    }

    /// The SuperSlab at this address, by looking at one after the other.
    #[inline]
    pub(crate) fn find(&self, base: usize, counters: &Counters) -> Option<&'static SuperSlab> {
        let len = self.len() as usize;
        for (probed, entry) in self.entries.iter().take(len).enumerate() {
            // ORDERING: relaxed. A thread that asks for a block of ours got it through a chain of
            // synchronisation that starts behind the SuperSlab's registration (G1), so `len` and
            // the entry are visible. For any other address either answer may be read here while its
            // SuperSlab is being registered, and the caller has no block there to reach through it.
            let entry = entry.load(Ordering::Relaxed);
            if entry.addr() == base {
                counters.count_many(Event::Probe, probed as u64 + 1);
                // SAFETY: an entry is null or came from a `&'static SuperSlab`. This one is not null,
                // since no block lies in the zero page.
                return unsafe { entry.as_ref() };
            }
        }
        counters.count_many(Event::Probe, len as u64);
        None
    }
}
