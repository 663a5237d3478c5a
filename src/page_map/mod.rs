//! Layer 4: address → what lies there: a byte for each slice of the address space, in two levels.
//!
//! ```text
//! 63    47 46        39 38            16 15        0
//! ┌───────┬────────────┬────────────────┬──────────┐
//! │   0   │ part: leaf │ leaf: byte     │          │     two loads; no search, no limit
//! └───────┴────────────┴────────────────┴──────────┘
//! ```
//!
//! | byte | [`Kind`] | in the slice |
//! |---|---|---|
//! | 0 | `Foreign` | nothing of ours begins |
//! | 2 | `Free` | nothing, and it is ours |
//! | 4 | `Header` | the metadata of a segment |
//! | 6 | `Span` | a large block of slices begins |
//! | 8 | `Body` | such a block goes on |
//! | 10 | `Huge` | a huge block begins, with a mapping of its own, at some page |
//! | 12 | `SuperSlab` | a part of a SuperSlab, which knows the rest |
//! | 14, 16, … | `Class` | blocks of a class |
//!
//! A byte is a *place*: a thread that frees by address has its lists in this order, 16 bytes each, and addresses are scaled
//! by 8 at most. The kinds without a class have lists there that stay closed. So a byte leads to a list as it is, and
//! asking for the kind is left to the slow path.
//!
//! A leaf covers 512 GiB, 8 MiB of addresses, of which little has memory.
//!
//! A1  A slice's byte says `Class` from before the first block of the slab is handed out until after the last one
//!     has come home; and it says `Span`, `Huge` or `SuperSlab` as long as such a block is out.
//! A2  The slices of a segment, from its mapping to its unmapping, are none of them `Foreign` or `Huge`.
//! A3  Leaves are not unmapped before the variant is released, so an address that a thread has of one stays good. Where a
//!     part has none yet, its bytes read as 0.
//!
//! Never: reads what lies at an address.

mod leaf;
mod leaves;

pub(crate) use leaf::LeafPlace;
pub(crate) use leaves::Leaves;

use crate::base::{ClassIdx, MAX_CLASSES, SLICE_LG};
use crate::sys::atomic::{AtomicBool, AtomicPtr, AtomicU8, Ordering};
use crate::sys::pages;
use core::cell::{Cell, UnsafeCell};
use core::ptr::{self, NonNull};

/// Bits of an address in use by programs on 64-bit Linux, unless they ask for more.
const ADDRESS_BITS: u32 = 47;
const PART_LG: u32 = 39;
const PARTS: usize = 1 << (ADDRESS_BITS - PART_LG);
const LEAF_LG: u32 = PART_LG - SLICE_LG;
const LEAF_BYTES: usize = 1 << LEAF_LG;

/// A byte for each slice of a part. Not an array of atomics: the compiler looks at each of those, for seconds.
#[repr(C, align(4096))]
struct Leaf(UnsafeCell<[u8; LEAF_BYTES]>);

// SAFETY: its bytes are reached by pointers alone, and touched atomically.
unsafe impl Sync for Leaf {}

impl Leaf {
    const fn new() -> Self {
        Self(UnsafeCell::new([0; LEAF_BYTES]))
    }
}

/// The leaf of the first part that any variant notes something of, mostly the only one: there from the start, whatever
/// addresses are left to the program then.
static FIRST: Leaf = Leaf::new();
/// Whether [`FIRST`] is in use.
static FIRST_TAKEN: AtomicBool = AtomicBool::new(false);

/// What lies in a slice; see the table above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing of ours begins there.
    Foreign,
    /// A slice of a segment that nobody has.
    Free,
    /// A segment's first slice.
    Header,
    /// The first slice of a span.
    Span,
    /// One of a span's other slices.
    Body,
    /// The slice where a huge block begins, which has a mapping of its own.
    Huge,
    /// A slice of a SuperSlab.
    SuperSlab,
    /// A slab of this class.
    Class(ClassIdx),
}

/// Kinds without a class: their places come first.
pub(crate) const CLASSLESS: usize = 7;

const _: () = assert!(2 * (CLASSLESS + MAX_CLASSES - 1) <= u8::MAX as usize, "a place is a byte");

impl Kind {
    /// The place of its list.
    pub(crate) const fn place(self) -> u8 {
        let number = match self {
            Self::Foreign => 0,
            Self::Free => 1,
            Self::Header => 2,
            Self::Span => 3,
            Self::Body => 4,
            Self::Huge => 5,
            Self::SuperSlab => 6,
            Self::Class(class) => CLASSLESS + class.index(),
        };
        2 * number as u8
    }

    /// The kind whose list is at a place.
    pub(crate) fn at(place: usize) -> Self {
        match place / 2 {
            0 => Self::Foreign,
            1 => Self::Free,
            2 => Self::Header,
            3 => Self::Span,
            4 => Self::Body,
            5 => Self::Huge,
            6 => Self::SuperSlab,
            number => Self::Class(ClassIdx::new((number - CLASSLESS) % MAX_CLASSES)),
        }
    }

    /// The class of the blocks there.
    pub(crate) fn class(self) -> Option<ClassIdx> {
        match self {
            Self::Class(class) => Some(class),
            _ => None,
        }
    }
}

/// A leaf that waits, for who must not find that there is none.
pub(crate) struct SpareLeaf(Cell<*mut u8>);

impl SpareLeaf {
    pub(crate) const fn none() -> Self {
        Self(Cell::new(ptr::null_mut()))
    }

    /// Sees to it that there is one; false where memory is exhausted.
    pub(crate) fn prepare(&self) -> bool {
        if self.0.get().is_null() {
            self.0.set(fresh_leaf().map_or(ptr::null_mut(), NonNull::as_ptr));
        }
        !self.0.get().is_null()
    }
}

/// All leaves of a variant.
pub(crate) struct PageMap {
    /// Empty for a part without. [shared]
    leaves: [LeafPlace<u8>; PARTS],
}

impl PageMap {
    pub(crate) const fn new() -> Self {
        Self { leaves: [const { LeafPlace::over(AtomicPtr::new(ptr::null_mut())) }; PARTS] }
    }

    /// Sees to it that the slices of an address's part can be noted, with the spare leaf if it must be; false where memory is
    /// exhausted, or the address is beyond the map.
    pub(crate) fn cover(&self, address: usize, spare: Option<&SpareLeaf>) -> bool {
        let Some(entry) = self.leaves.get(address >> PART_LG) else { return false };
        if !entry.get().is_null() {
            return true;
        }
        let spare = || spare.and_then(|spare| NonNull::new(spare.0.replace(ptr::null_mut())));
        let Some(leaf) = first_leaf().or_else(spare).or_else(fresh_leaf) else { return false };
        if !entry.put(leaf.as_ptr()) {
            if leaf == NonNull::from(&FIRST).cast() {
                // ORDERING: relaxed; nothing was noted in it.
                FIRST_TAKEN.store(false, Ordering::Relaxed);
            }
            // SAFETY: another thread put its own there, so this one is nobody's.
            unsafe { give_up(leaf) };
        }
        true
    }

    /// Notes what lies in a slice, whose part is covered.
    pub(crate) fn note(&self, address: usize, kind: Kind) {
        self.note_slices(address, 1, kind);
    }

    /// Notes what lies in `count` slices of one part, which is covered.
    pub(crate) fn note_slices(&self, address: usize, count: usize, kind: Kind) {
        let leaf = self.leaf(address);
        if leaf.is_null() {
            return;
        }
        let first = (address >> SLICE_LG) % LEAF_BYTES;
        debug_assert!(first + count <= LEAF_BYTES);
        for slice in first..first + count {
            // ORDERING: relaxed; blocks reach other threads through locks or the program's own synchronisation, which
            // come after this store, and come home before the next one (A1).
            byte_in(leaf, slice).store(kind.place(), Ordering::Relaxed);
        }
    }

    /// What lies at an address. Of an address that is no block's, what lay there a moment ago may be said.
    pub(crate) fn kind(&self, address: usize) -> Kind {
        Kind::at(self.place(address))
    }

    /// The class of the blocks there; `None` where no slab is.
    #[inline(always)]
    pub(crate) fn class(&self, address: usize) -> Option<ClassIdx> {
        let number = (self.place(address) / 2).checked_sub(CLASSLESS)?;
        Some(ClassIdx::new(number % MAX_CLASSES))
    }

    /// Whether an address lies in a segment or a SuperSlab.
    #[inline(always)]
    pub(crate) fn is_ours(&self, address: usize) -> bool {
        let place = self.place(address);
        place != usize::from(Kind::Foreign.place()) && place != usize::from(Kind::Huge.place())
    }

    /// Whether this lies at an address.
    #[inline(always)]
    pub(crate) fn has(&self, address: usize, kind: Kind) -> bool {
        self.place(address) == usize::from(kind.place())
    }

    #[inline(always)]
    fn place(&self, address: usize) -> usize {
        let Some(entry) = self.leaves.get(address >> PART_LG) else { return 0 };
        // Whoever asks for a block of ours got it through a chain of synchronisation that starts behind the noting; for any
        // other address a leaf that is not seen yet says as much as one that is.
        let leaf = entry.peek();
        if leaf.is_null() {
            return 0;
        }
        // ORDERING: relaxed, for the reason given in `note_slices`.
        usize::from(byte_in(leaf, (address >> SLICE_LG) % LEAF_BYTES).load(Ordering::Relaxed))
    }

    /// Null where the part has none, or is beyond the map.
    fn leaf(&self, address: usize) -> *mut u8 {
        self.leaves.get(address >> PART_LG).map_or(ptr::null_mut(), LeafPlace::get)
    }

    /// Unmaps the leaves.
    ///
    /// # Safety
    /// Nobody will ask for an address, or note one.
    pub(crate) unsafe fn release(&self) {
        for leaf in self.leaves.iter().filter_map(|entry| NonNull::new(entry.get())) {
            // SAFETY: `cover` put it there, and nobody looks into it, by the caller's condition.
            unsafe { give_up(leaf) };
        }
    }
}

/// A byte of a leaf, which is not null.
#[inline(always)]
fn byte_in<'map>(leaf: *mut u8, slice: usize) -> &'map AtomicU8 {
    let byte = leaf.wrapping_add(slice % LEAF_BYTES);
    // SAFETY: inside a leaf, whose bytes are only ever touched atomically, and which is not unmapped (A3).
    unsafe { AtomicU8::from_ptr(byte) }
}

/// [`FIRST`], for who asks first.
fn first_leaf() -> Option<NonNull<u8>> {
    // ORDERING: relaxed; one thread alone finds false, and nothing was written there before.
    if FIRST_TAKEN.swap(true, Ordering::Relaxed) {
        return None;
    }
    let first = NonNull::from(&FIRST).cast();
    // SAFETY: whole pages without initial content, hence of no file, which are the caller's alone. Little of them will ever
    // be touched.
    unsafe { pages::refuse_huge_pages(first, LEAF_BYTES) };
    // Its bytes are in a cell, so they may be written to through a pointer to a shared static.
    Some(first)
}

fn fresh_leaf() -> Option<NonNull<u8>> {
    let leaf = pages::map(LEAF_BYTES)?;
    // SAFETY: mapped above. Little of it will ever be touched.
    unsafe { pages::refuse_huge_pages(leaf, LEAF_BYTES) };
    Some(leaf)
}

/// # Safety
/// The leaf came from `first_leaf` or `fresh_leaf`, and nobody looks into it.
unsafe fn give_up(leaf: NonNull<u8>) {
    // The first one lies in the object's own memory.
    if leaf != NonNull::from(&FIRST).cast() {
        // SAFETY: mapped by `fresh_leaf`; the rest is the caller's condition.
        unsafe { pages::unmap(leaf, LEAF_BYTES) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_its_kind() {
        for place in (0..2 * (CLASSLESS + MAX_CLASSES)).step_by(2) {
            assert_eq!(usize::from(Kind::at(place).place()), place);
        }
        let classless: Vec<Kind> = (0..CLASSLESS).map(|number| Kind::at(2 * number)).collect();
        assert!(classless.iter().all(|kind| kind.class().is_none()));
        assert_eq!(Kind::at(2 * CLASSLESS).class(), Some(ClassIdx::new(0)));
    }

    #[test]
    fn what_is_noted_is_found_and_nothing_else() {
        let map = PageMap::new();
        let at = 0x7f12_3460_0000;
        assert_eq!(map.kind(at), Kind::Foreign);
        assert!(map.cover(at, None) && !map.cover(1 << ADDRESS_BITS, None));
        map.note(at, Kind::Header);
        map.note_slices(at + (1 << SLICE_LG), 3, Kind::Class(ClassIdx::new(5)));
        assert_eq!((map.kind(at + 100), map.class(at + 100)), (Kind::Header, None));
        let last = at + (4 << SLICE_LG) - 1;
        assert_eq!(
            (map.kind(last).class(), map.class(last)),
            (map.class(last), Some(ClassIdx::new(5)))
        );
        assert!(map.is_ours(at) && map.is_ours(last) && map.has(at, Kind::Header));
        let others =
            [at - 1, at + (4 << SLICE_LG), at + (1 << PART_LG), at % (1 << PART_LG), 0, !0];
        assert!(others.iter().all(|&other| map.has(other, Kind::Foreign) && !map.is_ours(other)));
        let leaves = Leaves::new();
        // SAFETY: below 2^47.
        assert_eq!(unsafe { leaves.place(at) }, 0);
        leaves.learn(&map, at);
        // SAFETY: below 2^47.
        assert_eq!(unsafe { leaves.place(at) }, usize::from(Kind::Header.place()));
        // SAFETY: the map is this test's, and `leaves` is not asked any more.
        unsafe { map.release() };
    }

    #[test]
    fn a_spare_leaf_serves_a_part_without() {
        let (map, spare) = (PageMap::new(), SpareLeaf::none());
        assert!(spare.prepare() && spare.prepare());
        for part in 1..4 {
            assert!(map.cover(part << PART_LG, Some(&spare)));
            map.note(part << PART_LG, Kind::Huge);
            assert!(map.has(part << PART_LG, Kind::Huge) && !map.is_ours(part << PART_LG));
        }
        // SAFETY: the map is this test's.
        unsafe { map.release() };
    }
}
