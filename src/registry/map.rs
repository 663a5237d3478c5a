//! Address → SuperSlab by a map in two levels: a root of leaves, a leaf of bytes, a byte per SuperSlab's
//! worth of address space.
//!
//! ```text
//! 63    47 46          34 33          21 20        0
//! ┌───────┬──────────────┬──────────────┬──────────┐
//! │   0   │ root: leaf   │ leaf: byte   │          │     two loads; no search, no hint, no limit
//! └───────┴──────────────┴──────────────┴──────────┘
//! ```
//!
//! A leaf covers 16 GiB and is made when the first SuperSlab in it is. A foreign address costs the same
//! two loads, or one where nothing of ours is near.
//!
//! A1  A byte is 1 from before the first block of its SuperSlab is handed out until after the last one
//!     has come home.

use super::leaf::LeafPlace;
use crate::base::CHUNK_LG;
use crate::sys::atomic::{AtomicPtr, AtomicU8, Ordering};
use crate::sys::pages;
use crate::variant::Variant;
use core::ptr::{self, NonNull};

/// Bits of an address in use by programs on 64-bit Linux, unless they ask for more.
const ADDRESS_BITS: u32 = 47;
const LEAF_LG: u32 = 13;
const ROOT_LG: u32 = ADDRESS_BITS - CHUNK_LG - LEAF_LG;

struct Leaf {
    bytes: [AtomicU8; 1 << LEAF_LG],
}

pub(crate) struct Map {
    root: [LeafPlace<Leaf>; 1 << ROOT_LG],
}

impl Map {
    pub(crate) const fn new() -> Self {
        Self { root: [const { LeafPlace::over(AtomicPtr::new(ptr::null_mut())) }; 1 << ROOT_LG] }
    }

    /// Whether a SuperSlab is at this address, a multiple of its size.
    #[inline(always)]
    pub(super) fn has<V: Variant>(&self, base: usize) -> bool {
        // ORDERING: relaxed, here and in `peek`. Whoever asks for a block of ours got it through a chain of
        // synchronisation that starts behind the SuperSlab's registration (A1); for any other address both answers
        // are right.
        self.byte::<V>(base, LeafPlace::peek).is_some_and(|byte| byte.load(Ordering::Relaxed) != 0)
    }

    #[inline(always)]
    fn byte<V: Variant>(
        &self,
        base: usize,
        look: fn(&LeafPlace<Leaf>) -> *mut Leaf,
    ) -> Option<&AtomicU8> {
        let number = base >> V::SUPERSLAB_LG;
        let leaf = look(self.root.get(number >> LEAF_LG)?);
        // SAFETY: an entry is null or a leaf, which is never unmapped.
        let leaf = unsafe { leaf.as_ref() }?;
        Some(&leaf.bytes[number % (1 << LEAF_LG)])
    }

    /// Adds a SuperSlab; false when memory is exhausted, or the address is beyond the map.
    pub(crate) fn insert<V: Variant>(&self, base: usize) -> bool {
        let Some(entry) = self.root.get(base >> V::SUPERSLAB_LG >> LEAF_LG) else { return false };
        if entry.get().is_null() {
            let Some(fresh) = pages::map(size_of::<Leaf>()) else { return false };
            let fresh: NonNull<Leaf> = fresh.cast();
            if !entry.put(fresh.as_ptr()) {
                // SAFETY: mapped above, and nobody knows of it.
                unsafe { pages::unmap(fresh.cast(), size_of::<Leaf>()) };
            }
        }
        self.set::<V>(base, 1)
    }

    /// Takes out a SuperSlab of which no block is out.
    pub(crate) fn remove<V: Variant>(&self, base: usize) {
        self.set::<V>(base, 0);
    }

    /// Unmaps the leaves.
    ///
    /// # Safety
    /// Nobody will look up an address.
    pub(super) unsafe fn release(&self) {
        for leaf in self.root.iter().filter_map(|entry| NonNull::new(entry.get())) {
            // SAFETY: mapped by `insert`, and nobody looks into it, by the caller's condition.
            unsafe { pages::unmap(leaf.cast(), size_of::<Leaf>()) };
        }
    }

    fn set<V: Variant>(&self, base: usize, value: u8) -> bool {
        let Some(byte) = self.byte::<V>(base, LeafPlace::get) else { return false };
        // ORDERING: relaxed; blocks reach other threads through locks or the program's own
        // synchronisation, which come after this store (A1).
        byte.swap(value, Ordering::Relaxed) != value
    }
}
