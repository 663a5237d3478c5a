//! The C face of a variant: blocks are freed by their address alone.

use super::watched;
use crate::backend::{Addressed, Managed};
use crate::stats::Usage;
use crate::sys::fatal::fatal;
use crate::sys::{rtld_next, watcher};
use crate::variant::Variant;
use core::ptr;

/// The operations from which a C library's functions are built. They know no layout.
///
/// The *next allocator* is the one whose functions the dynamic linker finds behind this library's, mostly the C
/// library's. A block that it handed out goes back to it. `libhakmem.so` uses this trait (`preload/`).
pub trait ByAddress: Copy + 'static {
    /// A block of `size` bytes, aligned to 16, from the thread's list. Null if the list has none: call
    /// [`malloc`](Self::malloc) then. This is the hot path.
    fn quick(size: usize) -> *mut u8;

    /// A block of `size` bytes, aligned to 16, or null when memory is exhausted. Size 0 counts as 1.
    fn malloc(size: usize) -> *mut u8;

    /// A block of `size` bytes at a multiple of `align`, a power of two, or null when memory is exhausted.
    fn aligned(size: usize, align: usize) -> *mut u8;

    /// A block of `size` bytes, aligned to 16, all zero, or null when memory is exhausted.
    fn zeroed(size: usize) -> *mut u8;

    /// Gives a block back.
    ///
    /// # Safety
    /// The block is null, or the caller owns it, and this variant or the next allocator handed it out.
    unsafe fn free(block: *mut u8);

    /// Changes a block's size. Null, and the old block intact, when memory is exhausted.
    ///
    /// # Safety
    /// The caller owns the block, which is not null; this variant or the next allocator handed it out. `size` is from 1
    /// to `isize::MAX`.
    unsafe fn realloc(block: *mut u8, size: usize) -> *mut u8;

    /// Bytes that a block has room for. The number stays the same until the block is freed or changes its size.
    ///
    /// # Safety
    /// The caller owns the block, which is not null; this variant or the next allocator handed it out.
    unsafe fn usable_size(block: *mut u8) -> usize;

    /// Gives a block back that was allocated with this size and alignment; 16 counts as the least alignment. If another
    /// class, span or mapping would serve such a request, it ends the process.
    ///
    /// # Safety
    /// The conditions of [`free`](Self::free).
    unsafe fn free_sized(block: *mut u8, size: usize, align: usize);

    /// True if the block is null, or surely has a size for which this and no other class serves. The hot path of a check:
    /// if it is false, call [`check_size`](Self::check_size).
    ///
    /// The caller owns the block, and this variant or the next allocator handed it out.
    fn has_size(block: *mut u8, size: usize, align: usize) -> bool;

    /// Ends the process if another class, span or mapping would serve a request of this size and alignment; 16 counts as
    /// the least alignment. A block of another allocator is not looked at.
    fn check_size(block: *mut u8, size: usize, align: usize);

    /// Checks all blocks at the end of the program, if the variant's blocks have tails and no other thread is left. What
    /// was misused ends the program with one line.
    fn check_at_end();

    /// Gives unused memory back to the kernel, if it may be more than 128 KiB. If the next allocator serves a part, it
    /// trims, too. True if anything went back, other than pages of slabs in use.
    fn trim() -> bool;

    /// Initialises the next allocator, if this variant needs it. Call it before `main`, in the process's first thread:
    /// a C library's allocator initialises itself without a lock, before a second thread exists.
    fn prepare();

    /// Asks for a background thread that purges this variant, as [`background`](crate::background) does. False if this
    /// variant has none.
    fn background() -> bool;

    /// Lets this many bytes lie idle before a timed purge gives any back. False if this variant has no timed purges.
    fn keep_idle(bytes: usize) -> bool;

    /// Keeps the mappings of all freed large blocks for reuse. False if this variant keeps none.
    fn keep_mappings() -> bool;

    /// Fills freed blocks with a byte, which is slow; 0 stops it. It applies to this thread, and to threads that have
    /// not allocated yet. False if this variant cannot fill blocks.
    fn fill_with(byte: u8) -> bool;

    /// The byte that freed blocks are filled with; 0 for none. The caller fills fresh blocks with its complement.
    fn filler() -> u8;

    /// The memory mapped and in use, including the next allocator's if it serves a part.
    fn usage() -> Usage;
}

impl<V: Variant<Backend: Addressed>> ByAddress for V {
    #[inline(always)]
    fn quick(size: usize) -> *mut u8 {
        if watcher::is_on() {
            return ptr::null_mut();
        }
        V::Backend::quick(size)
    }

    fn malloc(size: usize) -> *mut u8 {
        if watcher::is_on() {
            // SAFETY: a tool watches.
            return unsafe { watched::alloc_by_address::<V>(size, 16, false) };
        }
        V::Backend::malloc(size)
    }

    fn aligned(size: usize, align: usize) -> *mut u8 {
        if watcher::is_on() {
            // SAFETY: a tool watches.
            return unsafe { watched::alloc_by_address::<V>(size, align, false) };
        }
        V::Backend::aligned(size, align)
    }

    fn zeroed(size: usize) -> *mut u8 {
        if watcher::is_on() {
            // SAFETY: a tool watches.
            return unsafe { watched::alloc_by_address::<V>(size, 16, true) };
        }
        V::Backend::zeroed(size)
    }

    #[inline(always)]
    unsafe fn free(block: *mut u8) {
        if watcher::is_on() {
            // SAFETY: the caller's condition.
            return unsafe { watched::free_by_address::<V>(block) };
        }
        // SAFETY: the caller's condition.
        unsafe { V::Backend::free_at(block) }
    }

    unsafe fn realloc(block: *mut u8, size: usize) -> *mut u8 {
        if watcher::is_on()
            // SAFETY: the caller's condition: a block of some allocator.
            && let Some(layout) = unsafe { watched::layout_of(block) }
        {
            // SAFETY: the caller's condition; the block has this layout.
            return unsafe { watched::realloc_by_address::<V>(block, layout, size) };
        }
        // SAFETY: the caller's condition.
        let moved = unsafe { V::Backend::realloc_at(block, size) };
        // SAFETY: no block of this variant, so the next allocator's; the rest is the caller's condition.
        moved.unwrap_or_else(|| unsafe { rtld_next::realloc(block, size) })
    }

    unsafe fn usable_size(block: *mut u8) -> usize {
        if watcher::is_on()
            // SAFETY: the caller's condition: a block of some allocator.
            && let Some(layout) = unsafe { watched::layout_of(block) }
        {
            return layout.size();
        }
        // SAFETY: no block of this variant, so the next allocator's; the rest is the caller's condition.
        V::Backend::usable_size(block).unwrap_or_else(|| unsafe { rtld_next::usable_size(block) })
    }

    #[inline(always)]
    fn has_size(block: *mut u8, size: usize, align: usize) -> bool {
        block.is_null() || align <= 16 && V::Backend::has_place(block, size)
    }

    fn check_size(block: *mut u8, size: usize, align: usize) {
        // A block that a tool watches has bytes of its own around it.
        let watched = watcher::is_on();
        let is_right = || align.is_power_of_two() && V::Backend::serves(block, size, align);
        if !block.is_null() && !watched && !is_right() {
            fatal("free with another size or alignment:", block.addr());
        }
    }

    fn check_at_end() {
        V::Backend::check_at_end();
    }

    unsafe fn free_sized(block: *mut u8, size: usize, align: usize) {
        Self::check_size(block, size, align);
        // SAFETY: the caller's condition.
        unsafe { Self::free(block) };
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
        !watcher::is_on() && V::Backend::fill_with(byte)
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
