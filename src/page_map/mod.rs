//! Layer 4: the page map, from an address to the kind of its slice. It has a byte per slice, in two levels.
//!
//! ```text
//! 63    47 46        39 38            16 15        0
//! ┌───────┬────────────┬────────────────┬──────────┐
//! │   0   │ part: leaf │ leaf: byte     │          │     two loads; no search, no limit
//! └───────┴────────────┴────────────────┴──────────┘
//! ```
//!
//! | byte | [`Kind`] | the slice holds |
//! |---|---|---|
//! | 0 | `Foreign` | no start of a block of this variant |
//! | 2 | `Free` | nothing: it is a free slice of a segment |
//! | 4 | `Header` | the metadata of a segment |
//! | 6 | `Span` | the first slice of a span |
//! | 8 | `Body` | another slice of a span |
//! | 10 | `Huge` | the start of a huge block, at some page |
//! | 12 | `SuperSlab` | a part of a SuperSlab, whose own metadata tells the rest |
//! | 14 | `Empty` | addresses without access, for blocks of 0 bytes |
//! | 16 | `Fenced` | the start of a huge block between fences, at some page |
//! | 18 | `Sampled` | a part of the pool of sampled blocks |
//! | 20, 22, … | `Class` | a slab of a class |
//!
//! The byte is called a *place*: it is also the offset of a list. A thread that frees by address has its lists in this
//! order, 16 bytes each, and a processor scales an index by at most 8. The kinds without a class have lists there that
//! stay closed. So the byte leads to a list directly, and only the slow path asks for the kind.
//!
//! A leaf covers 512 GiB. It takes 8 MiB of addresses, and little of it has memory.
//!
//! A1  A slice's byte says `Class` from before the first block of the slab is handed out until after the last block
//!     has come home. It says `Span`, `Huge`, `Fenced`, `SuperSlab` or `Sampled` as long as such a block is out.
//! A2  From the mapping of a segment to its unmapping, none of its slices is `Foreign`, `Huge` or `Fenced`.
//! A3  A leaf stays mapped until the variant is released, so a thread may keep its address. The bytes of a part without
//!     a leaf read as 0.
//!
//! Never: reads the memory at an address.

mod leaves;

pub(crate) use leaves::Leaves;

use crate::base::{ClassIdx, MAX_CLASSES, SLICE_LG};
use crate::sys::atomic::{AtomicBool, AtomicPtr, AtomicU8, Ordering};
use crate::sys::pages;
use crate::sys::published::Published;
use core::cell::UnsafeCell;
use core::hint;
use core::ptr::{self, NonNull};

/// Bits of an address that Linux gives to a 64-bit program, unless the program asks for more.
const ADDRESS_BITS: u32 = 47;
const PART_LG: u32 = 39;
const PARTS: usize = 1 << (ADDRESS_BITS - PART_LG);
const LEAF_LG: u32 = PART_LG - SLICE_LG;
const LEAF_BYTES: usize = 1 << LEAF_LG;

/// A byte for each slice of a part. An array of atomics would cost seconds of compile time.
#[repr(C, align(4096))]
struct Leaf(UnsafeCell<[u8; LEAF_BYTES]>);

// SAFETY: threads reach the bytes only through pointers, and access them only atomically.
unsafe impl Sync for Leaf {}

impl Leaf {
    const fn new() -> Self {
        Self(UnsafeCell::new([0; LEAF_BYTES]))
    }
}

/// The leaf of the first part that any variant covers, which is mostly the only part. It is a static, so it exists even
/// if the kernel has no addresses left for a mapping.
static FIRST: Leaf = Leaf::new();
/// True until [`FIRST`] is in use. Since it is not 0 at first, it lies with the data that the loader writes to anyway.
static FIRST_FREE: AtomicBool = AtomicBool::new(true);

/// The kind of a slice of the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No block of this variant starts there.
    Foreign,
    /// A free slice of a segment.
    Free,
    /// A segment's first slice.
    Header,
    /// The first slice of a span.
    Span,
    /// A slice of a span, but not the first.
    Body,
    /// The slice in which a huge block starts.
    Huge,
    /// A slice of a SuperSlab.
    SuperSlab,
    /// Addresses for blocks of 0 bytes.
    Empty,
    /// The slice in which a huge block between fences starts.
    Fenced,
    /// A slice of the pool of sampled blocks.
    Sampled,
    /// A slab of this class.
    Class(ClassIdx),
}

/// The number of kinds without a class. Their places come first.
pub(crate) const CLASSLESS: usize = 10;

const _: () = assert!(2 * (CLASSLESS + MAX_CLASSES - 1) <= u8::MAX as usize, "a place is a byte");

impl Kind {
    /// The place of this kind's list.
    pub(crate) const fn place(self) -> u8 {
        let number = match self {
            Self::Foreign => 0,
            Self::Free => 1,
            Self::Header => 2,
            Self::Span => 3,
            Self::Body => 4,
            Self::Huge => 5,
            Self::SuperSlab => 6,
            Self::Empty => 7,
            Self::Fenced => 8,
            Self::Sampled => 9,
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
            7 => Self::Empty,
            8 => Self::Fenced,
            9 => Self::Sampled,
            number => Self::Class(ClassIdx::new((number - CLASSLESS) % MAX_CLASSES)),
        }
    }

    /// The class whose list is at a place, if one is.
    #[inline(always)]
    pub(crate) fn class_at(place: usize) -> Option<ClassIdx> {
        let number = (place / 2).checked_sub(CLASSLESS)?;
        Some(ClassIdx::new(number % MAX_CLASSES))
    }

    /// The class whose list is at a place.
    ///
    /// # Safety
    /// The place is one that the page map has, and a class's.
    #[inline(always)]
    pub(crate) unsafe fn class_at_its_place(place: usize) -> ClassIdx {
        let number = place / 2;
        // SAFETY: a place is even, and those of classes come behind the others (caller's condition).
        unsafe { hint::assert_unchecked(place == 2 * number && number >= CLASSLESS) };
        // SAFETY: there are at most `MAX_CLASSES` of them.
        unsafe { hint::assert_unchecked(number - CLASSLESS < MAX_CLASSES) };
        ClassIdx::from_table((number - CLASSLESS) as u8)
    }

    /// The class of the slab, if the slice is one.
    pub(crate) fn class(self) -> Option<ClassIdx> {
        match self {
            Self::Class(class) => Some(class),
            _ => None,
        }
    }
}

/// True if no block can lie at an address, since the page map ends in front of it.
#[inline(always)]
pub(crate) fn is_beyond(address: usize) -> bool {
    address >> PART_LG >= PARTS
}

/// The page map of a variant: all its leaves.
pub(crate) struct PageMap {
    /// One per part; empty for a part without a leaf. [shared]
    leaves: [Published<u8>; PARTS],
}

impl PageMap {
    pub(crate) const fn new() -> Self {
        Self { leaves: [const { Published::over(AtomicPtr::new(ptr::null_mut())) }; PARTS] }
    }

    /// Makes sure that the part of an address has a leaf, so that its slices can be noted. False if memory is exhausted,
    /// or the address is beyond the map.
    pub(crate) fn cover(&self, address: usize) -> bool {
        let Some(entry) = self.leaves.get(address >> PART_LG) else { return false };
        if !entry.get().is_null() {
            return true;
        }
        let Some(leaf) = first_leaf().or_else(fresh_leaf) else { return false };
        if !entry.put(leaf.as_ptr()) {
            if leaf == NonNull::from(&FIRST).cast() {
                // ORDERING: relaxed; nothing was noted in this leaf.
                FIRST_FREE.store(true, Ordering::Relaxed);
            }
            // SAFETY: another thread put its own leaf there first, so only this thread has `leaf`.
            unsafe { give_up(leaf) };
        }
        true
    }

    /// Notes the kind of a slice. Its part is covered.
    pub(crate) fn note(&self, address: usize, kind: Kind) {
        self.note_slices(address, 1, kind);
    }

    /// Notes the kind of `count` slices of one part, which is covered.
    pub(crate) fn note_slices(&self, address: usize, count: usize, kind: Kind) {
        let leaf = self.leaf(address);
        if leaf.is_null() {
            return;
        }
        let first = (address >> SLICE_LG) % LEAF_BYTES;
        debug_assert!(first + count <= LEAF_BYTES);
        for slice in first..first + count {
            // ORDERING: relaxed; a block reaches other threads through locks or the program's own synchronisation,
            // after this store. It comes home before the next store to the byte (A1).
            byte_in(leaf, slice).store(kind.place(), Ordering::Relaxed);
        }
    }

    /// The kind of the slice at an address. It may be out of date if no block of this variant is there.
    pub(crate) fn kind(&self, address: usize) -> Kind {
        Kind::at(self.place(address))
    }

    /// The class of the slab at an address; `None` if there is no slab.
    #[inline(always)]
    pub(crate) fn class(&self, address: usize) -> Option<ClassIdx> {
        Kind::class_at(self.place(address))
    }

    /// True if an address lies in a segment, a SuperSlab, or the pool of sampled blocks.
    #[inline(always)]
    pub(crate) fn is_ours(&self, address: usize) -> bool {
        !matches!(self.kind(address), Kind::Foreign | Kind::Huge | Kind::Empty | Kind::Fenced)
    }

    /// True if the slice at an address is of this kind.
    #[inline(always)]
    pub(crate) fn has(&self, address: usize, kind: Kind) -> bool {
        self.place(address) == usize::from(kind.place())
    }

    #[inline(always)]
    fn place(&self, address: usize) -> usize {
        let Some(entry) = self.leaves.get(address >> PART_LG) else { return 0 };
        // A caller that has a block of this variant got it through a chain of synchronisation that starts after the
        // byte was noted. For any other address a leaf that this thread does not see yet reads as 0, which is as true.
        let leaf = entry.peek();
        if leaf.is_null() {
            return 0;
        }
        // ORDERING: relaxed; a caller that has a block there got it through locks or the program's own synchronisation,
        // after the store in `note_slices`.
        usize::from(byte_in(leaf, (address >> SLICE_LG) % LEAF_BYTES).load(Ordering::Relaxed))
    }

    /// The leaf of an address's part. Null if the part has none, or is beyond the map.
    fn leaf(&self, address: usize) -> *mut u8 {
        self.leaves.get(address >> PART_LG).map_or(ptr::null_mut(), Published::get)
    }

    /// Unmaps the leaves.
    ///
    /// # Safety
    /// No thread looks up or notes an address from now on.
    pub(crate) unsafe fn release(&self) {
        for leaf in self.leaves.iter().filter_map(|entry| NonNull::new(entry.get())) {
            // SAFETY: `cover` put the leaf there. By the caller's condition no thread looks into it.
            unsafe { give_up(leaf) };
        }
    }
}

/// The byte of a slice in a leaf, which is not null.
#[inline(always)]
fn byte_in<'map>(leaf: *mut u8, slice: usize) -> &'map AtomicU8 {
    let byte = leaf.wrapping_add(slice % LEAF_BYTES);
    // SAFETY: inside a leaf, whose bytes are accessed only atomically, and which stays mapped (A3).
    unsafe { AtomicU8::from_ptr(byte) }
}

/// [`FIRST`], for the first caller only.
fn first_leaf() -> Option<NonNull<u8>> {
    // ORDERING: relaxed; only one thread finds true, and nothing was written to the leaf before.
    if !FIRST_FREE.swap(false, Ordering::Relaxed) {
        return None;
    }
    let first = NonNull::from(&FIRST).cast();
    // SAFETY: whole pages that only this thread has. They have no initial content, so no file backs them: they are
    // private and anonymous. Little of them will ever be touched.
    unsafe { pages::refuse_huge_pages(first, LEAF_BYTES) };
    // The bytes lie in a cell, so a pointer to the shared static may write to them.
    Some(first)
}

fn fresh_leaf() -> Option<NonNull<u8>> {
    let leaf = pages::map(LEAF_BYTES)?;
    // SAFETY: whole pages, private and anonymous, mapped above. Little of them will ever be touched.
    unsafe { pages::refuse_huge_pages(leaf, LEAF_BYTES) };
    Some(leaf)
}

/// Unmaps a leaf, unless it is [`FIRST`].
///
/// # Safety
/// The leaf came from `first_leaf` or `fresh_leaf`, and no thread looks into it.
unsafe fn give_up(leaf: NonNull<u8>) {
    // `FIRST` lies in the memory of the program or library itself.
    if leaf != NonNull::from(&FIRST).cast() {
        // SAFETY: `fresh_leaf` mapped it. By the caller's condition no thread refers to it.
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
        // A part without a leaf reads as 0 (A3).
        assert_eq!(map.kind(at), Kind::Foreign);
        assert!(map.cover(at) && !map.cover(1 << ADDRESS_BITS));
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
        for learnt in [at, at % (1 << PART_LG)] {
            leaves.learn(&map, learnt);
        }
        // SAFETY: below 2^47.
        let place = |address| unsafe { leaves.place(address) };
        assert_eq!(place(at), usize::from(Kind::Header.place()));
        assert_eq!(place(at % (1 << PART_LG)), 0, "a part without a leaf");
        for kind in [Kind::Huge, Kind::Empty, Kind::Fenced] {
            map.note(at, kind);
            assert!(!map.is_ours(at), "{kind:?} is in no segment");
        }
        // SAFETY: only this test has the map, and `leaves` is not used any more.
        unsafe { map.release() };
    }
}
