//! Records of huge blocks: the length of a block, by the block's address. Callers that free by address alone
//! need it.
//!
//! ```text
//!  63    47 46          34 33          16 15      12 11    0
//!  ┌───────┬──────────────┬──────────────┬──────────┬───────┐     a word per slice of the address space:
//!  │   0   │ root: leaf   │ leaf: word   │ page     │   0   │     the block's length and 1, and its page below that
//!  └───────┴──────────────┴──────────────┴──────────┴───────┘
//! ```
//!
//! RC1  The pages of each recorded block have at least the size of a slice, so no two begin in one slice.
//! RC2  A word is not 0 exactly while a block that begins in its slice is in use. The page map says `Huge` or `Fenced`
//!      then.
//!
//! A thread writes the records with the lock held, and reads them without. A reader has the address of a block in use.
//! It got this address through a chain of synchronisation, which begins after the record was written.
//!
//! Never: maps or unmaps the block itself.

use crate::base::{PAGE_LG, SLICE_BYTES, SLICE_LG, rank};
use crate::page_map::{Kind, PageMap};
use crate::stats::{Unsound, ensure};
use crate::sys::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use crate::sys::fatal::fatal;
use crate::sys::lock::Lock;
use crate::sys::pages;
use crate::sys::published::Published;
use core::cell::Cell;
use core::ptr::{self, NonNull};

const ADDRESS_BITS: u32 = 47;
const LEAF_LG: u32 = 18;
const LEAF_WORDS: usize = 1 << LEAF_LG;
const ROOT_WORDS: usize = 1 << (ADDRESS_BITS - SLICE_LG - LEAF_LG);
const LEAF_BYTES: usize = LEAF_WORDS * size_of::<u64>();
/// The low bits of a word hold the number of a page in its slice.
const PAGE_BITS: u32 = SLICE_LG - PAGE_LG;
const PAGES: u64 = 1 << PAGE_BITS;

/// The records of one variant.
pub(crate) struct HugeBlocks {
    pub(super) lock: Lock<{ rank::HUGE_BLOCKS }>,
    root: [Published<AtomicU64>; ROOT_WORDS],
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
            root: [const { Published::over(AtomicPtr::new(ptr::null_mut())) }; ROOT_WORDS],
            count: Cell::new(0),
            bytes: Cell::new(0),
        }
    }

    /// Records a block of a kind: huge, or between fences. Returns false if memory is exhausted, or if the address is beyond the records.
    pub(super) fn add(&self, map: &PageMap, start: NonNull<u8>, bytes: usize, kind: Kind) -> bool {
        self.lock.with(|| {
            let address = start.addr().get();
            let added = map.cover(address) && self.set(address, Some(bytes));
            if added {
                map.note(address, kind);
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
            self.set(start.addr().get(), None);
            self.count.set(self.count.get() - 1);
            self.bytes.set(self.bytes.get() - bytes);
        });
    }

    /// Notes that a block changed its length where it is.
    pub(super) fn change_length(&self, start: NonNull<u8>, old: usize, new: usize) {
        self.lock.with(|| {
            // The leaf is there, so this does not fail.
            self.set(start.addr().get(), Some(new));
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

    fn set(&self, address: usize, bytes: Option<usize>) -> bool {
        self.lock.check_held();
        let number = address >> SLICE_LG;
        let Some(leaf) = self.leaf(address) else { return false };
        let word = leaf.wrapping_add(number % LEAF_WORDS);
        // SAFETY: the address is inside a leaf of that many words, which is never unmapped.
        let word = unsafe { &*word };
        let page = (address >> PAGE_LG) as u64 % PAGES;
        // One more than the length, so that no record is 0.
        let recorded = bytes.map_or(0, |bytes| (bytes as u64 + 1) << PAGE_BITS | page);
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
        let (above, page) = (word >> PAGE_BITS, word % PAGES);
        let begins = number << SLICE_LG | (page as usize) << PAGE_LG;
        above.checked_sub(1).filter(|_| begins == address).map(|bytes| bytes as usize)
    }

    /// An error unless the records are those of the page map, and are counted (RC1, RC2). Calls `visit` with each block
    /// that is not between fences, and returns the sum of their bytes. With the lock held, for audits.
    pub(super) fn check(
        &self,
        map: &PageMap,
        mut visit: impl FnMut(usize, usize) -> Result<(), Unsound>,
    ) -> Result<usize, Unsound> {
        let (mut count, mut sum, mut huge) = (0, 0, 0);
        for (index, entry) in self.root.iter().enumerate() {
            // SAFETY: null, or a leaf of words that threads only touch atomically, which is never unmapped.
            let leaf = unsafe { entry.get().cast::<[AtomicU64; LEAF_WORDS]>().as_ref() };
            for (number, word) in leaf.into_iter().flatten().enumerate() {
                // ORDERING: relaxed; the caller holds the lock under which the words are written.
                let word = word.load(Ordering::Relaxed);
                if word == 0 {
                    continue;
                }
                let slice = (index << LEAF_LG | number) << SLICE_LG;
                let (bytes, page) = ((word >> PAGE_BITS) as usize - 1, (word % PAGES) as usize);
                let address = slice | page << PAGE_LG;
                if !map.has(address, Kind::Fenced) {
                    let is_noted = map.has(address, Kind::Huge);
                    ensure(is_noted, "RC2, a huge block in the page map", address)?;
                    ensure(bytes >= SLICE_BYTES, "RC1, a huge block's length", address)?;
                    visit(address, bytes)?;
                    huge += bytes;
                }
                (count, sum) = (count + 1, sum + bytes);
            }
        }
        ensure((count, sum) == self.sum(), "RC2, huge blocks are counted", 0)?;
        Ok(huge)
    }

    /// Unmaps the records.
    ///
    /// # Safety
    /// No code refers to a block, or will ask for one.
    pub(crate) unsafe fn release(&self) {
        for leaf in self.root.iter().filter_map(|entry| NonNull::new(entry.get())) {
            // SAFETY: `leaf` mapped it. By the caller's condition no thread looks into it.
            unsafe { pages::unmap(leaf.cast(), LEAF_BYTES) };
        }
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

const _: () = assert!(ADDRESS_BITS + PAGE_BITS <= u64::BITS, "a length fits above a page's number");

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
        assert!(blocks.add(&map, at(start), 0x20_0000, Kind::Huge));
        assert_eq!(blocks.bytes_at(start), Some(0x20_0000));
        for other in [start + 16, start - 0x1000, start + 0x1000, start + 0x10_0000, 0, 1 << 50] {
            assert_eq!(blocks.bytes_at(other), None);
        }
        let to = 0x5512_0000_0000;
        assert!(blocks.reserve(&map, at(to)) && !blocks.reserve(&map, at(1 << 52)));
        blocks.remove(&map, at(start), 0x20_0000);
        assert!(blocks.add(&map, at(to), 0x30_0000, Kind::Huge));
        assert_eq!((blocks.bytes_at(start), blocks.bytes_at(to)), (None, Some(0x30_0000)));
        assert_eq!((map.kind(start), map.kind(to)), (Kind::Foreign, Kind::Huge));
        blocks.change_length(at(to), 0x30_0000, 0x40_0000);
        assert_eq!((blocks.bytes_at(to), sum(&blocks)), (Some(0x40_0000), (1, 0x40_0000)));
        blocks.remove(&map, at(to), 0x40_0000);
        assert_eq!((blocks.bytes_at(to), sum(&blocks)), (None, (0, 0)));
        assert_eq!(map.kind(to), Kind::Foreign);
        assert!(!blocks.add(&map, at(1 << 52), 0x1_0000, Kind::Huge));
    }
}
