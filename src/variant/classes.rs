//! Size classes: which block size serves a request, from a table built at compile time.
//!
//! C1  Block sizes rise, and each is a power of two of at least 8 bytes.
//! C2  The class of a size is the smallest whose blocks hold it.
//! C3  A block is aligned to its own size: slots are aligned to 64 KiB and blocks are laid out at
//!     multiples of their size, so C1 gives it.
//!
//! C1 and C2 are proven for every size by the constants at the end. Never: looks at memory.

use crate::base::{ClassIdx, MAX_CLASSES, SLOT_BYTES};
use seq_macro::seq;

/// Step of the lookup table: sizes in one step have one class.
const STEP: usize = 8;
/// The largest size that the lookup table reaches.
const REACH: usize = 2048;
const ENTRIES: usize = REACH / STEP + 1;

/// A set of block sizes with its lookup table.
pub(crate) struct SizeClasses {
    /// Bytes of a block, per class; 0 past `count`.
    blocks: [u16; MAX_CLASSES],
    count: usize,
    /// Class of the sizes in each step.
    table: [u8; ENTRIES],
}

/// The founding report's classes. 1041 to 2048 bytes, of which the report says nothing, fit the
/// blocks of class 7 and are served by them.
pub(crate) static REPORT: SizeClasses = {
    const BLOCKS: [u16; MAX_CLASSES] = [8, 16, 32, 64, 128, 256, 512, 2048];
    SizeClasses {
        blocks: BLOCKS,
        count: MAX_CLASSES,
        table: seq!(N in 0..257 { [#(smallest(&BLOCKS, N),)*] }),
    }
};

/// The smallest class whose blocks hold every size of a step.
const fn smallest(blocks: &[u16], step: usize) -> u8 {
    let mut class = 0;
    while (blocks[class] as usize) < step * STEP {
        class += 1;
    }
    class as u8
}

impl SizeClasses {
    /// The class that serves `bytes`; `None` is above the classes.
    #[inline(always)]
    pub(crate) const fn class_of(&self, bytes: usize) -> Option<ClassIdx> {
        if bytes > REACH {
            return None;
        }
        Some(ClassIdx::from_table(self.table[bytes.div_ceil(STEP)]))
    }

    /// Bytes of a block of this class.
    #[inline(always)]
    pub(crate) const fn block_bytes(&self, class: ClassIdx) -> usize {
        self.blocks[class.index()] as usize
    }

    /// How many classes there are.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Panics, at compile time, unless C1 and C2 hold for every size up to the largest block.
    const fn prove(&self) {
        let mut class = 0;
        while class < self.count {
            let bytes = self.blocks[class] as usize;
            assert!(bytes >= STEP && bytes.is_power_of_two() && bytes <= SLOT_BYTES, "C1");
            assert!(class == 0 || bytes > self.blocks[class - 1] as usize, "C1");
            class += 1;
        }
        assert!(self.blocks[self.count - 1] as usize == REACH, "C1: the table ends at the largest");
        let mut bytes = 0;
        while bytes <= REACH {
            let class = self.table[bytes.div_ceil(STEP)] as usize;
            assert!(class < self.count && self.blocks[class] as usize >= bytes, "C2: it fits");
            assert!(class == 0 || (self.blocks[class - 1] as usize) < bytes, "C2: none smaller");
            bytes += 1;
        }
    }
}

const _: () = REPORT.prove();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_s_table() {
        let class = |bytes| REPORT.class_of(bytes).map(ClassIdx::index);
        assert_eq!(class(1), Some(0));
        assert_eq!(class(16), Some(1));
        assert_eq!((class(512), class(513), class(1040)), (Some(6), Some(7), Some(7)));
        assert_eq!((class(2048), class(2049)), (Some(7), None));
    }
}
