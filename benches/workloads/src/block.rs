//! A block that carries a word, which is checked when it is freed. The check finds an allocator that hands a block out
//! twice, or writes into one.

use std::alloc::{GlobalAlloc, Layout};
use std::{ptr, slice};

/// The alignment of every request: malloc's.
const ALIGN: usize = 16;
/// Bytes of the word.
const WORD: usize = size_of::<u64>();

/// A block of at least 8 bytes, or none.
#[derive(Clone, Copy)]
pub(crate) struct Block {
    pub(crate) start: *mut u8,
    pub(crate) size: usize,
}

// SAFETY: a block is memory, whose only holder hands it over with the value.
unsafe impl Send for Block {}

impl Block {
    pub(crate) const NONE: Self = Self { start: ptr::null_mut(), size: 0 };

    /// Allocates `size` bytes (at least 8) and touches them; [`Block::NONE`] if that fails.
    #[inline(always)]
    pub(crate) fn new<A: GlobalAlloc>(allocator: &A, size: usize, tag: usize) -> Self {
        // SAFETY: the layout's size is not 0.
        let start = unsafe { allocator.alloc(layout(size)) };
        if start.is_null() {
            return Self::NONE;
        }
        // SAFETY: the block has at least 8 bytes, aligned to 16, and is ours.
        unsafe { start.cast::<u64>().write(word(tag, size)) };
        Self { start, size }
    }

    pub(crate) fn is_none(&self) -> bool {
        self.start.is_null()
    }

    /// True if the block holds the word that `new` wrote with this tag.
    #[inline(always)]
    pub(crate) fn is_intact(&self, tag: usize) -> bool {
        // SAFETY: not a `NONE`, by the callers; so it has at least 8 bytes, which `new` wrote.
        unsafe { self.start.cast::<u64>().read() == word(tag, self.size) }
    }

    /// Frees the block, which is not [`Block::NONE`]; returns 1 if it was not intact.
    #[inline(always)]
    pub(crate) fn free<A: GlobalAlloc>(self, allocator: &A, tag: usize) -> u64 {
        let wrong = u64::from(!self.is_intact(tag));
        // SAFETY: the block came from this allocator with this layout, and is gone with `self`.
        unsafe { allocator.dealloc(self.start, layout(self.size)) };
        wrong
    }

    /// Like [`Block::free`], but [`Block::NONE`], a request that the allocator refused, counts as wrong.
    #[inline(always)]
    pub(crate) fn free_or_wrong<A: GlobalAlloc>(self, allocator: &A, tag: usize) -> u64 {
        if self.is_none() { 1 } else { self.free(allocator, tag) }
    }

    /// Writes every byte after the word, for a block that is to be checked whole.
    pub(crate) fn fill(&self, tag: usize) {
        // SAFETY: `rest` is that many bytes of the block, which is ours.
        unsafe { self.rest().write_bytes(filler(tag), self.size - WORD) };
    }

    /// True if every byte is as `new` and [`Block::fill`] wrote it with this tag.
    pub(crate) fn is_whole(&self, tag: usize) -> bool {
        // SAFETY: `rest` is that many bytes of the block, which `fill` has written; nobody writes to them meanwhile.
        let rest = unsafe { slice::from_raw_parts(self.rest(), self.size - WORD) };
        self.is_intact(tag) && rest.iter().all(|&byte| byte == filler(tag))
    }

    /// The bytes after the word.
    fn rest(&self) -> *mut u8 {
        // SAFETY: not a `NONE`, by the callers; so it has at least 8 bytes.
        unsafe { self.start.add(WORD) }
    }

    /// Writes the word again, for a workload that has overwritten it or changed the size.
    #[inline(always)]
    pub(crate) fn restore(&self, tag: usize) {
        // SAFETY: not a `NONE`, by the callers; it has at least 8 bytes, aligned to 16, and is ours.
        unsafe { self.start.cast::<u64>().write(word(tag, self.size)) };
    }
}

#[inline(always)]
pub(crate) fn layout(size: usize) -> Layout {
    // SAFETY: no workload asks for more than a few MiB, and `ALIGN` is a power of two.
    unsafe { Layout::from_size_align_unchecked(size, ALIGN) }
}

/// The byte after the word: never 0, since a lost page reads as 0.
fn filler(tag: usize) -> u8 {
    tag as u8 | 1
}

/// The word of a block: different for every tag, and for every size.
#[inline(always)]
fn word(tag: usize, size: usize) -> u64 {
    (tag as u64) << 32 | size as u64
}
