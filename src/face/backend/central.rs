//! The central backend: thread caches over central lists.

use super::{Addressed, Backend, Central};
use crate::central::{self, Usage};
use crate::stats::{Audit, Events, Unsound};
use crate::thread_cache::tables::AddressTables;
use crate::thread_cache::{Cached, fill, lifecycle, trim};
use crate::variant::Large;
use crate::{alloc, check, realloc};
use core::alloc::Layout;
use core::ptr;

impl<V: Cached> Backend<V> for Central {
    #[inline(always)]
    unsafe fn alloc(layout: Layout) -> *mut u8 {
        // SAFETY: the caller's condition.
        unsafe { alloc::alloc::<V>(layout) }
    }

    #[inline(always)]
    unsafe fn alloc_zeroed(layout: Layout) -> *mut u8 {
        // SAFETY: the caller's condition.
        unsafe { alloc::alloc_zeroed::<V>(layout) }
    }

    #[inline(always)]
    unsafe fn free(block: *mut u8, layout: Layout) {
        // SAFETY: the caller's conditions.
        unsafe { alloc::free::<V>(block, layout) }
    }

    #[inline(always)]
    unsafe fn realloc(block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's conditions.
        unsafe { realloc::realloc::<V>(block, layout, new_size) }
    }

    fn events(sum: &mut Events) {
        V::counters().sum_into(sum);
    }

    fn superslabs() -> u32 {
        V::page_heap().segments()
    }

    fn map_spare() -> bool {
        V::page_heap().map_spare::<V>()
    }

    fn visit_superslabs(mut visit: impl FnMut(*const u8)) {
        V::page_heap().visit(|segment| visit(ptr::from_ref(segment).cast()));
    }

    #[inline]
    fn lookup(address: usize) -> bool {
        alloc::lookup::<V>().is_ours(address)
    }

    fn owns(address: usize) -> bool {
        V::page_map().is_ours(address)
    }

    unsafe fn audit() -> Result<Audit, Unsound> {
        // SAFETY: the caller's condition.
        unsafe { check::audit::<V>() }
    }

    fn purge() {
        trim::purge::<V>();
    }

    fn background() -> bool {
        central::ask::<V>()
    }

    fn prepare_at_start() {
        lifecycle::prepare_for_forks::<V>();
    }

    fn leave_threads() {
        lifecycle::leave_threads::<V>();
    }

    unsafe fn release() {
        // SAFETY: the caller's conditions. A variant with tables frees by address, and is not released.
        unsafe { lifecycle::release::<V>() }
    }
}

impl<V: Cached<Tables = AddressTables>> Addressed<V> for Central {
    const LEAVES_A_PART: bool = matches!(V::LARGE, Large::System);

    #[inline(always)]
    fn quick(size: usize) -> *mut u8 {
        alloc::quick::<V>(size)
    }

    fn malloc(size: usize) -> *mut u8 {
        alloc::malloc::<V>(size)
    }

    fn zeroed(size: usize) -> *mut u8 {
        alloc::zeroed::<V>(size)
    }

    #[inline(always)]
    unsafe fn free_at(block: *mut u8) {
        // SAFETY: the caller's condition.
        unsafe { alloc::free_at::<V>(block) }
    }

    unsafe fn realloc_at(block: *mut u8, new: usize) -> Option<*mut u8> {
        // SAFETY: the caller's condition.
        unsafe { realloc::realloc_at::<V>(block, new) }
    }

    fn usable_size(block: *mut u8) -> Option<usize> {
        alloc::usable_size::<V>(block.addr())
    }

    fn keep_idle(bytes: usize) -> bool {
        let purges = V::PURGE_MS.is_some();
        if purges {
            V::page_heap().tuning.keep_idle(bytes);
        }
        purges
    }

    fn keep_mappings() -> bool {
        let keeps = V::KEEP_MIB > 0;
        if keeps {
            V::page_heap().tuning.keep_mappings();
        }
        keeps
    }

    fn fill_with(byte: u8) -> bool {
        let fills = V::LARGE == Large::Own;
        if fills {
            fill::fill_with::<V>(byte);
        }
        fills
    }

    #[inline]
    fn filler() -> u8 {
        V::page_heap().tuning.filler()
    }

    fn trim() -> bool {
        trim::trim::<V>()
    }

    fn usage() -> Usage {
        trim::usage::<V>()
    }
}
