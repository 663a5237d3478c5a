//! Sampled blocks and the slabs: a batch that goes home may have some, which the pool takes.
//!
//! Never: asks a slab.

use super::PageHeap;
use super::list::LARGE;
use crate::page_map::PageMap;
use crate::sys::atomic::Ordering;
use crate::variant::{FreeBy, Variant};

impl PageHeap {
    /// Bytes of a class's slabs from which a return of blocks looks ahead.
    #[inline]
    pub(super) fn ahead_from<V: Variant>(&self) -> usize {
        match V::FREE_BY {
            FreeBy::Lookup => LARGE,
            // ORDERING: relaxed; a thread that has a sampled block got it through a chain of synchronisation that
            // starts after the store in `sample`.
            FreeBy::Layout => self.ahead_from.load(Ordering::Relaxed),
        }
    }

    /// Samples one block in so many, as [`Sampled::switch`] does.
    pub(crate) fn sample(&'static self, mean: u32, map: &PageMap) -> bool {
        if mean > 0 {
            // ORDERING: relaxed; the lock of the pool comes before its first block.
            self.ahead_from.store(0, Ordering::Relaxed);
        }
        self.sampled.switch(mean, map)
    }
}
