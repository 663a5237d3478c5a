//! What a backend does for a variant. The choice of a backend is a type, picked by a constant: it costs no code, and a
//! program contains only the backends of its variants.
//!
//! | knob `backend` | type | implemented in |
//! |---|---|---|
//! | `system` | [`System`] | `face` |
//! | `superslab` | [`Report`] | `report` |
//! | `central` | [`Central`] | `alloc`, `manage` |

use crate::stats::{Audit, Events, Unsound, Usage};
use crate::variant::{self, Variant};
use core::alloc::Layout;
use core::marker::PhantomData;
use core::ptr;

/// The system's malloc, for everything.
pub(crate) struct System<V>(PhantomData<V>);
/// The founding report's allocator.
pub(crate) struct Report<V>(PhantomData<V>);
/// The central lists, with the thread caches over them.
pub(crate) struct Central<V>(PhantomData<V>);

/// The backend that serves a variant.
pub(crate) type Of<V> = <V as Variant>::Backend;

/// A value of the knob `backend`, as a type.
pub(crate) struct Choice<const BACKEND: u8>;

/// Maps a value of the knob `backend` to the backend's type.
pub(crate) trait Choose<V> {
    /// The backend's type.
    type Backend;
}

impl<V> Choose<V> for Choice<{ variant::Backend::System as u8 }> {
    type Backend = System<V>;
}

impl<V> Choose<V> for Choice<{ variant::Backend::SuperSlab as u8 }> {
    type Backend = Report<V>;
}

impl<V> Choose<V> for Choice<{ variant::Backend::Central as u8 }> {
    type Backend = Central<V>;
}

/// The operations of a backend.
pub(crate) trait Backend: Managed {
    /// A block for `layout`, or null when memory is exhausted.
    ///
    /// # Safety
    /// `layout` has a size above 0.
    unsafe fn alloc(layout: Layout) -> *mut u8;

    /// A block for `layout` that is all zero, or null when memory is exhausted.
    ///
    /// # Safety
    /// `layout` has a size above 0.
    unsafe fn alloc_zeroed(layout: Layout) -> *mut u8;

    /// Gives a block back.
    ///
    /// # Safety
    /// `block` is live, and this variant allocated it with `layout`.
    unsafe fn free(block: *mut u8, layout: Layout);

    /// Changes a block's size. Null, and the old block intact, when memory is exhausted.
    ///
    /// # Safety
    /// `block` is live, and this variant allocated it with `layout`; `new_size` is above 0 and fits a layout of the
    /// same alignment.
    unsafe fn realloc(block: *mut u8, layout: Layout, new_size: usize) -> *mut u8;
}

/// The operations of a backend in the C face, which knows blocks by their address alone.
pub(crate) trait Addressed: Backend {
    /// True if the next allocator serves a part of the requests.
    const LEAVES_A_PART: bool = true;

    /// A block of `size` bytes, aligned to 16, from the thread's list. Null if the list has none: call `malloc` then.
    fn quick(_size: usize) -> *mut u8 {
        ptr::null_mut()
    }

    /// A block of `size` bytes, aligned to 16, or null when memory is exhausted.
    fn malloc(size: usize) -> *mut u8 {
        Self::aligned(size, 16)
    }

    /// A block of `size` bytes at a multiple of `align`, a power of two, or null when memory is exhausted.
    fn aligned(size: usize, align: usize) -> *mut u8 {
        let Ok(layout) = Layout::from_size_align(size.max(1), align.max(16)) else {
            return ptr::null_mut();
        };
        // SAFETY: the size is above 0.
        unsafe { Self::alloc(layout) }
    }

    /// A block of `size` bytes, aligned to 16, all zero, or null when memory is exhausted.
    fn zeroed(size: usize) -> *mut u8 {
        let Ok(layout) = Layout::from_size_align(size.max(1), 16) else {
            return ptr::null_mut();
        };
        // SAFETY: the size is above 0.
        unsafe { Self::alloc_zeroed(layout) }
    }

    /// Gives a block back. A block of another allocator goes to the next allocator.
    ///
    /// # Safety
    /// `block` is null, or a block that this variant or another allocator handed out, and which is the caller's to
    /// free.
    unsafe fn free_at(block: *mut u8);

    /// Changes a block's size. Null, and the old block intact, when memory is exhausted. `None` for a block of another
    /// allocator.
    ///
    /// # Safety
    /// This variant or another allocator handed `block` out, and the caller owns it; `new` is above 0.
    unsafe fn realloc_at(_block: *mut u8, _new: usize) -> Option<*mut u8> {
        None
    }

    /// True if a block is surely of the class that serves a size. The block was handed out by this variant or another
    /// allocator.
    #[inline(always)]
    fn has_place(_block: *mut u8, _size: usize) -> bool {
        false
    }

    /// False if a block was allocated for a request that needs another class, span or mapping.
    fn serves(_block: *mut u8, _size: usize, _align: usize) -> bool {
        true
    }

    /// Bytes that a block has room for; `None` for a block of another allocator.
    fn usable_size(_block: *mut u8) -> Option<usize> {
        None
    }
}

/// A function of the program that may free memory: see [`set_limit_handler`](crate::set_limit_handler).
///
/// It gets the bytes of the request that found no memory, and returns true if the request is to be tried again. A panic
/// in it ends the process, as in any `extern "C"` function.
pub type LimitHandler = extern "C" fn(usize) -> bool;

/// What is asked of a backend as a whole. The default bodies suit a backend that keeps no memory.
pub(crate) trait Managed {
    /// Number of size classes.
    const CLASSES: usize;

    /// True if the backend must release memory when the variant's program or library is unloaded.
    const KEEPS_MEMORY: bool = true;

    /// Adds the counted events to `_sum`.
    fn events(_sum: &mut Events) {}

    /// The number of SuperSlabs that are mapped.
    fn superslabs() -> u32 {
        0
    }

    /// Maps one more SuperSlab, for no class. False if memory is exhausted.
    fn map_spare() -> bool {
        false
    }

    /// Calls `visit` with the address of each SuperSlab.
    fn visit_superslabs(_visit: impl FnMut(*const u8)) {}

    /// True if an address is in a SuperSlab. It is looked up as a free does, and counted.
    fn lookup(_address: usize) -> bool {
        false
    }

    /// True if an address is in a SuperSlab; for checks, so it counts nothing.
    fn owns(_address: usize) -> bool {
        false
    }

    /// Checks the whole heap.
    ///
    /// # Safety
    /// No other thread touches this variant's heap.
    unsafe fn audit() -> Result<Audit, Unsound> {
        Ok(Audit::default())
    }

    /// Gives unused memory back to the kernel.
    fn purge() {}

    /// Asks for a background thread that purges. False if the backend has none.
    fn background() -> bool {
        false
    }

    /// Samples one block in so many, on average; 0 samples none. False if the backend cannot, or has no room for it.
    fn sample(mean: u32) -> bool {
        mean == 0
    }

    /// Lets this many bytes lie idle before a timed purge gives any back. False if the variant has no timed purges.
    fn keep_idle(_bytes: usize) -> bool {
        false
    }

    /// Keeps the mappings of all freed large blocks for reuse. False if the variant keeps none.
    fn keep_mappings() -> bool {
        false
    }

    /// Checks what the threads share every so many milliseconds; 0 stops it. A broken invariant then ends the process.
    /// False if the backend looks at no clock.
    fn audit_every(_ms: u64) -> bool {
        false
    }

    /// Checks all blocks at the end of a program, in a variant whose blocks have tails. What was misused ends it with one
    /// line.
    fn check_at_end() {}

    /// Limits the memory to so many bytes; 0 for no limit. False if the backend has no limit.
    fn set_limit(_bytes: usize) -> bool {
        false
    }

    /// Sets the function that is called when there is no memory. False if the backend calls none.
    fn set_limit_handler(_handler: Option<LimitHandler>) -> bool {
        false
    }

    /// The bytes that the limit limits.
    fn counted() -> usize {
        0
    }

    /// Fills freed blocks with a byte; 0 stops it. False if the variant cannot fill blocks.
    fn fill_with(_byte: u8) -> bool {
        false
    }

    /// The byte that freed blocks are filled with; 0 for none.
    fn filler() -> u8 {
        0
    }

    /// Gives unused memory back to the kernel, if it may be more than 128 KiB. True if slices, mappings or SuperSlabs
    /// went back.
    fn trim() -> bool {
        false
    }

    /// The memory mapped and in use, without the next allocator's.
    fn usage() -> Usage {
        Usage::default()
    }

    /// Prepares the backend. It runs before `main`, in a program's or a library's initialisation.
    fn prepare_at_start() {}

    /// Makes sure that no thread calls into the variant when it ends.
    fn leave_threads() {}

    /// Unmaps all memory of the variant.
    ///
    /// # Safety
    /// `leave_threads` has run, and no thread runs code of the variant. No code refers to a block of it, or will ask
    /// for one.
    unsafe fn release() {}
}
