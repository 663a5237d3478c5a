//! The founding report's allocator as a backend.

use crate::backend::{Addressed, Backend, Managed, Report};
use crate::base::{ClassIdx, SLICE_BYTES};
use crate::report::Statics;
use crate::report::heap;
use crate::report::registry;
use crate::stats::{Audit, Events, Unsound, Usage};
use crate::sys::rtld_next;
use core::alloc::Layout;
use core::ptr;

impl<V: Statics> Backend for Report<V> {
    #[inline(always)]
    unsafe fn alloc(layout: Layout) -> *mut u8 {
        // SAFETY: the caller's condition.
        unsafe { heap::alloc::<V>(layout) }
    }

    #[inline(always)]
    unsafe fn alloc_zeroed(layout: Layout) -> *mut u8 {
        // SAFETY: the caller's condition.
        unsafe { heap::alloc_zeroed::<V>(layout) }
    }

    #[inline(always)]
    unsafe fn free(block: *mut u8, layout: Layout) {
        // SAFETY: the caller's conditions.
        unsafe { heap::free::<V>(block, layout) }
    }

    #[inline(always)]
    unsafe fn realloc(block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's conditions.
        unsafe { heap::realloc::<V>(block, layout, new_size) }
    }
}

impl<V: Statics> Addressed for Report<V> {
    unsafe fn free_at(block: *mut u8) {
        match class_at::<V>(block) {
            // SAFETY: the caller's condition; this layout is served by the block's class.
            Some(class) => unsafe { heap::free::<V>(block, layout_of::<V>(class)) },
            // SAFETY: null, or no block of this variant, so the next allocator's; the rest is the caller's condition.
            None => unsafe { rtld_next::free(block) },
        }
    }

    unsafe fn realloc_at(block: *mut u8, new: usize) -> Option<*mut u8> {
        let class = class_at::<V>(block)?;
        // At least 16 bytes, so that the new block is aligned to 16.
        // SAFETY: the caller's condition; this layout is served by the block's class.
        Some(unsafe { heap::realloc::<V>(block, layout_of::<V>(class), new.max(16)) })
    }

    fn usable_size(block: *mut u8) -> Option<usize> {
        class_at::<V>(block).map(|class| V::CLASSES.block_bytes(class))
    }
}

impl<V: Statics> Managed for Report<V> {
    const CLASSES: usize = V::CLASSES.count();

    fn events(sum: &mut Events) {
        V::heaps().sum_into(sum);
        V::not_yet().counters().sum_into(sum);
        V::no_more().counters().sum_into(sum);
        // Each event is one atomic, or more if threads collide.
        let acquire = &sum.acquire;
        sum.atomics = sum.remote_frees
            + sum.remote_drains
            + sum.retired
            + sum.adopted
            + acquire.empty_scan
            + acquire.freelist
            + acquire.unused
            + acquire.grow;
    }

    fn superslabs() -> u32 {
        registry::len::<V>()
    }

    fn map_spare() -> bool {
        V::pool().map_spare::<V>()
    }

    fn visit_superslabs(mut visit: impl FnMut(*const u8)) {
        for superslab in registry::all::<V>() {
            visit(ptr::from_ref(superslab).cast());
        }
    }

    #[inline]
    fn lookup(address: usize) -> bool {
        V::local().lookup::<V>(address).is_some()
    }

    fn owns(address: usize) -> bool {
        registry::find::<V>(address).is_some()
    }

    unsafe fn audit() -> Result<Audit, Unsound> {
        // SAFETY: the caller's condition.
        unsafe { heap::audit::<V>() }
    }

    fn leave_threads() {
        heap::leave_threads::<V>();
    }

    unsafe fn release() {
        // SAFETY: the caller's conditions.
        unsafe { heap::release::<V>() }
    }

    fn usage() -> Usage {
        let superslabs = registry::len::<V>() as usize;
        let mapped = superslabs * V::SUPERSLAB_BYTES;
        let unused: usize = registry::all::<V>()
            .map(|superslab| superslab.unused.peek().count_ones() as usize)
            .sum();
        let mut usage = Usage::default();
        (usage.mapped, usage.superslabs) = (mapped, superslabs);
        let (blocks, bytes) = heap::free_blocks::<V>();
        usage.free_blocks = unused + blocks;
        usage.in_use = mapped.saturating_sub(unused * SLICE_BYTES + bytes);
        usage
    }
}

/// The class of a block in a SuperSlab; `None` if the address is in no SuperSlab.
fn class_at<V: Statics>(block: *mut u8) -> Option<ClassIdx> {
    let superslab = V::local().lookup::<V>(block.addr())?;
    Some(superslab.slab_at::<V>(block.addr()).class())
}

fn layout_of<V: Statics>(class: ClassIdx) -> Layout {
    // SAFETY: 1 is a power of two, and a block's size is far below `isize::MAX`.
    unsafe { Layout::from_size_align_unchecked(V::CLASSES.block_bytes(class), 1) }
}
