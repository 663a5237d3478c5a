//! A slab: a slice cut into blocks of one class, with a bit for each block.
//!
//! ```text
//! block    0    1    2   …   bump − 1   │ bump          …      capacity − 1
//! bit      1    0    1   …        0     │ never handed out: untouched memory
//!          └ home ┘ └ out                 of the slice
//! ```
//!
//! Y1  A block below `bump` is home exactly if its bit is set; `used` is the number of blocks below `bump` that are
//!     out.
//! Y2  Blocks from `bump` on have never been handed out since the slice became a slab.
//! Y3  No bit at or past `bump` is set in a word that `bump` has reached, and no word below `lowest` has a set bit. Words
//!     that `bump` has not reached have no meaning.
//! Y4  No block that is out touches a page whose bit in `decommitted` is set.
//!
//! Never: locks, or touches a block's memory.

use super::Segment;
use super::home::Home;
use crate::base::{
    CACHE_LINE, ClassIdx, MAX_SLICES, PAGE_BYTES, PAGE_LG, SEGMENT_BYTES, SLICE_BYTES, SliceIdx,
    bit_range, quotient, rank,
};
use crate::batch::Batch;
use crate::free_block::FreeBlock;
use crate::linked::{Linked, Links};
use crate::sys::fatal::fatal;
use crate::sys::{clock, held};
use crate::variant::{Spread, Variant};
use core::cell::Cell;
use core::mem::offset_of;
use core::ptr::{self, NonNull};

/// Words of a slab's bitmap. A slab has at most 64 blocks for each word.
pub(crate) const WORDS: usize = 64;
/// Bitmap words that lie in the [`Slab`] itself: enough for blocks of 64 bytes and more. A thread that frees all over a
/// large heap then waits for one more cache line of the slab, and for one address translation.
const NEAR: usize = 17;
/// The other bitmap words, which lie behind all slabs of the segment.
pub(super) const FAR: usize = WORDS - NEAR;

/// The metadata of a slab. A thread that touches it holds the lock of its home's central list (X3).
#[repr(C, align(64))]
pub(crate) struct Slab {
    /// Neighbours among the class's slabs that have free blocks and are about as full.
    binned: Links<Slab>,
    /// Neighbours among the class's purgeable slabs.
    purgeable_links: Links<Slab>,
    /// Blocks that are out.
    used: Cell<u16>,
    /// Blocks that the slice has room for; 0 if the slice is no slab.
    capacity: Cell<u16>,
    /// Blocks that have been handed out at least once.
    bump: Cell<u16>,
    /// First word that may have a bit set.
    lowest: Cell<u8>,
    class: Cell<u8>,
    /// The number of the bin that the slab is in plus one; 0 for none.
    pub(crate) bin: Cell<u8>,
    /// True if a block has come home since the slab's free pages were purged.
    purgeable: Cell<bool>,
    /// The arena that the slab belongs to, if any. [shared]
    pub(crate) home: Home,
    /// Pages that are known to have no memory, as a mask. No block on them was handed out since they were purged, or
    /// since a slice without memory became this slab (Y4).
    decommitted: Cell<u16>,
    /// The time at which a block last came home, in milliseconds.
    touched_at: Cell<u64>,
    /// One bit per block, set while the block is home.
    near: [Cell<u64>; NEAR],
}

const _: () =
    assert!(offset_of!(Slab, near) < CACHE_LINE, "the first word shares a line with the rest");
const _: () = assert!(size_of::<Slab>() == 3 * CACHE_LINE);
const _: () = assert!(SLICE_BYTES / PAGE_BYTES == u16::BITS as usize);

/// The bins: lists of slabs by fullness.
pub(crate) const BINNED: u8 = 0;
/// The list of slabs that the next purge examines.
pub(crate) const PURGEABLE: u8 = 1;

impl Linked<BINNED> for Slab {
    fn links(&self) -> &Links<Self> {
        &self.binned
    }
}

impl Linked<PURGEABLE> for Slab {
    fn links(&self) -> &Links<Self> {
        &self.purgeable_links
    }
}

impl Slab {
    pub(crate) fn segment(&self) -> &'static Segment {
        // SAFETY: a slab's metadata lies in its segment, and both are mapped for the same time.
        unsafe { Segment::containing(ptr::from_ref(self).addr()) }
    }

    pub(crate) fn slice(&self) -> SliceIdx {
        let offset = ptr::from_ref(self).addr() % SEGMENT_BYTES - offset_of!(Segment, slabs);
        SliceIdx::new(offset / size_of::<Self>())
    }

    /// Loads the bitmap word that [`put`](Self::put) will change for a block. The result has no meaning.
    #[inline]
    pub(crate) fn look_ahead<V: Variant>(&self, class: ClassIdx, address: usize) -> u64 {
        let index = V::CLASSES.index_at(class, address % SLICE_BYTES);
        self.word(index / 64).get() ^ u64::from(self.class.get())
    }

    /// True if a slab's metadata could lie at an address, provided that this is in a segment's header. For audits.
    pub(crate) fn may_be_at(address: usize) -> bool {
        let offset = (address % SEGMENT_BYTES).wrapping_sub(offset_of!(Segment, slabs));
        offset.is_multiple_of(size_of::<Self>()) && offset / size_of::<Self>() < MAX_SLICES
    }

    /// A word of the bitmap.
    #[inline]
    fn word(&self, at: usize) -> &Cell<u64> {
        self.near.get(at).unwrap_or_else(|| self.segment().far_word(self.slice(), at - NEAR))
    }

    pub(crate) fn class(&self) -> ClassIdx {
        ClassIdx::from_table(self.class.get())
    }

    /// Blocks that are out.
    pub(crate) fn used(&self) -> u32 {
        u32::from(self.used.get())
    }

    /// Blocks that the slab has room for; 0 if the slice is no slab.
    pub(crate) fn capacity(&self) -> u32 {
        u32::from(self.capacity.get())
    }

    pub(crate) fn has_blocks(&self) -> bool {
        self.used.get() < self.capacity.get()
    }

    /// Makes a free slice a slab, none of whose blocks was handed out yet. A `clean` slice has no memory.
    pub(crate) fn set_up<V: Variant>(&self, class: ClassIdx, clean: bool) {
        held::check_rank(rank::CENTRAL_LIST); // Checks X3.
        let capacity = quotient(SLICE_BYTES, V::CLASSES.block_bytes(class)).min(WORDS * 64);
        debug_assert!(capacity * V::CLASSES.block_bytes(class) <= SLICE_BYTES, "X1");
        self.class.set(class.index() as u8);
        self.capacity.set(capacity as u16);
        self.bump.set(0);
        self.used.set(0);
        self.lowest.set(WORDS as u8);
        self.bin.set(0);
        self.purgeable.set(false);
        self.decommitted.set(if clean { u16::MAX } else { 0 });
    }

    /// Makes a slab a plain slice again. Every block of it is home.
    pub(crate) fn take_down(&self) {
        held::check_rank(rank::CENTRAL_LIST); // Checks X3.
        debug_assert_eq!(self.used.get(), 0);
        self.capacity.set(0);
    }

    fn block_at(&self, start: NonNull<u8>, bytes: usize, index: usize) -> NonNull<u8> {
        let address = start.addr().get() + index * bytes;
        NonNull::new(ptr::with_exposed_provenance_mut(address)).unwrap_or(NonNull::dangling())
    }

    /// Moves blocks to a batch until it has `want` blocks, or the slab has none left. The batch has room for `want`.
    /// Blocks that were out before come first, by address.
    pub(crate) fn take<V: Variant>(&self, batch: &mut Batch, want: u32) {
        held::check_rank(rank::CENTRAL_LIST); // Checks X3.
        let bytes = V::CLASSES.block_bytes(self.class());
        let start = self.segment().slice_start(self.slice());
        let before = batch.len();
        let mut append = |index: usize| {
            // SAFETY: the block lies in this slice and is home: its bit was set (Y1), and is cleared below. So it is
            // handed out once, and the caller is its only owner (FB1).
            let block = unsafe { FreeBlock::new(self.block_at(start, bytes, index)) };
            batch.push(block);
            batch.len() < want
        };
        let mut more = before < want;
        let mut touched = 0;
        let mut at = usize::from(self.lowest.get());
        while more && at < usize::from(self.bump.get()).div_ceil(64) {
            let word = self.word(at);
            let home = word.get();
            let mut bits = home;
            while more && bits != 0 {
                more = append(at * 64 + bits.trailing_zeros() as usize);
                bits &= bits - 1;
            }
            word.set(bits);
            if home != bits {
                let taken = home & !bits;
                let (first, last) = (taken.trailing_zeros(), 63 - taken.leading_zeros());
                touched |= pages_of(at * 64 + first as usize, at * 64 + last as usize, bytes);
            }
            at += usize::from(bits == 0);
        }
        self.lowest.set(at as u8);
        let room = u32::from(self.capacity.get() - self.bump.get());
        let fresh = if more { room.min(want - batch.len()) as usize } else { 0 };
        if fresh > 0 {
            let first = usize::from(self.bump.get());
            touched |= pages_of(first, first + fresh - 1, bytes);
        }
        self.decommitted.set(self.decommitted.get() & !(touched as u16));
        self.carve::<V>(batch, start, bytes, fresh);
        self.used.set(self.used.get() + (batch.len() - before) as u16);
    }

    /// Moves `count` blocks that were never handed out to a batch.
    fn carve<V: Variant>(&self, batch: &mut Batch, start: NonNull<u8>, bytes: usize, count: usize) {
        let first = usize::from(self.bump.get());
        let stride = match V::SPREAD {
            Spread::Adjacent | Spread::Random => 1,
            // As many as the blocks that share a cache line.
            Spread::Apart => quotient(CACHE_LINE, bytes).max(1).min(count.max(1)),
        };
        // Every `stride`th block from the first, then from the second, and so on: each block comes once.
        let lines = quotient(count + stride - 1, stride);
        for column in 0..stride {
            for line in 0..lines {
                let index = line * stride + column;
                if index < count {
                    // SAFETY: the block is below `capacity` and not below `bump`, so it was never out (Y2). `bump`
                    // passes it below, so it is handed out once (FB1).
                    let block =
                        unsafe { FreeBlock::new(self.block_at(start, bytes, first + index)) };
                    batch.push(block);
                }
            }
        }
        // A word is cleared only now, so far words take no memory before a block needs them.
        for at in first.div_ceil(64)..(first + count).div_ceil(64) {
            self.word(at).set(0);
        }
        self.bump.set((first + count) as u16);
    }

    /// Brings blocks of this slab home. An address that is no block of the slab that is out ends the process.
    #[inline]
    pub(crate) fn put<V: Variant>(&self, class: ClassIdx, blocks: &[FreeBlock]) {
        held::check_rank(rank::CENTRAL_LIST); // Checks X3.
        let bytes = V::CLASSES.block_bytes(class);
        let bump = usize::from(self.bump.get());
        let is_class = self.class() == class;
        // Consecutive blocks mostly share a word, which is written once for all of them.
        let (mut at, mut home, mut lowest) = (WORDS, 0, usize::from(self.lowest.get()));
        for block in blocks {
            let address = block.address();
            let offset = address % SLICE_BYTES;
            let index = V::CLASSES.index_at(class, offset);
            if !is_class || index >= bump {
                fatal("free with a layout of another size class:", address);
            }
            if index * bytes != offset {
                fatal("free of an address inside a block:", address);
            }
            if index / 64 != at {
                if at < WORDS {
                    self.word(at).set(home);
                }
                at = index / 64;
                home = self.word(at).get();
                lowest = lowest.min(at);
            }
            let bit = 1 << (index % 64);
            if home & bit != 0 {
                fatal("double free:", address);
            }
            home |= bit;
        }
        if at < WORDS {
            self.word(at).set(home);
        }
        self.lowest.set(lowest as u8);
        self.used.set(self.used.get() - blocks.len() as u16);
    }

    /// Notes that blocks have come home. True if they are the first since the slab's free pages were purged.
    pub(crate) fn touch(&self, now: u64) -> bool {
        held::check_rank(rank::CENTRAL_LIST); // Checks X3.
        self.touched_at.set(now);
        !self.purgeable.replace(true)
    }

    /// True if a block starts at an address, and has ever been handed out.
    pub(crate) fn is_start<V: Variant>(&self, address: usize) -> bool {
        let offset = address % SLICE_BYTES;
        let index = V::CLASSES.index_at(self.class(), offset);
        index < usize::from(self.bump.get())
            && index * V::CLASSES.block_bytes(self.class()) == offset
    }

    /// True if a block starts at an address, and is out.
    pub(crate) fn has_out<V: Variant>(&self, address: usize) -> bool {
        let index = V::CLASSES.index_at(self.class(), address % SLICE_BYTES);
        self.is_start::<V>(address) && self.word(index / 64).get() & (1 << (index % 64)) == 0
    }

    /// Milliseconds since a block last came home.
    pub(crate) fn idle_ms(&self, now: u64) -> u64 {
        clock::since(self.touched_at.get(), now)
    }

    /// True if no block came home since the slab's free pages were purged.
    pub(crate) fn is_purged(&self) -> bool {
        !self.purgeable.get()
    }

    /// Marks the slab as purged, so that no purge examines it until a block comes home.
    pub(crate) fn set_purged(&self) {
        held::check_rank(rank::CENTRAL_LIST); // Checks X3.
        self.purgeable.set(false);
    }

    /// The slab's pages that have memory and that no block in use touches, as a mask.
    ///
    /// It marks the slab as purged, even if the kernel then refuses the pages. The next purge after a block comes home
    /// offers them again.
    pub(crate) fn pages_to_purge<V: Variant>(&self) -> u32 {
        held::check_rank(rank::CENTRAL_LIST); // Checks X3.
        self.purgeable.set(false);
        let decommitted = u32::from(self.decommitted.get());
        (0..SLICE_BYTES / PAGE_BYTES)
            .filter(|page| decommitted & (1 << page) == 0 && self.is_free_page::<V>(*page))
            .fold(0, |mask, page| mask | 1 << page)
    }

    /// True if every block that touches a page is home, or was never out.
    fn is_free_page<V: Variant>(&self, page: usize) -> bool {
        let index_at = |offset| V::CLASSES.index_at(self.class(), offset);
        let first = index_at(page << PAGE_LG);
        let end = (index_at((page << PAGE_LG) + PAGE_BYTES - 1) + 1).min(self.bump.get().into());
        let (mut at, mut free) = (first, true);
        while free && at < end {
            let upto = (at / 64 * 64 + 64).min(end);
            let wanted = u64::MAX >> (64 - (upto - at)) << (at % 64);
            free = self.word(at / 64).get() & wanted == wanted;
            at = upto;
        }
        free
    }

    /// Notes that pages were purged.
    pub(crate) fn note_decommitted(&self, from: usize, to: usize) {
        held::check_rank(rank::CENTRAL_LIST); // Checks X3.
        self.decommitted.set(self.decommitted.get() | bit_range(from, to) as u16);
    }

    /// The start of a page of the slab; `index` is below 16.
    pub(crate) fn page(&self, index: usize) -> NonNull<u8> {
        // SAFETY: the slice has 16 pages in the segment's mapping, so the offset stays inside.
        unsafe { self.segment().slice_start(self.slice()).add(index << PAGE_LG) }
    }

    /// True if Y1 to Y4 hold; for audits.
    pub(crate) fn is_sound<V: Variant>(&self) -> bool {
        let bump = usize::from(self.bump.get());
        let count = bump.div_ceil(64);
        let word = |at| self.word(at).get();
        let home: u32 = (0..count).map(|at| word(at).count_ones()).sum();
        let past = (bump..count * 64).any(|index| word(index / 64) & (1 << (index % 64)) != 0);
        let nothing_below = (0..count.min(self.lowest.get().into())).all(|at| word(at) == 0);
        let decommitted_is_free = (0..SLICE_BYTES / PAGE_BYTES)
            .all(|page| self.decommitted.get() & (1 << page) == 0 || self.is_free_page::<V>(page));
        !past && nothing_below && decommitted_is_free && bump == (home + self.used()) as usize
    }
}

/// The pages that the blocks from number `first` to number `last` touch, as a mask. Each has `bytes` bytes.
fn pages_of(first: usize, last: usize, bytes: usize) -> u32 {
    bit_range((first * bytes) >> PAGE_LG, ((last * bytes + bytes - 1) >> PAGE_LG) + 1)
}

#[cfg(test)]
mod tests;
