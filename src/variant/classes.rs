//! Size classes: a table, built at compile time, from the size of a request to a size class.
//!
//! | table | block sizes |
//! |---|---|
//! | `report` | the founding report's eight: 8, 16, 32, 64, 128, 256, 512, 2048 |
//! | `eighths` | steps of 16 to 256, then eight per doubling to 2 KiB and four to 32 KiB |
//! | `finer` | steps of 16 to 256, then eight per doubling to 8 KiB and four to 32 KiB |
//!
//! C1  Block sizes rise, and each is a multiple of 8 bytes, or of 16 from 16 on. Every power of two from the smallest
//!     to the largest block is among them.
//! C2  The class of a size is the smallest class whose blocks hold that size.
//! C3  A block is aligned to every power of two that divides its size. Slices are aligned to 64 KiB, and blocks lie at
//!     multiples of their size.
//! C4  A block above 128 bytes wastes less than a fifth of itself; in `report`, less than all of it.
//! C5  A size that is a multiple of a power of two, below the largest block, has a class whose blocks are multiples of
//!     that power. So the class of a size at an alignment is that of the size rounded up to a multiple of it.
//!
//! `SizeClasses::new` proves C1, C2, C4 and C5 for every size at compile time; C3 follows from C1 and the layout of slabs.
//! Never: looks at memory.

use crate::base::{ClassIdx, ListOffset, MAX_CLASSES, SLICE_BYTES};
use seq_macro::seq;

/// The largest size that any table reaches.
const MAX_REACH: usize = 32 * 1024;
/// Entries of the lookup table: one per 16 bytes.
const ENTRIES: usize = MAX_REACH / 16;

/// A set of block sizes with its lookup table.
pub(crate) struct SizeClasses {
    /// Bytes of a block, per class; 0 past `count`.
    blocks: [u16; MAX_CLASSES],
    /// 2^32 divided by the bytes of a block, rounded up: to divide by multiplying.
    inverse: [u32; MAX_CLASSES],
    count: usize,
    /// Binary logarithm of the sizes that share an entry of the table.
    step_lg: u32,
    /// The largest size.
    reach: usize,
    /// A block above 128 bytes wastes less than this part of itself (C4): one in so many.
    waste: usize,
    /// The class of the sizes in each step. Step 0 starts with 1 byte.
    table: [ClassIdx; ENTRIES],
    /// The list of each step's class.
    lists: [ListOffset; ENTRIES],
}

/// The founding report's classes. The report says nothing of 1041 to 2048 bytes; class 7 serves them, whose blocks fit.
pub(crate) const REPORT: SizeClasses =
    SizeClasses::new(&[8, 16, 32, 64, 128, 256, 512, 2048], 3, 1);

/// Steps of 16 bytes, then eight per doubling, then four.
pub(crate) const EIGHTHS: SizeClasses = SizeClasses::new(&EIGHTHS_BLOCKS, 4, 5);

/// Steps of 16 bytes, then eight per doubling to 8 KiB, then four. A database's pages of 4 KiB come with a header, so
/// they need a class just above 4 KiB.
pub(crate) const FINER: SizeClasses = SizeClasses::new(&FINER_BLOCKS, 4, 5);

// Each repetition makes four sizes.
#[allow(
    clippy::identity_op,
    reason = "rows that are alike read best: the first step is one of them"
)]
const EIGHTHS_BLOCKS: [u16; 56] = seq!(N in 1..=4 {[
    #(16 * N,)*           #(64 + 16 * N,)*      #(128 + 16 * N,)*  #(192 + 16 * N,)*
    #(256 + 32 * N,)*     #(384 + 32 * N,)*
    #(512 + 64 * N,)*     #(768 + 64 * N,)*
    #(1024 + 128 * N,)*   #(1536 + 128 * N,)*
    #(2048 + 512 * N,)*
    #(4096 + 1024 * N,)*
    #(8192 + 2048 * N,)*
    #(16384 + 4096 * N,)*
]});

#[allow(
    clippy::identity_op,
    reason = "rows that are alike read best: the first step is one of them"
)]
const FINER_BLOCKS: [u16; 64] = seq!(N in 1..=4 {[
    #(16 * N,)*           #(64 + 16 * N,)*      #(128 + 16 * N,)*  #(192 + 16 * N,)*
    #(256 + 32 * N,)*     #(384 + 32 * N,)*
    #(512 + 64 * N,)*     #(768 + 64 * N,)*
    #(1024 + 128 * N,)*   #(1536 + 128 * N,)*
    #(2048 + 256 * N,)*   #(3072 + 256 * N,)*
    #(4096 + 512 * N,)*   #(6144 + 512 * N,)*
    #(8192 + 2048 * N,)*
    #(16384 + 4096 * N,)*
]});

impl SizeClasses {
    /// Size classes with these block sizes. An entry of the table covers 2^`step_lg` sizes, and C4 holds with one part
    /// in `waste`.
    const fn new(sizes: &[u16], step_lg: u32, waste: usize) -> Self {
        let mut classes = Self {
            blocks: [0; MAX_CLASSES],
            inverse: [0; MAX_CLASSES],
            count: 0,
            step_lg,
            reach: 0,
            waste,
            table: [ClassIdx::new(0); ENTRIES],
            lists: [ListOffset::of(ClassIdx::new(0)); ENTRIES],
        };
        while classes.count < sizes.len() {
            let bytes = sizes[classes.count] as u64;
            classes.blocks[classes.count] = sizes[classes.count];
            classes.inverse[classes.count] = (1_u64 << 32).div_ceil(bytes) as u32;
            classes.reach = bytes as usize;
            classes.count += 1;
        }
        let (mut step, mut class) = (0, 0);
        while step << step_lg < classes.reach {
            if classes.blocks[class] as usize >= (step + 1) << step_lg {
                classes.table[step] = ClassIdx::new(class);
                classes.lists[step] = ListOffset::of(classes.table[step]);
                step += 1;
            } else {
                class += 1;
            }
        }
        classes.prove();
        classes
    }

    /// The class that serves `bytes`, which is above 0, at a multiple of `align`, a power of two; `None` if no class
    /// does.
    #[inline(always)]
    pub(crate) const fn class_of(&self, bytes: usize, align: usize) -> Option<ClassIdx> {
        match self.step_of(bytes, align) {
            Some(step) => Some(self.table[step]),
            None => None,
        }
    }

    /// The list of the class of [`class_of`](Self::class_of).
    #[inline(always)]
    pub(crate) const fn list_of(&self, bytes: usize, align: usize) -> Option<ListOffset> {
        match self.step_of(bytes, align) {
            Some(step) => Some(self.lists[step]),
            None => None,
        }
    }

    /// The step of `bytes` rounded up to a multiple of `align` (C5); `None` if it is above the classes.
    ///
    /// The multiple less one is `bytes` less one with all bits below `align` set. So no branch looks at `align`.
    #[inline(always)]
    const fn step_of(&self, bytes: usize, align: usize) -> Option<usize> {
        let step = bytes.wrapping_sub(1) >> self.step_lg | align.wrapping_sub(1) >> self.step_lg;
        if step < self.reach >> self.step_lg { Some(step) } else { None }
    }

    /// Bytes of a block of this class.
    #[inline(always)]
    pub(crate) const fn block_bytes(&self, class: ClassIdx) -> usize {
        self.blocks[class.index()] as usize
    }

    /// The number of the block, of this class, at an offset from the start of its slice. The offset is below
    /// [`SLICE_BYTES`].
    #[inline(always)]
    pub(crate) const fn index_at(&self, class: ClassIdx, offset: usize) -> usize {
        ((offset as u64 * self.inverse[class.index()] as u64) >> 32) as usize
    }

    /// The number of classes.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Panics, at compile time, unless C1, C2, C4 and C5 hold for every size up to the largest block.
    const fn prove(&self) {
        let mut class = 0;
        let mut power = self.blocks[0] as usize;
        while class < self.count {
            let bytes = self.blocks[class] as usize;
            let unit = if bytes < 16 { 8 } else { 16 };
            assert!(bytes.is_multiple_of(unit) && bytes <= SLICE_BYTES / 2, "C1");
            assert!(class == 0 || bytes > self.blocks[class - 1] as usize, "C1");
            if self.step_lg > 3 {
                assert!(bytes <= power, "C1: every power of two");
                power = if bytes == power { 2 * power } else { power };
            }
            // The multiplication gives the right quotient for the last block's first and last byte, so for all bytes.
            let last = SLICE_BYTES / bytes - 1;
            assert!(self.index_at(ClassIdx::new(class), last * bytes) == last, "index_at");
            assert!(
                self.index_at(ClassIdx::new(class), last * bytes + bytes - 1) == last,
                "index_at"
            );
            class += 1;
        }
        // Sizes that share an entry share its class, so the least and the largest of them are enough.
        let mut step = 0;
        while step << self.step_lg < self.reach {
            let (least, largest) = ((step << self.step_lg) + 1, (step + 1) << self.step_lg);
            let class = self.table[step].index();
            let block = self.blocks[class] as usize;
            assert!(class < self.count && block >= largest, "C2: it fits");
            assert!(class == 0 || (self.blocks[class - 1] as usize) < least, "C2: none smaller");
            assert!(block <= 128 || (block - least) * self.waste < block, "C4");
            // Each power of two that divides the largest size divides the block.
            let power = 1 << largest.trailing_zeros();
            assert!(block.is_multiple_of(power), "C5");
            step += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_s_table() {
        let class = |bytes| REPORT.class_of(bytes, 1).map(ClassIdx::index);
        assert_eq!(class(1), Some(0));
        assert_eq!(class(16), Some(1));
        assert_eq!((class(512), class(513), class(1040)), (Some(6), Some(7), Some(7)));
        assert_eq!((class(2048), class(2049)), (Some(7), None));
    }

    #[test]
    fn fine_tables() {
        assert_eq!((EIGHTHS.count(), FINER.count()), (56, 64));
        let bytes = |classes: &SizeClasses, size| {
            classes.class_of(size, 1).map(|class| classes.block_bytes(class))
        };
        assert_eq!(bytes(&EIGHTHS, 129), Some(144));
        assert_eq!(bytes(&EIGHTHS, 1025), Some(1152));
        assert_eq!((bytes(&EIGHTHS, 4097), bytes(&FINER, 4097)), (Some(5120), Some(4608)));
        assert_eq!((bytes(&FINER, 8193), bytes(&FINER, 32768)), (Some(10240), Some(32768)));
        assert_eq!((bytes(&EIGHTHS, 32768), bytes(&EIGHTHS, 32769)), (Some(32768), None));
    }

    #[test]
    fn an_aligned_class_has_aligned_blocks() {
        for classes in [&REPORT, &EIGHTHS, &FINER] {
            for lg in 0..=15 {
                for size in (1..40_000).step_by(37) {
                    let Some(class) = classes.class_of(size, 1 << lg) else {
                        assert!(size.max(1 << lg) > classes.reach);
                        continue;
                    };
                    let list = classes.list_of(size, 1 << lg);
                    assert_eq!(list.map(ListOffset::class), Some(class));
                    assert!(classes.block_bytes(class).is_multiple_of(1 << lg.min(3)));
                    assert!(classes.block_bytes(class) >= size);
                    assert!(lg < 4 || classes.block_bytes(class).is_multiple_of(1 << lg));
                }
            }
        }
    }
}
