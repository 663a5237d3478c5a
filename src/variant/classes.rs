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
//! `SizeClasses::prove` proves C1, C2, C4 and C5 for every size at compile time; C3 follows from C1 and the layout of slabs.
//! Never: looks at memory.

use crate::base::{ClassIdx, ListOffset, MAX_CLASSES, SLICE_BYTES};
use seq_macro::seq;

/// The largest size that any table reaches.
const MAX_REACH: usize = 32 * 1024;
/// Entries of the lookup table: one per 16 bytes.
const ENTRIES: usize = MAX_REACH / 16;

/// A set of block sizes.
pub(crate) struct SizeClasses {
    /// Bytes of a block, per class; 0 past `count`.
    blocks: [u16; MAX_CLASSES],
    /// 2^32 divided by the bytes of a block, rounded up: to divide by multiplying.
    inverse: [u32; MAX_CLASSES],
    count: usize,
}

/// A lookup table for a set of block sizes, from a size to its class or to the list of that class.
///
/// The tables are constants apart from [`SizeClasses`]: each codegen unit has its own copy of the constants that it
/// reads.
pub(crate) struct SizeTable<T> {
    /// Binary logarithm of the sizes that share an entry.
    step_lg: u32,
    /// The largest size.
    reach: usize,
    /// The entry of the sizes in each step. Step 0 starts with 1 byte.
    entries: [T; ENTRIES],
}

/// Defines a set of block sizes and its two tables. An entry of a table covers 2^`step_lg` sizes, and a block above 128
/// bytes wastes less than one part in `waste` of itself (C4).
macro_rules! size_classes {
    ($(#[$doc:meta])+ $name:ident, $classes:ident, $lists:ident: $sizes:expr, $step_lg:literal, $waste:literal) => {
        $(#[$doc])+
        pub(crate) const $name: SizeClasses = SizeClasses::new(&$sizes);
        /// From a size to its class.
        pub(crate) const $classes: SizeTable<ClassIdx> = SizeTable::of_classes(&$sizes, $step_lg);
        /// From a size to the list of its class.
        pub(crate) const $lists: SizeTable<ListOffset> = $classes.lists();
        const _: () = $name.prove(&$classes, $waste);
    };
}

size_classes! {
    /// The founding report's classes. The report says nothing of 1041 to 2048 bytes; class 7 serves them, whose blocks
    /// fit.
    REPORT, REPORT_CLASSES, REPORT_LISTS: [8, 16, 32, 64, 128, 256, 512, 2048], 3, 1
}

size_classes! {
    /// Steps of 16 bytes, then eight per doubling, then four.
    EIGHTHS, EIGHTHS_CLASSES, EIGHTHS_LISTS: EIGHTHS_BLOCKS, 4, 5
}

size_classes! {
    /// Steps of 16 bytes, then eight per doubling to 8 KiB, then four. A database's pages of 4 KiB come with a header,
    /// so they need a class just above 4 KiB.
    FINER, FINER_CLASSES, FINER_LISTS: FINER_BLOCKS, 4, 5
}

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

/// True if an address's offset in its slice is a multiple of the bytes whose inverse this is; false for an inverse of 0.
///
/// `offset` is a multiple of `bytes` exactly if `offset` times 2^32/`bytes`, rounded up, is below that factor modulo
/// 2^32, as long as both have 16 bits: Lemire, Kaser and Kurz, "Faster remainder by direct computation", 2019.
#[inline(always)]
pub(crate) const fn is_multiple(address: usize, inverse: u32) -> bool {
    (address as u16 as u32).wrapping_mul(inverse) < inverse
}

impl SizeTable<ClassIdx> {
    const fn of_classes(sizes: &[u16], step_lg: u32) -> Self {
        let mut entries = [ClassIdx::new(0); ENTRIES];
        let (mut step, mut class) = (0, 0);
        while class < sizes.len() {
            if sizes[class] as usize >= (step + 1) << step_lg {
                entries[step] = ClassIdx::new(class);
                step += 1;
            } else {
                class += 1;
            }
        }
        Self { step_lg, reach: step << step_lg, entries }
    }

    const fn lists(&self) -> SizeTable<ListOffset> {
        let mut entries = [ListOffset::of(ClassIdx::new(0)); ENTRIES];
        let mut step = 0;
        while step < ENTRIES {
            entries[step] = ListOffset::of(self.entries[step]);
            step += 1;
        }
        SizeTable { step_lg: self.step_lg, reach: self.reach, entries }
    }
}

impl<T: Copy> SizeTable<T> {
    /// The largest size that a class serves.
    #[inline(always)]
    pub(crate) const fn reach(&self) -> usize {
        self.reach
    }

    /// The entry for `bytes`, which is above 0, at a multiple of `align`, a power of two; `None` above the classes.
    ///
    /// It is the entry of `bytes` rounded up to a multiple of `align` (C5). The multiple less one is `bytes` less one
    /// with all bits below `align` set. So no branch looks at `align`.
    #[inline(always)]
    pub(crate) const fn at(&self, bytes: usize, align: usize) -> Option<T> {
        let step = bytes.wrapping_sub(1) >> self.step_lg | align.wrapping_sub(1) >> self.step_lg;
        if step < self.reach >> self.step_lg { Some(self.entries[step]) } else { None }
    }
}

impl SizeClasses {
    const fn new(sizes: &[u16]) -> Self {
        let mut classes = Self { blocks: [0; MAX_CLASSES], inverse: [0; MAX_CLASSES], count: 0 };
        while classes.count < sizes.len() {
            let bytes = sizes[classes.count] as u64;
            classes.blocks[classes.count] = sizes[classes.count];
            classes.inverse[classes.count] = (1_u64 << 32).div_ceil(bytes) as u32;
            classes.count += 1;
        }
        classes
    }

    /// Bytes of a block of this class.
    #[inline(always)]
    pub(crate) const fn block_bytes(&self, class: ClassIdx) -> usize {
        self.blocks[class.index()] as usize
    }

    /// True if a block starts at an address in a slab of this class. It may be one that was never handed out.
    #[inline(always)]
    pub(crate) const fn is_start(&self, class: ClassIdx, address: usize) -> bool {
        is_multiple(address, self.inverse[class.index()])
    }

    /// The number of the block, of this class, at an offset from the start of its slice. The offset is below
    /// [`SLICE_BYTES`].
    #[inline(always)]
    pub(crate) const fn index_at(&self, class: ClassIdx, offset: usize) -> usize {
        ((offset as u64 * self.inverse[class.index()] as u64) >> 32) as usize
    }

    /// 2^32 divided by the bytes of a block of this class, rounded up.
    pub(crate) const fn inverse(&self, class: ClassIdx) -> u32 {
        self.inverse[class.index()]
    }

    /// The number of classes.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Panics, at compile time, unless C1, C2, C4 and C5 hold for every size up to the largest block.
    const fn prove(&self, table: &SizeTable<ClassIdx>, waste: usize) {
        assert!(table.reach == self.blocks[self.count - 1] as usize, "the table reaches all");
        let mut class = 0;
        let mut power = self.blocks[0] as usize;
        while class < self.count {
            let bytes = self.blocks[class] as usize;
            let unit = if bytes < 16 { 8 } else { 16 };
            assert!(bytes.is_multiple_of(unit) && bytes <= SLICE_BYTES / 2, "C1");
            assert!(class == 0 || bytes > self.blocks[class - 1] as usize, "C1");
            if table.step_lg > 3 {
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
        while step << table.step_lg < table.reach {
            let (least, largest) = ((step << table.step_lg) + 1, (step + 1) << table.step_lg);
            let class = table.entries[step].index();
            let block = self.blocks[class] as usize;
            assert!(class < self.count && block >= largest, "C2: it fits");
            assert!(class == 0 || (self.blocks[class - 1] as usize) < least, "C2: none smaller");
            assert!(block <= 128 || (block - least) * waste < block, "C4");
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
        let class = |bytes| REPORT_CLASSES.at(bytes, 1).map(ClassIdx::index);
        assert_eq!(class(1), Some(0));
        assert_eq!(class(16), Some(1));
        assert_eq!((class(512), class(513), class(1040)), (Some(6), Some(7), Some(7)));
        assert_eq!((class(2048), class(2049)), (Some(7), None));
    }

    #[test]
    fn fine_tables() {
        assert_eq!((EIGHTHS.count(), FINER.count()), (56, 64));
        let eighths = |size| EIGHTHS_CLASSES.at(size, 1).map(|class| EIGHTHS.block_bytes(class));
        let finer = |size| FINER_CLASSES.at(size, 1).map(|class| FINER.block_bytes(class));
        assert_eq!((eighths(129), eighths(1025)), (Some(144), Some(1152)));
        assert_eq!((eighths(4097), finer(4097)), (Some(5120), Some(4608)));
        assert_eq!((finer(8193), finer(32768)), (Some(10240), Some(32768)));
        assert_eq!((eighths(32768), eighths(32769)), (Some(32768), None));
    }

    #[test]
    fn an_aligned_class_is_the_smallest_with_aligned_blocks() {
        for (classes, table, lists) in [
            (&REPORT, &REPORT_CLASSES, &REPORT_LISTS),
            (&EIGHTHS, &EIGHTHS_CLASSES, &EIGHTHS_LISTS),
            (&FINER, &FINER_CLASSES, &FINER_LISTS),
        ] {
            for (size, lg) in
                (1..40_000).step_by(37).flat_map(|size| (0..=62).map(move |lg| (size, lg)))
            {
                let fits = |&class: &ClassIdx| {
                    let bytes = classes.block_bytes(class);
                    bytes >= size && bytes.is_multiple_of(1 << lg)
                };
                let found = ClassIdx::all(classes.count()).find(fits);
                assert_eq!(table.at(size, 1 << lg), found);
                assert_eq!(lists.at(size, 1 << lg).map(ListOffset::class), found);
            }
        }
    }
}
