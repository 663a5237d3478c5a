//! Layer 5: from an address to its SuperSlab.
//!
//! | knob `registry` | walk | file |
//! |---|---|---|
//! | `linear` | every SuperSlab in the directory, oldest first | `directory` |
//! | `hash` | the thread's hint (its last answer), then a hash table | `hash` |
//! | `map` | a byte per SuperSlab's worth of address space, in two levels | `map` |
//!
//! For those who free by address alone, `classes` says a block's class besides, a byte per slot.
//!
//! G1  A SuperSlab is registered, for lookups first and then for the pool, before any of its blocks
//!     is handed out; and for good (L1), or, where the registry is a map, until its last block is back.
//! G2  An address is found exactly if it lies in a registered SuperSlab: foreign addresses, the
//!     system malloc's among them, are not.
//!
//! Never: blocks, or grows. When it is full, the pool maps no more.

mod classes;
mod directory;
mod hash;
mod leaf;
mod map;

pub(crate) use classes::{ClassMap, Leaves, class_at, place_of};
pub(crate) use leaf::LeafPlace;

use crate::slab::SuperSlab;
use crate::stats::{Counters, Event};
use crate::sys::atomic::{AtomicUsize, Ordering};
use crate::variant::{self, Variant};
use directory::Directory;
use hash::HashTable;
use map::Map;

/// SuperSlabs that a variant can have: 2 to 8 GiB of them, by their size.
const CAPACITY: usize = 4096;

/// All SuperSlabs of a variant.
pub(crate) struct Registry {
    directory: Directory,
    /// Empty, and no more than untouched zero pages, unless the variant's knob is `hash`.
    table: HashTable,
    /// As empty, unless the knob is `map`; then it is all there is.
    map: Map,
}

/// The SuperSlab that a thread found last: its address, or `usize::MAX`, which is no SuperSlab's.
///
/// Atomic since threads without a heap share one.
pub(crate) struct Hint(AtomicUsize);

impl Hint {
    pub(crate) const fn new() -> Self {
        Self(AtomicUsize::new(usize::MAX))
    }
}

impl Registry {
    pub(crate) const fn new() -> Self {
        Self { directory: Directory::new(), table: HashTable::new(), map: Map::new() }
    }

    /// Whether nothing more can be added.
    pub(crate) fn is_full(&self) -> bool {
        self.len() as usize >= CAPACITY
    }

    /// Adds a SuperSlab; false, and nothing added, when the registry is full.
    pub(crate) fn insert<V: Variant>(&self, superslab: &'static SuperSlab) -> bool {
        if V::REGISTRY == variant::Registry::Map {
            return self.map.insert::<V>(superslab.address());
        }
        let Some(index) = self.directory.reserve() else { return false };
        superslab.set_index(index);
        // The table first: the pool hands out slots of what it finds in the directory, and their
        // blocks must be found by a lookup at once (G1).
        if V::REGISTRY == variant::Registry::Hash {
            self.table.insert::<V>(superslab);
        }
        self.directory.publish(index, superslab);
        true
    }

    /// Takes a SuperSlab out that is about to be unmapped; false where that cannot be.
    pub(crate) fn remove<V: Variant>(&self, superslab: &'static SuperSlab) -> bool {
        V::REGISTRY == variant::Registry::Map && self.map.remove::<V>(superslab.address())
    }

    /// SuperSlabs registered in the directory, which a map goes without, oldest first. Some at the end may not be visible yet.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'static SuperSlab> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// The SuperSlab at a place of the directory.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&'static SuperSlab> {
        self.directory.get(index)
    }

    /// Places taken in the directory.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.directory.len()
    }

    /// Like [`lookup`](Self::lookup), by a walk that counts nothing and needs no thread; for checks.
    pub(crate) fn find<V: Variant>(&self, address: usize) -> Option<&'static SuperSlab> {
        let base = address & !(V::SUPERSLAB_BYTES - 1);
        if V::REGISTRY == variant::Registry::Map {
            // SAFETY: what the map has is a SuperSlab's.
            return self.map.has::<V>(base).then(|| unsafe { SuperSlab::containing::<V>(base) });
        }
        self.all().find(|superslab| superslab.address() == base)
    }

    /// The SuperSlab that an address lies in (G2).
    #[inline(always)]
    pub(crate) fn lookup<V: Variant>(
        &self,
        address: usize,
        hint: &Hint,
        counters: &Counters,
    ) -> Option<&'static SuperSlab> {
        counters.count(Event::Lookup);
        let base = address & !(V::SUPERSLAB_BYTES - 1);
        match V::REGISTRY {
            variant::Registry::Map => {
                counters.count(Event::Probe);
                // SAFETY: what the map has is a SuperSlab's.
                self.map.has::<V>(base).then(|| unsafe { SuperSlab::containing::<V>(base) })
            }
            variant::Registry::Linear => self.directory.find(base, counters),
            variant::Registry::Hash => {
                counters.count(Event::Probe);
                // ORDERING: relaxed; any value that was ever stored is the address of a SuperSlab,
                // which lives forever (L1), so a stale one is no worse than a recent one.
                if hint.0.load(Ordering::Relaxed) == base {
                    // SAFETY: `base` is aligned, so it is not the initial value; and whatever else is
                    // stored is the address of a SuperSlab.
                    return Some(unsafe { SuperSlab::containing::<V>(base) });
                }
                let found = self.table.find::<V>(base, counters)?;
                // ORDERING: relaxed, as above.
                hint.0.store(base, Ordering::Relaxed);
                Some(found)
            }
        }
    }
}
