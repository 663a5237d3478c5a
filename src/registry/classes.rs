//! Address → the thread's list for the block there, in two loads: for those who free by address alone.
//!
//! ```text
//! 63    47 46        39 38            16 15        0
//! ┌───────┬────────────┬────────────────┬──────────┐
//! │   0   │ part: leaf │ leaf: byte     │          │     a byte per slot of the address space
//! └───────┴────────────┴────────────────┴──────────┘
//! ```
//!
//! A byte is the *place* of a list: 0 for what is no slab's slot, and twice the class's number plus two for a slab:
//! lists of 16 bytes lie one after the other, and addresses are scaled by 8 at most. Each thread has the
//! leaves' addresses where it has its lists ([`Leaves`]), so that one register leads to both.
//!
//! A2  A slot's byte is its class's place from before the first block of the slab is handed out until after the
//!     last one has come home.
//! A3  Leaves are never unmapped, so an address that a thread has stays good; where it has none yet, all bytes
//!     read as 0, and it asks again.

use super::leaf::LeafPlace;
use crate::base::{ClassIdx, MAX_CLASSES, SLOT_LG};
use crate::sys::atomic::{AtomicBool, AtomicPtr, AtomicU8, Ordering};
use crate::sys::pages;
use crate::sys::single::byte_at;
use core::cell::{Cell, UnsafeCell};
use core::ptr::{self, NonNull};

/// Bits of an address in use by programs on 64-bit Linux, unless they ask for more.
const ADDRESS_BITS: u32 = 47;
const PART_LG: u32 = 39;
const PARTS: usize = 1 << (ADDRESS_BITS - PART_LG);
const LEAF_LG: u32 = PART_LG - SLOT_LG;
const LEAF_BYTES: usize = 1 << LEAF_LG;

/// A byte for each slot of a part. Not an array of atomics: the compiler looks at each of those, for seconds.
#[repr(C, align(4096))]
struct Leaf(UnsafeCell<[u8; LEAF_BYTES]>);

// SAFETY: its bytes are reached by pointers alone, and touched atomically.
unsafe impl Sync for Leaf {}

impl Leaf {
    const fn new() -> Self {
        Self(UnsafeCell::new([0; LEAF_BYTES]))
    }
}

/// What a part without a leaf reads as. Never written to, so it has no memory.
static NOTHING: Leaf = Leaf::new();
/// The leaf of the first part that anyone asks for, mostly the only one: there from the start, whatever addresses are
/// left to the program when it asks.
static FIRST: Leaf = Leaf::new();
/// Whether [`FIRST`] is in use.
static FIRST_TAKEN: AtomicBool = AtomicBool::new(false);

/// The place of a class's list.
pub(crate) const fn place_of(class: ClassIdx) -> usize {
    2 * (class.index() + 1)
}

/// The class whose list is at a place; `None` at 0.
pub(crate) fn class_at(place: usize) -> Option<ClassIdx> {
    (place / 2).checked_sub(1).map(|index| ClassIdx::new(index % MAX_CLASSES))
}

/// All leaves.
pub(crate) struct ClassMap {
    /// Empty for a part without.
    leaves: [LeafPlace<u8>; PARTS],
}

impl ClassMap {
    pub(crate) const fn new() -> Self {
        Self { leaves: [const { LeafPlace::over(AtomicPtr::new(ptr::null_mut())) }; PARTS] }
    }

    /// Sees to it that slots around an address can be noted; false where memory is exhausted, or the address is
    /// beyond the map. One thread at a time.
    pub(crate) fn cover(&self, address: usize) -> bool {
        let Some(entry) = self.leaves.get(address >> PART_LG) else { return false };
        if entry.get().is_null() {
            let Some(leaf) = first_leaf().or_else(|| pages::map(LEAF_BYTES)) else { return false };
            // SAFETY: `FIRST`, which is whole pages and has no initial content, hence of no file; or mapped above. Either
            // is this map's alone. Little of it will ever be touched.
            unsafe { pages::refuse_huge_pages(leaf, LEAF_BYTES) };
            // Nobody else puts one there meanwhile, by the caller's condition.
            entry.put(leaf.as_ptr());
        }
        true
    }

    /// Notes the place of the list for a slot's blocks; 0 for none. The slot is covered.
    pub(crate) fn note(&self, address: usize, place: usize) {
        if let Some(byte) = self.byte(address) {
            // ORDERING: relaxed; blocks reach other threads through locks or the program's own
            // synchronisation, which come after this store, and come home before the next one (A2).
            byte.store(place as u8, Ordering::Relaxed);
        }
    }

    /// The place of the list for the block at an address.
    pub(crate) fn place(&self, address: usize) -> usize {
        // ORDERING: relaxed, as above.
        self.byte(address).map_or(0, |byte| usize::from(byte.load(Ordering::Relaxed)))
    }

    fn byte(&self, address: usize) -> Option<&AtomicU8> {
        let leaf = self.leaf(address >> PART_LG);
        if leaf.is_null() {
            return None;
        }
        let byte = leaf.wrapping_add((address >> SLOT_LG) % LEAF_BYTES);
        // SAFETY: inside a leaf, whose bytes are only ever touched atomically, and which is never unmapped.
        Some(unsafe { AtomicU8::from_ptr(byte) })
    }

    /// Null for none.
    fn leaf(&self, part: usize) -> *mut u8 {
        self.leaves.get(part).map_or(ptr::null_mut(), LeafPlace::get)
    }
}

/// [`FIRST`], for who asks first.
fn first_leaf() -> Option<NonNull<u8>> {
    // ORDERING: relaxed; one thread alone finds false, and nothing was written there before.
    let taken = FIRST_TAKEN.swap(true, Ordering::Relaxed);
    // Its bytes are in a cell, so they may be written to through a pointer to a shared static.
    (!taken).then(|| NonNull::from(&FIRST).cast())
}

/// The leaves as one thread knows them: for each part, where the byte of address 0 would be. [owner]; those of
/// threads without lists are shared, and only read.
pub(crate) struct Leaves([Cell<*const u8>; PARTS]);

impl Leaves {
    /// Knows none.
    pub(crate) const fn new() -> Self {
        let leaves = [const { Cell::new(ptr::null()) }; PARTS];
        let mut part = 0;
        while part < PARTS {
            // A pointer that is no more than an address leaves this constant as the linker's to fill in.
            let leaf = (&raw const NOTHING).cast::<u8>().wrapping_sub(part << LEAF_LG);
            leaves[part].replace(leaf);
            part += 1;
        }
        Self(leaves)
    }

    /// The place of the list for a block, as far as this thread knows.
    ///
    /// # Safety
    /// The address is a program's, below 2^47.
    #[inline(always)]
    pub(crate) unsafe fn place(&self, address: usize) -> usize {
        debug_assert!(address >> PART_LG < PARTS);
        // SAFETY: the caller's condition: there are as many parts as that.
        let leaf = unsafe { self.0.get_unchecked(address >> PART_LG) }.get();
        // ORDERING: relaxed, as in `ClassMap::note`.
        // SAFETY: the byte of the address, in its part's leaf or in `NOTHING`, which live forever (A3), and whose
        // bytes are written atomically.
        unsafe { byte_at::<0>(leaf, address >> SLOT_LG) }
    }

    /// Learns the leaf that an address is in.
    pub(crate) fn learn(&self, map: &ClassMap, address: usize) {
        let part = address >> PART_LG;
        let leaf = map.leaf(part);
        if let Some(known) = self.0.get(part).filter(|_| !leaf.is_null()) {
            known.set(leaf.wrapping_sub(part << LEAF_LG));
        }
    }
}
