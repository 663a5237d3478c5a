//! The C face of a variant: blocks are freed by their address alone.

use super::dispatch::Served;
use crate::base::{ClassIdx, SLOT_BYTES};
use crate::cache::{self, AtDesk};
use crate::central::Usage;
use crate::report::heap;
use crate::report::registry;
use crate::sys::next;
use crate::variant::{Backend, Large};
use core::alloc::Layout;
use core::ptr;

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

impl<V: Served + AtDesk> ByAddress for V {
    #[inline(always)]
    fn quick(size: usize) -> *mut u8 {
        match V::BACKEND {
            Backend::Central => cache::quick::<V>(size),
            Backend::System | Backend::SuperSlab => ptr::null_mut(),
        }
    }

    fn malloc(size: usize) -> *mut u8 {
        match V::BACKEND {
            Backend::Central => cache::malloc::<V>(size),
            Backend::System => next::alloc(size, 16),
            Backend::SuperSlab => Self::aligned(size, 16),
        }
    }

    fn aligned(size: usize, align: usize) -> *mut u8 {
        if V::BACKEND == Backend::System {
            return next::alloc(size, align);
        }
        let Ok(layout) = Layout::from_size_align(size.max(1), align.max(16)) else {
            return ptr::null_mut();
        };
        // SAFETY: the size is above 0.
        unsafe { super::dispatch::alloc::<V>(layout) }
    }

    fn zeroed(size: usize) -> *mut u8 {
        match V::BACKEND {
            Backend::Central => return cache::zeroed::<V>(size),
            Backend::System => return next::zeroed(size, 16),
            Backend::SuperSlab => {}
        }
        let Ok(layout) = Layout::from_size_align(size.max(1), 16) else { return ptr::null_mut() };
        // SAFETY: the size is above 0.
        unsafe { super::dispatch::alloc_zeroed::<V>(layout) }
    }

    #[inline(always)]
    unsafe fn free(block: *mut u8) {
        match V::BACKEND {
            // SAFETY: the caller's condition.
            Backend::Central => unsafe { cache::free_at::<V>(block) },
            // SAFETY: as above.
            Backend::SuperSlab => unsafe { free_in_slab::<V>(block) },
            // SAFETY: none is ours, so this is the next allocator's; the rest is the caller's word.
            Backend::System => unsafe { next::free(block) },
        }
    }

    unsafe fn realloc(block: *mut u8, size: usize) -> *mut u8 {
        let moved = match V::BACKEND {
            // SAFETY: the caller's condition.
            Backend::Central => unsafe { cache::realloc_at::<V>(block, size) },
            // SAFETY: as above.
            Backend::SuperSlab => unsafe { realloc_in_slab::<V>(block, size) },
            Backend::System => None,
        };
        // SAFETY: not ours, so the next allocator's; the rest is the caller's word.
        moved.unwrap_or_else(|| unsafe { next::realloc(block, size) })
    }

    unsafe fn usable_size(block: *mut u8) -> usize {
        let bytes = match V::BACKEND {
            Backend::Central => cache::usable_size::<V>(block.addr()),
            Backend::SuperSlab => {
                class_in_slab::<V>(block).map(|class| V::CLASSES.block_bytes(class))
            }
            Backend::System => None,
        };
        // SAFETY: as above.
        bytes.unwrap_or_else(|| unsafe { next::usable_size(block) })
    }

    fn prepare() {
        if leaves_a_part::<V>() {
            next::usage();
        }
    }

    fn background() -> bool {
        super::background::ask::<V>()
    }

    fn keep_idle(bytes: usize) -> bool {
        let purges = V::BACKEND == Backend::Central && V::PURGE_MS.is_some();
        if purges {
            V::spans().tuning.keep_idle(bytes);
        }
        purges
    }

    fn keep_mappings() -> bool {
        let keeps = V::BACKEND == Backend::Central && V::KEEP_MIB > 0;
        if keeps {
            V::spans().tuning.keep_mappings();
        }
        keeps
    }

    fn fill_with(byte: u8) -> bool {
        let fills = V::BACKEND == Backend::Central && V::LARGE == Large::Own;
        if fills {
            cache::fill_with::<V>(byte);
        }
        fills
    }

    #[inline]
    fn filler() -> u8 {
        if V::BACKEND == Backend::Central { V::spans().tuning.filler() } else { 0 }
    }

    fn trim() -> bool {
        let ours = V::BACKEND == Backend::Central && cache::trim::<V>();
        let theirs = leaves_a_part::<V>() && next::trim();
        ours || theirs
    }

    fn usage() -> Usage {
        let mut usage = match V::BACKEND {
            Backend::Central => cache::usage::<V>(),
            Backend::SuperSlab => {
                let superslabs = registry::len::<V>() as usize;
                let mapped = superslabs * V::SUPERSLAB_BYTES;
                let unused: usize = registry::all::<V>()
                    .map(|superslab| superslab.unused.peek().count_ones() as usize)
                    .sum();
                let mut usage = Usage::default();
                (usage.mapped, usage.superslabs) = (mapped, superslabs);
                let (blocks, bytes) = heap::free_blocks::<V>();
                usage.free_blocks = unused + blocks;
                usage.in_use = mapped.saturating_sub(unused * SLOT_BYTES + bytes);
                usage
            }
            Backend::System => Usage::default(),
        };
        if leaves_a_part::<V>() {
            let [mapped, in_use, large_blocks, large, free_blocks] = next::usage();
            usage.mapped += mapped;
            usage.free_blocks += free_blocks;
            usage.in_use += in_use;
            usage.large_blocks += large_blocks;
            usage.large += large;
        }
        usage
    }
}

/// Whether the next allocator serves a part of what is asked for.
const fn leaves_a_part<V: Served>() -> bool {
    !matches!(V::BACKEND, Backend::Central) || matches!(V::LARGE, Large::System)
}

/// The class of a block in a SuperSlab; `None` where it is in none.
fn class_in_slab<V: Served>(block: *mut u8) -> Option<ClassIdx> {
    let superslab = V::local().lookup::<V>(block.addr())?;
    Some(superslab.slab_at::<V>(block.addr()).class())
}

fn layout_in_slab<V: Served>(class: ClassIdx) -> Layout {
    // SAFETY: a block's bytes are few, and 1 is a power of two.
    unsafe { Layout::from_size_align_unchecked(V::CLASSES.block_bytes(class), 1) }
}

/// # Safety
/// As for [`ByAddress::free`].
unsafe fn free_in_slab<V: Served>(block: *mut u8) {
    match class_in_slab::<V>(block) {
        // SAFETY: the caller's condition; the class's blocks have this layout.
        Some(class) => unsafe { heap::free::<V>(block, layout_in_slab::<V>(class)) },
        // SAFETY: not ours, so the next allocator's, or null; the rest is the caller's word.
        None => unsafe { next::free(block) },
    }
}

/// # Safety
/// As for [`ByAddress::realloc`].
unsafe fn realloc_in_slab<V: Served>(block: *mut u8, size: usize) -> Option<*mut u8> {
    let class = class_in_slab::<V>(block)?;
    // SAFETY: as in `free_in_slab`; 16 bytes at least, as C aligns.
    Some(unsafe { heap::realloc::<V>(block, layout_in_slab::<V>(class), size.max(16)) })
}
