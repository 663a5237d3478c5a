//! The central backend: thread caches over central lists.

use super::{Addressed, Backend, Central};
use crate::central::{self, Usage};
use crate::stats::{Audit, Events, Unsound};
use crate::thread_cache::{self, AddressTables, Cached};
use crate::variant::Large;
use core::alloc::Layout;
use core::ptr;

impl<V: Cached> Backend<V> for Central {
    #[inline(always)]
    unsafe fn alloc(layout: Layout) -> *mut u8 {
        // SAFETY: the caller's condition.
        unsafe { thread_cache::alloc::<V>(layout) }
    }

    #[inline(always)]
    unsafe fn alloc_zeroed(layout: Layout) -> *mut u8 {
        // SAFETY: the caller's condition.
        unsafe { thread_cache::alloc_zeroed::<V>(layout) }
    }

    #[inline(always)]
    unsafe fn free(block: *mut u8, layout: Layout) {
        // SAFETY: the caller's conditions.
        unsafe { thread_cache::free::<V>(block, layout) }
    }

    #[inline(always)]
    unsafe fn realloc(block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's conditions.
        unsafe { thread_cache::realloc::<V>(block, layout, new_size) }
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
        thread_cache::lookup::<V>().is_ours(address)
    }

    fn owns(address: usize) -> bool {
        V::page_map().is_ours(address)
    }

    unsafe fn audit() -> Result<Audit, Unsound> {
        // SAFETY: the caller's condition.
        unsafe { thread_cache::audit::<V>() }
    }

    fn purge() {
        thread_cache::purge::<V>();
    }

    fn background() -> bool {
        central::ask::<V>()
    }

    fn prepare_at_start() {
        thread_cache::prepare_at_start::<V>();
    }

    fn leave_threads() {
        thread_cache::leave_threads::<V>();
    }

    unsafe fn release() {
        // SAFETY: the caller's conditions. A variant with tables frees by address, and is not released.
        unsafe { thread_cache::release::<V>() }
    }
}

impl<V: Cached<Tables = AddressTables>> Addressed<V> for Central {
    const LEAVES_A_PART: bool = matches!(V::LARGE, Large::System);

    #[inline(always)]
    fn quick(size: usize) -> *mut u8 {
        thread_cache::quick::<V>(size)
    }

    fn malloc(size: usize) -> *mut u8 {
        thread_cache::malloc::<V>(size)
    }

    fn zeroed(size: usize) -> *mut u8 {
        thread_cache::zeroed::<V>(size)
    }

    #[inline(always)]
    unsafe fn free_at(block: *mut u8) {
        // SAFETY: the caller's condition.
        unsafe { thread_cache::free_at::<V>(block) }
    }

    unsafe fn realloc_at(block: *mut u8, new: usize) -> Option<*mut u8> {
        // SAFETY: the caller's condition.
        unsafe { thread_cache::realloc_at::<V>(block, new) }
    }

    fn usable_size(block: *mut u8) -> Option<usize> {
        thread_cache::usable_size::<V>(block.addr())
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
            thread_cache::fill_with::<V>(byte);
        }
        fills
    }

    #[inline]
    fn filler() -> u8 {
        V::page_heap().tuning.filler()
    }

    fn trim() -> bool {
        thread_cache::trim::<V>()
    }

    fn usage() -> Usage {
        thread_cache::usage::<V>()
    }
}
