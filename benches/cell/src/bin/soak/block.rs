//! A block with its own content: its size and a mark in front, and bytes made of the mark up to its end.

use std::alloc::Layout;

/// What lies in front of a block's content.
#[repr(C)]
#[derive(Clone, Copy)]
struct Head {
    size: usize,
    mark: u64,
}

/// Bytes of the smallest block.
pub(crate) const LEAST: usize = size_of::<Head>();
/// Bytes from one that is written to the next. A huge block is not touched as a whole.
const STEP: usize = 1000;

/// A block by its address. All blocks have one alignment.
#[derive(Clone, Copy)]
pub(crate) struct Block(pub(crate) *mut u8);

pub(crate) fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 16).expect("a size below any limit")
}

impl Block {
    /// Writes the content.
    ///
    /// # Safety
    /// The block has `size` bytes, [`LEAST`] or more, and belongs to the caller.
    pub(crate) unsafe fn fill(self, size: usize, mark: u64) {
        // SAFETY: the block has room for it, and is aligned to 16.
        unsafe { self.0.cast::<Head>().write(Head { size, mark }) };
        for at in places(size) {
            // SAFETY: inside the block.
            unsafe { self.0.wrapping_add(at).write(byte(mark, at)) };
        }
    }

    /// Checks the bytes up to `most`. Returns the size.
    ///
    /// # Safety
    /// `fill` wrote the block, which has at least `most` bytes, and belongs to the caller.
    pub(crate) unsafe fn check(self, most: usize) -> Result<usize, String> {
        // SAFETY: `fill` wrote it.
        let Head { size, mark } = unsafe { self.0.cast::<Head>().read() };
        for at in places(size).take_while(|&at| at < most) {
            // SAFETY: inside the block, and written by `fill`.
            let found = unsafe { self.0.wrapping_add(at).read() };
            if found != byte(mark, at) {
                return Err(format!("wrong content at {at} of a block of {size} at {:p}", self.0));
            }
        }
        Ok(size)
    }
}

fn places(size: usize) -> impl Iterator<Item = usize> {
    (LEAST..size).step_by(STEP).chain((size > LEAST).then_some(size - 1))
}

fn byte(mark: u64, at: usize) -> u8 {
    (mark as usize ^ at.wrapping_mul(0x9E37_79B9) >> 7) as u8
}
