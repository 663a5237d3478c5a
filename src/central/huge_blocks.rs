//! Records of huge blocks: the length of a block's pages, by the block's address. Callers that free by address alone
//! need it.
//!
//! ```text
//!  63    47 46          34 33          16 15      12 11    0
//!  ┌───────┬──────────────┬──────────────┬──────────┬───────┐     a word per slice of the address space:
//!  │   0   │ root: leaf   │ leaf: word   │ page     │   0   │     its length, and its page
//!  └───────┴──────────────┴──────────────┴──────────┴───────┘
//! ```
//!
//! RC1  Each recorded block has at least the size of a slice, so no two begin in one slice.
//! RC2  A word is not 0 exactly while a block that begins in its slice is in use; the page map says `Huge` then.
//!
//! A thread writes the records with the lock held, and reads them without. A reader has the address of a block in use.
//! It got this address through a chain of synchronisation, which begins after the record was written.
//!
//! Never: maps or unmaps the block itself.

use crate::base::{PAGE_BYTES, PAGE_LG, SLICE_LG, rank};
use crate::page_map::{Kind, LeafPlace, PageMap};
use crate::sys::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use crate::sys::fatal::fatal;
use crate::sys::lock::Lock;
use crate::sys::pages;
use core::cell::Cell;
use core::ptr::{self, NonNull};

const ADDRESS_BITS: u32 = 47;
const LEAF_LG: u32 = 18;
const LEAF_WORDS: usize = 1 << LEAF_LG;
const ROOT_WORDS: usize = 1 << (ADDRESS_BITS - SLICE_LG - LEAF_LG);
const LEAF_BYTES: usize = LEAF_WORDS * size_of::<u64>();
/// Pages of a slice. The low bits of a word hold the number of one.
const PAGES: u64 = 1 << (SLICE_LG - PAGE_LG);

/// The records of one variant.
pub(crate) struct HugeBlocks {
    pub(super) lock: Lock<{ rank::HUGE_BLOCKS }>,
    root: [LeafPlace<AtomicU64>; ROOT_WORDS],
    /// Recorded blocks, and bytes of their pages. [lock]
    count: Cell<usize>,
    bytes: Cell<usize>,
}

// SAFETY: `count` and `bytes` are touched with the lock held; the lock and the root's places are atomics.
unsafe impl Sync for HugeBlocks {}

impl HugeBlocks {
    pub(crate) const fn new() -> Self {
        Self {
            lock: Lock::over(AtomicU32::new(0)),
            root: [const { LeafPlace::over(AtomicPtr::new(ptr::null_mut())) }; ROOT_WORDS],
            count: Cell::new(0),
            bytes: Cell::new(0),
        }
    }

    /// Records a block. Returns false if memory is exhausted, or if the address is beyond the records.
    pub(super) fn add(&self, map: &PageMap, start: NonNull<u8>, bytes: usize) -> bool {
        self.lock.with(|| {
            let address = start.addr().get();
            let added = map.cover(address) && self.set(address, bytes);
            if added {
                map.note(address, Kind::Huge);
                self.count.set(self.count.get() + 1);
                self.bytes.set(self.bytes.get() + bytes);
            }
            added
        })
    }

    /// Removes the record of a block. If there is none, it reports misuse.
    pub(super) fn remove(&self, map: &PageMap, start: NonNull<u8>, bytes: usize) {
        self.lock.with(|| {
            // Another thread may have freed the block meanwhile.
            if self.bytes_at(start.addr().get()) != Some(bytes) {
                fatal("double free:", start.addr().get());
            }
            map.note(start.addr().get(), Kind::Foreign);
            self.set(start.addr().get(), 0);
            self.count.set(self.count.get() - 1);
            self.bytes.set(self.bytes.get() - bytes);
        });
    }

    /// Notes that a block changed its length where it is.
    pub(super) fn change_length(&self, start: NonNull<u8>, old: usize, new: usize) {
        self.lock.with(|| {
            // The leaf is there, so this does not fail.
            self.set(start.addr().get(), new);
            self.bytes.set(self.bytes.get() - old + new);
        });
    }

    /// Makes sure that a block can be recorded at an address. False if memory is exhausted, or if the address is beyond
    /// the records.
    pub(super) fn reserve(&self, map: &PageMap, start: NonNull<u8>) -> bool {
        let address = start.addr().get();
        self.lock.with(|| map.cover(address) && self.leaf(address).is_some())
    }

    /// The leaf of an address, which is mapped if there is none yet. `None` if memory is exhausted, or if the address is
    /// beyond the records. With the lock held.
    fn leaf(&self, address: usize) -> Option<*mut AtomicU64> {
        self.lock.check_held();
        let entry = self.root.get(address >> SLICE_LG >> LEAF_LG)?;
        let leaf = entry.get();
        if !leaf.is_null() {
            return Some(leaf);
        }
        let fresh = fresh_leaf()?;
        // No other thread puts a leaf there meanwhile: this thread has the lock.
        entry.put(fresh);
        Some(fresh)
    }

    fn set(&self, address: usize, bytes: usize) -> bool {
        self.lock.check_held();
        let number = address >> SLICE_LG;
        let Some(leaf) = self.leaf(address) else { return false };
        let word = leaf.wrapping_add(number % LEAF_WORDS);
        // SAFETY: the address is inside a leaf of that many words, which is never unmapped.
        let word = unsafe { &*word };
        let page = (address >> PAGE_LG) as u64 % PAGES;
        let recorded = if bytes == 0 { 0 } else { bytes as u64 | page };
        // ORDERING: relaxed; a reader of this word got the block's address by a synchronisation that follows this
        // store.
        word.store(recorded, Ordering::Relaxed);
        true
    }

    /// Bytes of the block that begins at an address; `None` if no block begins there.
    pub(crate) fn bytes_at(&self, address: usize) -> Option<usize> {
        let number = address >> SLICE_LG;
        let leaf = self.root.get(number >> LEAF_LG)?.get();
        // SAFETY: null, or a leaf of words that threads only touch atomically, which is never unmapped.
        let leaf = unsafe { leaf.cast::<[AtomicU64; LEAF_WORDS]>().as_ref() }?;
        // ORDERING: relaxed; the reader got the block's address by a synchronisation that follows the store in `set`.
        let word = leaf[number % LEAF_WORDS].load(Ordering::Relaxed);
        let (bytes, page) = (word & !(PAGES - 1), word % PAGES);
        let begins = number << SLICE_LG | (page as usize) << PAGE_LG;
        (word != 0 && begins == address).then_some(bytes as usize)
    }

    /// Recorded blocks, and bytes of their pages. With the lock held.
    pub(super) fn sum(&self) -> (usize, usize) {
        self.lock.check_held();
        (self.count.get(), self.bytes.get())
    }
}

fn fresh_leaf() -> Option<*mut AtomicU64> {
    let fresh = pages::map(LEAF_BYTES)?;
    // SAFETY: mapped above. Few of its pages will ever be touched.
    unsafe { pages::refuse_huge_pages(fresh, LEAF_BYTES) };
    Some(fresh.cast().as_ptr())
}

const _: () = assert!(PAGES as usize <= PAGE_BYTES, "a page's number fits below a length");

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: usize) -> NonNull<u8> {
        NonNull::new(ptr::without_provenance_mut(address)).expect("not null")
    }

    fn sum(blocks: &HugeBlocks) -> (usize, usize) {
        blocks.lock.with(|| blocks.sum())
    }

    #[test]
    fn found_where_it_begins_and_nowhere_else() {
        let (blocks, map) = (HugeBlocks::new(), PageMap::new());
        let start = 0x7f12_3456_7000;
        assert!(blocks.add(&map, at(start), 0x20_0000));
        assert_eq!(blocks.bytes_at(start), Some(0x20_0000));
        for other in [start + 16, start - 0x1000, start + 0x1000, start + 0x10_0000, 0, 1 << 50] {
            assert_eq!(blocks.bytes_at(other), None);
        }
        let to = 0x5512_0000_0000;
        assert!(blocks.reserve(&map, at(to)) && !blocks.reserve(&map, at(1 << 52)));
        blocks.remove(&map, at(start), 0x20_0000);
        assert!(blocks.add(&map, at(to), 0x30_0000));
        assert_eq!((blocks.bytes_at(start), blocks.bytes_at(to)), (None, Some(0x30_0000)));
        assert_eq!((map.kind(start), map.kind(to)), (Kind::Foreign, Kind::Huge));
        blocks.change_length(at(to), 0x30_0000, 0x40_0000);
        assert_eq!((blocks.bytes_at(to), sum(&blocks)), (Some(0x40_0000), (1, 0x40_0000)));
        blocks.remove(&map, at(to), 0x40_0000);
        assert_eq!((blocks.bytes_at(to), sum(&blocks)), (None, (0, 0)));
        assert_eq!(map.kind(to), Kind::Foreign);
        assert!(!blocks.add(&map, at(1 << 52), 0x1_0000));
    }
}
