//! Which allocator serves a variant: a type, picked here by a constant, so that this is no code, and a program has the code
//! of those alone that its variants name.
//!
//! | knob `backend` | type | made of |
//! |---|---|---|
//! | `system` | [`System`] | the system's malloc |
//! | `superslab` | [`Report`] | `report` |
//! | `central` | [`Central`] | `central`, `thread_cache` |

mod central;
mod report;
mod system;

use crate::central::Usage;
use crate::report::heap::Hosted;
use crate::stats::{Audit, Events, Unsound};
use crate::thread_cache::Cached;
use crate::variant;
use core::alloc::Layout;

/// The system's malloc, for everything.
pub(crate) struct System;
/// The founding report's allocator.
pub(crate) struct Report;
/// The central lists, and the threads' caches over them.
pub(crate) struct Central;

/// A variant with whatever any backend needs, and the one that serves it.
pub(crate) trait Served: Hosted + Cached {
    /// As its knob says.
    type Backend: Backend<Self>;
}

/// The backend that serves a variant.
pub(crate) type Of<V> = <V as Served>::Backend;

/// A value of the knob.
pub(crate) struct Choice<const BACKEND: u8>;

/// What a value of the knob names.
pub(crate) trait Choose {
    /// The type.
    type Backend;
}

impl Choose for Choice<{ variant::Backend::System as u8 }> {
    type Backend = System;
}

impl Choose for Choice<{ variant::Backend::SuperSlab as u8 }> {
    type Backend = Report;
}

impl Choose for Choice<{ variant::Backend::Central as u8 }> {
    type Backend = Central;
}

/// What a backend does for a variant. What has a body here is what a backend does that keeps nothing.
pub(crate) trait Backend<V: variant::Variant> {
    /// Number of size classes.
    const CLASSES: usize = V::CLASSES.count();

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

    /// Moves a block to a size; null, and the old block intact, when memory is exhausted.
    ///
    /// # Safety
    /// `block` is live, and this variant allocated it with `layout`; `new_size` is above 0 and fits a layout of the same
    /// alignment.
    unsafe fn realloc(block: *mut u8, layout: Layout, new_size: usize) -> *mut u8;

    /// Adds up what was counted.
    fn events(_sum: &mut Events) {}

    /// SuperSlabs that are mapped.
    fn superslabs() -> u32 {
        0
    }

    /// Maps one more, for no class; false where there is no room.
    fn map_spare() -> bool {
        false
    }

    /// Calls `visit` with the address of each.
    fn visit_superslabs(_visit: impl FnMut(*const u8)) {}

    /// Whether an address is in one, looked up as freeing a block does.
    fn lookup(_address: usize) -> bool {
        false
    }

    /// The same for checks: nothing is counted.
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

    /// Gives back to the kernel what nobody uses.
    fn purge() {}

    /// Asks for a thread that does so by itself; false where there is none.
    fn background() -> bool {
        false
    }

    /// Whether anything is to be given back when the object that the variant is part of is unloaded.
    const KEEPS_MEMORY: bool = true;

    /// Runs before `main`, in a program's or a library's initialisation.
    fn prepare_at_start() {}

    /// Has no thread call into the object when it ends.
    fn leave_threads() {}

    /// Unmaps what the variant has mapped.
    ///
    /// # Safety
    /// Threads were left, none is in the variant, and nobody refers to a block of it, or will ask for one.
    unsafe fn release() {}
}

/// What a backend does where blocks are known by their address alone.
pub(crate) trait Addressed<V: variant::Variant>: Backend<V> {
    /// Whether the next allocator serves a part of what is asked for.
    const LEAVES_A_PART: bool = true;

    /// A block of `size` bytes, aligned to 16, if the thread has one at hand; null says no more than that it has not.
    fn quick(_size: usize) -> *mut u8 {
        core::ptr::null_mut()
    }

    /// A block of `size` bytes, aligned to 16, or null when memory is exhausted.
    fn malloc(size: usize) -> *mut u8 {
        Self::aligned(size, 16)
    }

    /// The same at a multiple of `align`, a power of two.
    fn aligned(size: usize, align: usize) -> *mut u8 {
        let Ok(layout) = Layout::from_size_align(size.max(1), align.max(16)) else {
            return core::ptr::null_mut();
        };
        // SAFETY: the size is above 0.
        unsafe { Self::alloc(layout) }
    }

    /// A block of `size` bytes, aligned to 16, all zero, or null.
    fn zeroed(size: usize) -> *mut u8 {
        let Ok(layout) = Layout::from_size_align(size.max(1), 16) else {
            return core::ptr::null_mut();
        };
        // SAFETY: the size is above 0.
        unsafe { Self::alloc_zeroed(layout) }
    }

    /// Gives a block back: to the next allocator, where it is not ours.
    ///
    /// # Safety
    /// `block` is null, or a block that this variant or another allocator handed out, and which is the caller's to free.
    unsafe fn free_at(block: *mut u8);

    /// Changes a block's size; null, and the old block intact, when memory is exhausted. `None` where it is not ours.
    ///
    /// # Safety
    /// `block` is one that this variant or another allocator handed out, and the caller's; `new` is above 0.
    unsafe fn realloc_at(_block: *mut u8, _new: usize) -> Option<*mut u8> {
        None
    }

    /// Bytes that a block has room for; `None` where it is not ours.
    fn usable_size(_block: *mut u8) -> Option<usize> {
        None
    }

    /// Lets so many bytes lie idle before any go back to the kernel by themselves. False where none do anyway.
    fn keep_idle(_bytes: usize) -> bool {
        false
    }

    /// Has what large blocks leave stay with the process. False where nothing is kept.
    fn keep_mappings() -> bool {
        false
    }

    /// Has freed blocks be filled with a byte; 0 for none. False where that is not done.
    fn fill_with(_byte: u8) -> bool {
        false
    }

    /// That byte, or 0.
    fn filler() -> u8 {
        0
    }

    /// Gives back what nobody uses, if that is more than a little; says whether it gave back slices, mappings or SuperSlabs.
    fn trim() -> bool {
        false
    }

    /// How much memory there is, without what the next allocator has.
    fn usage() -> Usage {
        Usage::default()
    }
}
