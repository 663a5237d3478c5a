//! Layer 0: sizes, indices that are in range by construction, bit arithmetic.
//!
//! Never: touches memory, or knows a variant.

#![forbid(unsafe_code)]

/// Binary logarithm of a slice's size.
pub(crate) const SLICE_LG: u32 = 16;

/// Bytes of a slice: 64 KiB. (The report's backend says *slot*.)
pub(crate) const SLICE_BYTES: usize = 1 << SLICE_LG;

/// Binary logarithm of a segment's size.
pub(crate) const SEGMENT_LG: u32 = 21;
/// Bytes of a segment: 2 MiB, the size of a huge page.
pub(crate) const SEGMENT_BYTES: usize = 1 << SEGMENT_LG;

/// Upper bound of slices in a segment: the bits of a mask of slices.
pub(crate) const MAX_SLICES: usize = 32;

/// Upper bound of size classes; a power of two, so that [`ClassIdx::index`] needs no check.
pub(crate) const MAX_CLASSES: usize = 64;

/// Upper bound of blocks in a batch.
pub(crate) const BATCH_MOST: usize = 64;

/// Upper bound of arenas; a power of two, so that [`ArenaIdx::index`] needs no check.
pub(crate) const MAX_ARENAS: usize = 64;

/// Binary logarithm of a page's size.
pub(crate) const PAGE_LG: u32 = 12;
/// Bytes of a page, the kernel's unit of memory: 4 KiB.
pub(crate) const PAGE_BYTES: usize = 1 << PAGE_LG;

/// Bytes of a cache line, the unit of sharing between cores.
pub(crate) const CACHE_LINE: usize = 64;

/// Ranks of the locks, in the order in which a thread takes them (N3).
pub(crate) mod rank {
    pub(crate) const CACHE_POOL: u8 = 1;
    pub(crate) const ROUND: u8 = 2;
    pub(crate) const PARKED: u8 = 3;
    pub(crate) const CENTRAL_LIST: u8 = 4;
    pub(crate) const TRANSFER: u8 = 5;
    pub(crate) const PAGE_HEAP: u8 = 6;
    pub(crate) const HUGE_BLOCKS: u8 = 7;
    pub(crate) const FENCED: u8 = 8;
    pub(crate) const SAMPLED: u8 = 9;
}

/// Index of a size class, below [`MAX_CLASSES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClassIdx(u8);

impl ClassIdx {
    /// The class with this index. Out of range, it fails to compile, or panics in a test.
    #[inline]
    pub(crate) const fn new(index: usize) -> Self {
        assert!(index < MAX_CLASSES);
        Self(index as u8)
    }

    /// The index from a byte of a size-class table.
    #[inline(always)]
    pub(crate) const fn from_table(byte: u8) -> Self {
        debug_assert!((byte as usize) < MAX_CLASSES);
        Self(byte)
    }

    /// The index, for arrays of [`MAX_CLASSES`]. The remainder shows the compiler that it is in range.
    #[inline(always)]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize % MAX_CLASSES
    }

    /// Every class below `count`.
    #[inline]
    pub(crate) fn all(count: usize) -> impl Iterator<Item = Self> {
        (0..count.min(MAX_CLASSES)).map(Self::new)
    }
}

/// Bytes of a list of free blocks in a thread's cache.
pub(crate) const LIST_BYTES: usize = 16;

/// Bytes from a thread's first list to the list of a class: [`LIST_BYTES`] times the class's index.
///
/// The size-class tables hold these, so a hit neither scales an index nor checks it. Only [`of`](Self::of) makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListOffset(u16);

impl ListOffset {
    /// The offset of a class's list.
    #[inline(always)]
    pub(crate) const fn of(class: ClassIdx) -> Self {
        Self((class.index() * LIST_BYTES) as u16)
    }

    /// The offset of so many bytes, which another offset had.
    #[inline(always)]
    pub(crate) const fn from_bytes(bytes: u16) -> Self {
        Self::of(ClassIdx::from_table((bytes as usize / LIST_BYTES) as u8))
    }

    /// The class of the list.
    #[inline(always)]
    pub(crate) const fn class(self) -> ClassIdx {
        ClassIdx((self.0 as usize / LIST_BYTES) as u8)
    }

    /// The offset in bytes.
    #[inline(always)]
    pub(crate) const fn bytes(self) -> usize {
        self.0 as usize
    }
}

/// Index of an arena, below [`MAX_ARENAS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ArenaIdx(u8);

impl ArenaIdx {
    /// The first arena, which also serves threads without a cache.
    pub(crate) const FIRST: Self = Self(0);

    /// The arena of this number.
    #[inline]
    pub(crate) const fn new(index: usize) -> Self {
        Self((index % MAX_ARENAS) as u8)
    }

    #[inline(always)]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize % MAX_ARENAS
    }
}

/// Index of a slice in its segment, below [`MAX_SLICES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SliceIdx(u8);

impl SliceIdx {
    /// Slice 0, which holds the segment's header.
    pub(crate) const FIRST: Self = Self(0);
    /// The last slice of a segment.
    pub(crate) const LAST: Self = Self(MAX_SLICES as u8 - 1);

    /// The slice that bit `index` of a mask stands for.
    #[inline(always)]
    pub(crate) const fn new(index: usize) -> Self {
        Self((index % MAX_SLICES) as u8)
    }

    #[inline(always)]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize % MAX_SLICES
    }

    /// This slice's bit in a mask.
    #[inline(always)]
    pub(crate) const fn bit(self) -> u32 {
        1 << self.index()
    }
}

/// The slices of the bits set in a mask, lowest first.
#[inline]
pub(crate) fn slices_in(mut mask: u32) -> impl Iterator<Item = SliceIdx> {
    core::iter::from_fn(move || {
        let slice = (mask != 0).then(|| SliceIdx::new(mask.trailing_zeros() as usize));
        mask &= mask.wrapping_sub(1);
        slice
    })
}

/// A mask with the bits `[from, to)` set; `to` is at most [`MAX_SLICES`].
#[inline]
pub(crate) const fn bit_range(from: usize, to: usize) -> u32 {
    debug_assert!(from <= to && to <= MAX_SLICES);
    low_bits(to) & !low_bits(from)
}

#[inline]
const fn low_bits(count: usize) -> u32 {
    if count >= MAX_SLICES { u32::MAX } else { (1 << count) - 1 }
}

/// The quotient of two numbers, rounded down. A divisor of 0 counts as 1, so the division cannot panic.
#[inline]
pub(crate) const fn quotient(number: usize, by: usize) -> usize {
    number / if by == 0 { 1 } else { by }
}

/// Bytes from an address to the next multiple of `align`, a power of two.
#[inline]
pub(crate) const fn bytes_to_multiple(address: usize, align: usize) -> usize {
    address.wrapping_neg() & align.wrapping_sub(1)
}

/// The smallest multiple of `unit` that is at least `bytes`.
#[inline]
pub(crate) const fn round_up(bytes: usize, unit: usize) -> usize {
    bytes.div_ceil(unit) * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_of_a_mask_come_lowest_first() {
        let slices: Vec<usize> = slices_in(1 << 31 | 0b1010).map(SliceIdx::index).collect();
        assert_eq!(slices, [1, 3, 31]);
        assert_eq!(slices_in(0).count(), 0);
    }

    #[test]
    fn bit_ranges_cover_the_whole_word() {
        assert_eq!(bit_range(0, 32), u32::MAX);
        assert_eq!(bit_range(4, 8), 0xF0);
        assert_eq!(bit_range(31, 32), 1 << 31);
        assert_eq!(bit_range(5, 5), 0);
    }
}
