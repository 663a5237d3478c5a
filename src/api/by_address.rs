//! The C face of a variant: blocks are freed by their address alone.

use super::backend::{Addressed, Backend, Served};
use crate::central::Usage;
use crate::sys::rtld_next;
use crate::thread_cache::{AddressTables, Cached};

/// What a C library's functions are made of. They know no layout, and pass on what is not theirs: a block of
/// another allocator goes to the next one that the process has.
///
/// `libhakmem.so` is the user of this; see `preload/`.
pub trait ByAddress: Copy + 'static {
    /// A block of `size` bytes, aligned to 16, if the thread has one at hand; null says no more than that it has
    /// not. The hot path, apart from what it costs to have no block at hand.
    fn quick(size: usize) -> *mut u8;

    /// A block of `size` bytes, aligned to 16, or null when memory is exhausted. 0 is as good as 1.
    fn malloc(size: usize) -> *mut u8;

    /// The same at a multiple of `align`, a power of two.
    fn aligned(size: usize, align: usize) -> *mut u8;

    /// A block of `size` bytes, aligned to 16, all zero, or null.
    fn zeroed(size: usize) -> *mut u8;

    /// Gives a block back.
    ///
    /// # Safety
    /// The block is null, or the caller's: handed out by this variant, or by the next allocator.
    unsafe fn free(block: *mut u8);

    /// Changes a block's size; null, and the old block intact, when memory is exhausted.
    ///
    /// # Safety
    /// The block is the caller's, as for [`free`](Self::free), and not null; `size` is from 1 to `isize::MAX`.
    unsafe fn realloc(block: *mut u8, size: usize) -> *mut u8;

    /// Bytes that a block has room for: the same until it is freed or changes its size.
    ///
    /// # Safety
    /// The block is the caller's, as for [`free`](Self::free), and not null.
    unsafe fn usable_size(block: *mut u8) -> usize;

    /// Gives back to the kernel what nobody uses, if that is more than a little, here and at the next allocator where it
    /// serves a part; says whether that was anything, but for pages of slabs in use.
    fn trim() -> bool;

    /// Before `main`, in the process's first thread: has the next allocator set itself up, where it will be needed. A C
    /// library's does that without a lock, and takes for granted that it is asked before there is a second thread.
    fn prepare();

    /// As [`background`](crate::background), for this variant.
    fn background() -> bool;

    /// Lets so many bytes lie idle before any go back to the kernel by themselves. False where none do anyway.
    fn keep_idle(bytes: usize) -> bool;

    /// Has what large blocks leave stay with the process, for others. False where it is not this variant's to say.
    fn keep_mappings() -> bool;

    /// Has the blocks that this thread frees, and threads that have not allocated before, be filled with a byte, which
    /// is slow; 0 for none. False where that is not done.
    fn fill_with(byte: u8) -> bool;

    /// The byte that freed blocks are filled with: fresh ones are to be filled with its complement. 0 for neither.
    fn filler() -> u8;

    /// How much memory there is, with that of the next allocator where it serves a part.
    fn usage() -> Usage;
}

impl<V: Served + Cached<Tables = AddressTables>> ByAddress for V
where
    V::Backend: Addressed<V>,
{
    #[inline(always)]
    fn quick(size: usize) -> *mut u8 {
        V::Backend::quick(size)
    }

    fn malloc(size: usize) -> *mut u8 {
        V::Backend::malloc(size)
    }

    fn aligned(size: usize, align: usize) -> *mut u8 {
        V::Backend::aligned(size, align)
    }

    fn zeroed(size: usize) -> *mut u8 {
        V::Backend::zeroed(size)
    }

    #[inline(always)]
    unsafe fn free(block: *mut u8) {
        // SAFETY: the caller's condition.
        unsafe { V::Backend::free_at(block) }
    }

    unsafe fn realloc(block: *mut u8, size: usize) -> *mut u8 {
        // SAFETY: the caller's condition.
        let moved = unsafe { V::Backend::realloc_at(block, size) };
        // SAFETY: not ours, so the next allocator's; the rest is the caller's word.
        moved.unwrap_or_else(|| unsafe { rtld_next::realloc(block, size) })
    }

    unsafe fn usable_size(block: *mut u8) -> usize {
        // SAFETY: not ours, so the next allocator's; the rest is the caller's word.
        V::Backend::usable_size(block).unwrap_or_else(|| unsafe { rtld_next::usable_size(block) })
    }

    fn prepare() {
        if V::Backend::LEAVES_A_PART {
            rtld_next::usage();
        }
    }

    fn background() -> bool {
        V::Backend::background()
    }

    fn keep_idle(bytes: usize) -> bool {
        V::Backend::keep_idle(bytes)
    }

    fn keep_mappings() -> bool {
        V::Backend::keep_mappings()
    }

    fn fill_with(byte: u8) -> bool {
        V::Backend::fill_with(byte)
    }

    #[inline]
    fn filler() -> u8 {
        V::Backend::filler()
    }

    fn trim() -> bool {
        let ours = V::Backend::trim();
        let theirs = V::Backend::LEAVES_A_PART && rtld_next::trim();
        ours || theirs
    }

    fn usage() -> Usage {
        let mut usage = V::Backend::usage();
        if V::Backend::LEAVES_A_PART {
            let [mapped, in_use, large_blocks, large, free_blocks] = rtld_next::usage();
            usage.mapped += mapped;
            usage.free_blocks += free_blocks;
            usage.in_use += in_use;
            usage.large_blocks += large_blocks;
            usage.large += large;
        }
        usage
    }
}
