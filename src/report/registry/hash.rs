//! Address → SuperSlab by a hash table: open addressing, linear probing, never more than half full.
//!
//! H1  Entries are only added; so the probes from an address's home to the first empty entry cover
//!     every SuperSlab that was added there before.
//!
//! Source of the idea: the report's phase 9-1.

use super::CAPACITY;
use crate::report::slab::SuperSlab;
use crate::stats::{Counters, Event};
use crate::sys::atomic::{AtomicPtr, Ordering};
use crate::variant::Variant;
use core::ptr;

pub(crate) const ENTRIES: usize = 2 * CAPACITY;

pub(crate) struct HashTable {
    /// [shared], [const] once set
    entries: [AtomicPtr<SuperSlab>; ENTRIES],
}

impl HashTable {
    /// A table in these pointers, which are null. The model checker creates the pointers.
    pub(crate) const fn over(entries: [AtomicPtr<SuperSlab>; ENTRIES]) -> Self {
        Self { entries }
    }

    /// Adds a SuperSlab. The directory admits half as many as there are entries, so there is room.
    pub(crate) fn insert<V: Variant>(&self, superslab: &'static SuperSlab) {
        let new = ptr::from_ref(superslab).cast_mut();
        for place in probes::<V>(superslab.address()) {
            // ORDERING: relaxed; the directory publishes the SuperSlab afterwards, with this entry (D2), and a thread
            // that asks for a block there got it after that (G1).
            let taken = self.entries[place].compare_exchange(
                ptr::null_mut(),
                new,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            if taken.is_ok() {
                return;
            }
        }
    }

    /// The SuperSlab at this address.
    #[inline]
    pub(crate) fn find<V: Variant>(
        &self,
        base: usize,
        counters: &Counters,
    ) -> Option<&'static SuperSlab> {
        for place in probes::<V>(base) {
            counters.count(Event::Probe);
            // ORDERING: relaxed. A thread that asks for a block of ours got it through a chain of
            // synchronisation that starts behind the SuperSlab's registration (G1). For any other
            // address either answer may be read.
            let entry = self.entries[place].load(Ordering::Relaxed);
            if entry.is_null() {
                return None;
            }
            if entry.addr() == base {
                // SAFETY: an entry that is not null came from a `&'static SuperSlab`.
                return unsafe { entry.as_ref() };
            }
        }
        None
    }
}

/// Every entry once, from the address's home on.
fn probes<V: Variant>(base: usize) -> impl Iterator<Item = usize> {
    let number = base >> V::SUPERSLAB_LG;
    // Fibonacci hashing: the golden ratio's bits spread neighbours apart.
    let home = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - ENTRIES.trailing_zeros());
    (0..ENTRIES).map(move |step| (home + step) % ENTRIES)
}
