//! From an address to its SuperSlab.
//!
//! | knob `registry` | walk | file |
//! |---|---|---|
//! | `linear` | every SuperSlab in the directory, oldest first | `directory` |
//! | `hash` | the thread's hint (its last answer), then a hash table | `hash` |
//! | `map` | a byte per slot of address space, in two levels | the page map |
//!
//! G1  A SuperSlab is registered, for lookups first and then for the pool, before any of its blocks
//!     is handed out; and for good (L1).
//! G2  An address is found exactly if it lies in a registered SuperSlab: foreign addresses, the
//!     system malloc's among them, are not.
//!
//! Never: blocks, or grows. When it is full, the pool maps no more.

mod directory;
mod hash;

pub(crate) use directory::Directory;
pub(crate) use hash::HashTable;

use crate::page_map::Kind;
use crate::report::Statics;
use crate::report::slab::SuperSlab;
use crate::stats::{Counters, Event};
use crate::sys::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use crate::variant::Registry;
use core::ptr;

/// SuperSlabs that a variant can have: 2 to 8 GiB of them, by their size.
const CAPACITY: usize = 4096;

/// The directory of all SuperSlabs.
pub(crate) type SuperSlabs = Directory<SuperSlab, CAPACITY>;

impl<T, const N: usize> Directory<T, N> {
    pub(crate) const fn new() -> Self {
        Self::over(AtomicU32::new(0), [const { AtomicPtr::new(ptr::null_mut()) }; N])
    }
}

impl HashTable {
    pub(crate) const fn new() -> Self {
        Self::over([const { AtomicPtr::new(ptr::null_mut()) }; hash::ENTRIES])
    }
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

/// True if the directory has no room for another SuperSlab.
pub(crate) fn is_full<V: Statics>() -> bool {
    len::<V>() as usize >= CAPACITY
}

/// Adds a SuperSlab; false, and nothing added, when the registry is full.
pub(crate) fn insert<V: Statics>(superslab: &'static SuperSlab) -> bool {
    if V::REGISTRY == Registry::Map && !V::map().cover(superslab.address()) {
        return false;
    }
    let Some(index) = V::directory().reserve() else { return false };
    superslab.set_index(index);
    // The directory last: the pool hands out slots of what it finds there, and their blocks must be found by a lookup
    // at once (G1).
    match V::REGISTRY {
        Registry::Linear => {}
        Registry::Hash => V::table().insert::<V>(superslab),
        Registry::Map => V::map().note_slices(superslab.address(), V::SLICES, Kind::SuperSlab),
    }
    V::directory().publish(index, superslab);
    true
}

/// Unmaps the registry's own memory, but not the SuperSlabs.
///
/// # Safety
/// No thread will look up an address, or register a SuperSlab.
pub(crate) unsafe fn release<V: Statics>() {
    if V::REGISTRY == Registry::Map {
        // SAFETY: the caller's condition.
        unsafe { V::map().release() };
    }
}

/// SuperSlabs registered in the directory, oldest first. Some at the end may not be
/// visible yet.
pub(crate) fn all<V: Statics>() -> impl Iterator<Item = &'static SuperSlab> {
    (0..len::<V>()).filter_map(|index| V::directory().get(index))
}

/// Places taken in the directory.
#[inline]
pub(crate) fn len<V: Statics>() -> u32 {
    V::directory().len()
}

/// Finds the SuperSlab of an address by a walk that counts nothing and needs no thread; for checks.
pub(crate) fn find<V: Statics>(address: usize) -> Option<&'static SuperSlab> {
    let base = address & !(V::SUPERSLAB_BYTES - 1);
    if V::REGISTRY == Registry::Map {
        // SAFETY: what the map has is a SuperSlab's.
        return is_mapped::<V>(address).then(|| unsafe { SuperSlab::containing::<V>(base) });
    }
    all::<V>().find(|superslab| superslab.address() == base)
}

#[inline(always)]
fn is_mapped<V: Statics>(address: usize) -> bool {
    V::map().has(address, Kind::SuperSlab)
}

/// The SuperSlab that an address lies in (G2).
#[inline(always)]
pub(crate) fn lookup<V: Statics>(
    address: usize,
    hint: &Hint,
    counters: &Counters,
) -> Option<&'static SuperSlab> {
    counters.count(Event::Lookup);
    let base = address & !(V::SUPERSLAB_BYTES - 1);
    match V::REGISTRY {
        Registry::Map => {
            counters.count(Event::Probe);
            // SAFETY: what the map has is a SuperSlab's.
            is_mapped::<V>(address).then(|| unsafe { SuperSlab::containing::<V>(base) })
        }
        Registry::Linear => V::directory().find(base, counters),
        Registry::Hash => {
            counters.count(Event::Probe);
            // ORDERING: relaxed; any value that was ever stored is the address of a SuperSlab,
            // which lives forever (L1), so a stale one is no worse than a recent one.
            if hint.0.load(Ordering::Relaxed) == base {
                // SAFETY: `base` is aligned, so it is not the initial value; and whatever else is
                // stored is the address of a SuperSlab.
                return Some(unsafe { SuperSlab::containing::<V>(base) });
            }
            let found = V::table().find::<V>(base, counters)?;
            // ORDERING: relaxed; every value stored is the address of a SuperSlab, which lives forever (L1).
            hint.0.store(base, Ordering::Relaxed);
            Some(found)
        }
    }
}
