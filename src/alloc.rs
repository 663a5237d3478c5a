//! The hot paths of both faces: layout or size → the thread's list → pop, and layout or address → the thread's list →
//! push. *Hot* functions are inlined into their caller.
//!
//! `GlobalAlloc`:
//!
//! ```text
//! alloc.rs                       alloc          layout → list of this thread → pop            hot: mostly ends here
//! ├ free_list.rs                 pop                                                          hot
//! ├ thread_cache/refill.rs       refill_cold    the list is empty, closed or shut             cold from here on
//! │ ├ thread_cache/lifecycle.rs  open           the thread's first operation: it gets a cache
//! │ ├ thread_cache/refill.rs     refill         moves a batch from the central list to the list
//! │ │ ├ thread_cache/shut.rs     maintain       looks at the clock: a purge may be due
//! │ │ ├ central                  take           from the transfer cache, a slab, or a new slab of the page heap
//! │ │ └ thread_cache/drain.rs    drain_idle     drains one list that has been idle
//! │ ├ central                    take_one       one block, for a thread without a cache
//! │ └ central                    purge_all      memory is exhausted: frees what is unused, then tries again
//! └ large.rs                     large          sizes above the classes
//!   ├ central                    claim_span     up to 512 KiB: slices of the page heap
//!   └ central                    huge_alloc     more: pages from the map cache, new or used before
//!
//! alloc.rs                       free           layout → list of this thread → push           hot: mostly ends here
//! ├ free_list.rs                 push                                                         hot
//! ├ thread_cache/drain.rs        overflow_cold  the list is at its limit, or closed           cold from here on
//! │ ├ thread_cache/drain.rs      overflow       moves a batch from the list to the central list
//! │ │ ├ thread_cache/outbox.rs   put            collects blocks of many slabs without touching them
//! │ │ ├ central                  give           to the transfer cache, or home to the slabs
//! │ │ ├ thread_cache/drain.rs    drain_idle     drains one list that has been idle
//! │ │ └ thread_cache/shut.rs     maintain       looks at the clock: a purge may be due
//! │ ├ thread_cache/drain.rs      put_aside      frees to a list that is shut
//! │ ├ thread_cache/lifecycle.rs  open           the thread's first operation: it gets a cache
//! │ └ central                    give           one block, for a thread without a cache
//! └ large.rs                     large_free     sizes above the classes
//!   ├ central                    give_span      slices go back to the page heap
//!   └ central                    huge_free      the pages go to the map cache, or to the kernel
//! ```
//!
//! The C face:
//!
//! ```text
//! alloc.rs                       quick          size → place → list of this thread → pop      hot: mostly ends here
//! ├ free_list.rs                 pop                                                          hot
//! └ alloc.rs                     malloc         `quick` found no block                        called from cold code
//!   ├ free_list.rs               pop            a size beyond the tables, or lists that are shut
//!   └ alloc.rs                   alloc          goes on there
//!
//! alloc.rs                       free_at        address → place → list of this thread → push  hot: mostly ends here
//! ├ free_list.rs                 push_counted                                                 hot
//! └ alloc/by_address.rs          free_cold      the list is at its limit, or closed           cold from here on
//!   ├ thread_cache/drain.rs      overflow_cold  the list of a class: goes on as for `free`
//!   └ alloc/by_address.rs        free_found     a place without a class: the page map tells what starts there
//!     ├ alloc.rs                 free_of_class  a block of a class, in a leaf that the thread did not know
//!     ├ large.rs                 give_span      a span
//!     ├ large.rs                 give_huge      a huge block
//!     └ sys/rtld_next.rs         free           a block of another allocator
//! ```
//!
//! | `free_by` | the source of the size class, where a free has a layout |
//! |---|---|
//! | `lookup` | the page map; a small layout at an address without a class is misuse, and ends the process |
//! | `layout` | the layout |
//!
//! Never: locks, formats, or asks whether the thread is set up.

mod by_address;
mod by_layout;

pub(crate) use by_address::{Found, find, free_found, huge_layout, layout_of, span_layout};

use crate::backend::{Addressed, Backend, Central};
use crate::base::{ClassIdx, ListOffset, SLICE_BYTES};
use crate::central::Shared;
use crate::free_block::FreeBlock;
use crate::large::{large, large_zeroed, take_span};
use crate::page_map::{Kind, PageMap};
use crate::stats::Event;
use crate::sys::asm::count_up;
use crate::thread_cache::drain::overflow_cold;
use crate::thread_cache::lend::lender;
use crate::thread_cache::refill::{refill_cold, refill_zeroed_cold};
use crate::thread_cache::tables::{COUNTS, Tabled};
use crate::thread_cache::{CacheOf, Cached, sample, shut};
use crate::variant::{FreeBy, Inside, Large};
use crate::{check, guarded, realloc};
use by_address::{
    empty, free_cold, free_tailed, listed, pop_at, quick_long, quick_tailed, tailed, zeroed_cold,
};
use by_layout::{free_classless, free_sampled, free_untailed};
use core::alloc::Layout;
use core::ptr::{self, NonNull};

impl<V: Cached> Backend for Central<V> {
    #[inline]
    unsafe fn alloc(layout: Layout) -> *mut u8 {
        if V::HAS_TAILS {
            // SAFETY: the caller's condition.
            return unsafe { guarded::alloc::<V>(layout, false) };
        }
        let Some(offset) = V::list_of(layout) else {
            // SAFETY: the caller's condition.
            return unsafe { large::<V>(layout.size(), layout.align()) };
        };
        pop_or_refill::<V>(offset)
    }

    #[inline]
    unsafe fn alloc_zeroed(layout: Layout) -> *mut u8 {
        if V::HAS_TAILS {
            // SAFETY: the caller's condition.
            return unsafe { guarded::alloc::<V>(layout, true) };
        }
        let Some(offset) = V::list_of(layout) else {
            // SAFETY: the caller's condition.
            return unsafe { large_zeroed::<V>(layout.size(), layout.align()) };
        };
        let bytes =
            if V::BY_ADDRESS { V::CLASSES.block_bytes(offset.class()) } else { layout.size() };
        let Some(block) = pop::<V>(offset) else {
            // SAFETY: the class serves the layout, so a block has that many bytes.
            return unsafe { refill_zeroed_cold::<V>(bytes, offset) };
        };
        // Blocks of a class are reused, so none is known to be zero.
        // SAFETY: the block has that many bytes, and the list gave them to this function alone.
        unsafe { block.write_bytes(0, bytes) };
        block
    }

    #[inline]
    unsafe fn free(block: *mut u8, layout: Layout) {
        if V::HAS_TAILS {
            // SAFETY: a live block is not null.
            let start = unsafe { NonNull::new_unchecked(block) };
            // SAFETY: the caller's condition.
            if unsafe { !guarded::free::<V>(start, Some(layout)) } {
                // SAFETY: the caller's condition; no tail guards the block, so it is huge.
                unsafe { free_untailed::<V>(block, layout) };
            }
            return;
        }
        let Some(offset) = list_for_free::<V>(block, || V::list_of(layout)) else {
            // SAFETY: the caller's condition.
            return unsafe { free_classless::<V>(block, layout) };
        };
        if cfg!(debug_assertions) {
            check::freed::<V>(
                V::cache(),
                V::class_of(layout).unwrap_or(offset.class()),
                block.addr(),
            );
        }
        // SAFETY: the caller's condition; the list is that of the block's class.
        unsafe { free_to_list::<V>(V::cache(), block, offset) };
    }

    #[inline(always)]
    unsafe fn realloc(block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's conditions.
        unsafe { realloc::realloc::<V>(block, layout, new_size) }
    }
}

impl<V: Tabled> Addressed for Central<V> {
    const LEAVES_A_PART: bool = matches!(V::LARGE, Large::System);

    #[inline(always)]
    fn quick(size: usize) -> *mut u8 {
        if V::HAS_TAILS {
            return quick_tailed::<V>(size);
        }
        match V::cache().small_place(size) {
            // SAFETY: the tables hold only places that the page map has.
            Some(place) => unsafe { pop_at::<V>(place) },
            None => ptr::null_mut(),
        }
    }

    fn malloc(size: usize) -> *mut u8 {
        let address = empty::<V>(size, 16);
        if !address.is_null() {
            return address;
        }
        if V::HAS_TAILS {
            let block = quick_long::<V>(size).map(NonNull::as_ptr);
            return block.unwrap_or_else(|| tailed::<V>(size, 16, false));
        }
        if let Some(block) = listed::<V>(size).or_else(|| take_span::<V>(size)) {
            return block.as_ptr();
        }
        // Shut lists have the block, too.
        if V::cache().is_shut()
            && shut::serves_at_once(V::cache())
            && let Some(class) = V::CLASS_TABLE.at(size.max(16), 1)
            && let Some(block) = V::cache().list(class).pop::<V>()
        {
            return block.into_start().as_ptr();
        }
        let Ok(layout) = Layout::from_size_align(size.max(1), 16) else { return ptr::null_mut() };
        if let Some(block) = sample::exact::<V>(layout.size(), layout.align()) {
            return block.as_ptr();
        }
        // SAFETY: the size is above 0.
        unsafe { Self::alloc(layout) }
    }

    fn aligned(size: usize, align: usize) -> *mut u8 {
        let address = empty::<V>(size, align);
        if !address.is_null() {
            return address;
        }
        if V::HAS_TAILS {
            return tailed::<V>(size, align.max(16), false);
        }
        let Ok(layout) = Layout::from_size_align(size.max(1), align.max(16)) else {
            return ptr::null_mut();
        };
        // The class of the padded size is aligned (C5).
        if let Some(block) = listed::<V>(layout.pad_to_align().size()) {
            return block.as_ptr();
        }
        if let Some(block) = sample::exact::<V>(layout.size(), layout.align()) {
            return block.as_ptr();
        }
        // SAFETY: the size is above 0.
        unsafe { Self::alloc(layout) }
    }

    fn zeroed(size: usize) -> *mut u8 {
        let address = empty::<V>(size, 16);
        if !address.is_null() {
            return address;
        }
        if V::HAS_TAILS {
            return tailed::<V>(size, 16, true);
        }
        if let Some(place) = V::cache().place_for(size)
            // SAFETY: the tables hold only places that the page map has.
            && let Some(block) = unsafe { V::cache().list_at(place) }.pop::<V>()
            && let Some(class) = Kind::at(place).class()
        {
            let block = block.into_start().as_ptr();
            // SAFETY: a block of the class has that many bytes, and only this thread has it.
            unsafe { block.write_bytes(0, V::CLASSES.block_bytes(class)) };
            return block;
        }
        zeroed_cold::<V>(size)
    }

    #[inline(always)]
    unsafe fn free_at(block: *mut u8) {
        if V::HAS_TAILS {
            // SAFETY: the caller's condition.
            return unsafe { free_tailed::<V>(block) };
        }
        let cache = V::cache();
        // SAFETY: the address of a block, or 0, is below 2^47.
        let place = unsafe { cache.tables.leaves.place(block.addr()) };
        if cfg!(debug_assertions)
            && let Some(class) = Kind::at(place).class()
        {
            check::freed::<V>(cache, class, block.addr());
        }
        // SAFETY: the cache has a list of 16 bytes at each place, whose count is aligned to 4. Other threads write to
        // the count only by `count_up` or atomically (W3).
        if unsafe { count_up::<COUNTS>(ptr::from_ref(cache).cast(), place) } {
            // SAFETY: the caller's condition; the push was counted above.
            return unsafe { free_cold::<V>(block) };
        }
        if V::INSIDE == Inside::Checked && !cache.tables.is_start(block.addr(), place) {
            // SAFETY: the caller's condition; the push was counted above.
            return unsafe { free_cold::<V>(block) };
        }
        // SAFETY: the page map's byte is a place.
        let list = unsafe { cache.list_at(place) };
        // SAFETY: the list is open, so it is a class's list. A block of a class is not null, since slice 0 of the
        // address space is no slab.
        let start = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: a block of this class starts there. It is free now: the caller was its only owner, and gave it up
        // (FB1).
        let free = unsafe { FreeBlock::new(start) };
        if free.was_free::<V>() {
            // SAFETY: the caller's condition; the push was counted above.
            return unsafe { free_cold::<V>(block) };
        }
        list.push_counted::<V>(free);
    }

    unsafe fn realloc_at(block: *mut u8, new: usize) -> Option<*mut u8> {
        // SAFETY: the caller's condition.
        unsafe { realloc::realloc_at::<V>(block, new) }
    }

    #[inline(always)]
    fn has_place(block: *mut u8, size: usize) -> bool {
        if V::HAS_TAILS {
            return false;
        }
        let tables = &V::cache().tables;
        // SAFETY: the address of a block is below 2^47.
        let place = unsafe { tables.leaves.place(block.addr()) };
        V::cache().small_place(size) == Some(place)
    }

    fn serves(block: *mut u8, size: usize, align: usize) -> bool {
        if V::HAS_TAILS
            && let Some(start) = NonNull::new(block)
            && let Some(has) = guarded::size_of::<V>(start)
        {
            return has == size && block.addr().is_multiple_of(align);
        }
        let (asked, size, align) = (size, size.max(1), align.max(16));
        match find::<V>(block.addr()) {
            Found::Block(class) => V::CLASS_TABLE
                .at(size, align)
                .is_some_and(|wanted| wanted == class || lender::<V>(wanted) == Some(class)),
            Found::Span(slices) => {
                V::CLASS_TABLE.at(size, align).is_none() && size.div_ceil(SLICE_BYTES) == slices
            }
            Found::Huge(bytes) => V::CLASS_TABLE.at(size, align).is_none() && size <= bytes,
            Found::Sampled(bytes, alignment) => {
                let class = V::CLASS_TABLE.at(size, align);
                // A refill samples a block of the class's size.
                class.is_some_and(|class| V::CLASSES.block_bytes(class) == bytes)
                    || size == bytes && class == V::CLASS_TABLE.at(bytes, alignment)
            }
            Found::Empty => asked == 0,
            Found::Foreign => true,
        }
    }

    fn usable_size(block: *mut u8) -> Option<usize> {
        if V::HAS_TAILS
            && let Some(start) = NonNull::new(block)
            && let Some(size) = guarded::size_of::<V>(start)
        {
            return Some(size);
        }
        match find::<V>(block.addr()) {
            Found::Block(class) => {
                check::sealed::<V>(block, "use of a freed block:");
                Some(V::CLASSES.block_bytes(class))
            }
            Found::Span(slices) => Some(slices * SLICE_BYTES),
            Found::Huge(bytes) | Found::Sampled(bytes, _) => Some(bytes),
            Found::Empty => Some(0),
            Found::Foreign => None,
        }
    }
}

/// A block of the list at this offset; null when memory is exhausted.
#[inline(always)]
pub(crate) fn pop_or_refill<V: Cached>(offset: ListOffset) -> *mut u8 {
    match pop::<V>(offset) {
        Some(block) => block,
        None => refill_cold::<V>(offset.class()),
    }
}

/// A block from the thread's list at this offset. `None` if the list has none, or is shut.
#[inline(always)]
pub(crate) fn pop<V: Cached>(offset: ListOffset) -> Option<*mut u8> {
    let cache = V::cache();
    // Only where tables lead to the lists are shut lists still open.
    if V::COUNTED && cache.is_shut() {
        return None;
    }
    let block = cache.list_at_offset(offset).pop::<V>()?;
    Some(block.into_start().as_ptr())
}

/// Gives a block of a class back.
///
/// # Safety
/// `block` is a live block of this class.
#[inline(always)]
pub(crate) unsafe fn free_of_class<V: Cached>(block: *mut u8, class: ClassIdx) {
    // SAFETY: the caller's condition.
    unsafe { free_to_list::<V>(V::cache(), block, ListOffset::of(class)) };
}

/// Gives a block of a class back to the thread's list, or goes on from there.
///
/// # Safety
/// `block` is a live block of the class of the list at this offset, and `cache` is the thread's.
#[inline(always)]
pub(crate) unsafe fn free_to_list<V: Cached>(
    cache: &CacheOf<V>,
    block: *mut u8,
    offset: ListOffset,
) {
    // SAFETY: a live block is not null.
    let start = unsafe { NonNull::new_unchecked(block) };
    // SAFETY: a block of this class starts there. It is free now: the caller was its only owner, and gave it up (FB1).
    let block = unsafe { FreeBlock::new(start) };
    if let Err(block) = cache.list_at_offset(offset).push::<V>(block, V::SHARED) {
        overflow_cold::<V>(block, offset.class());
    }
}

/// Gives back a block whose layout the list at this offset serves.
///
/// # Safety
/// `block` is live, and this variant allocated it with such a layout.
#[inline(always)]
pub(crate) unsafe fn free_small<V: Cached>(block: *mut u8, offset: ListOffset) {
    let Some(offset) = list_for_free::<V>(block, || Some(offset)) else {
        return free_sampled::<V>(block);
    };
    // SAFETY: the caller's condition; the list is that of the block's class.
    unsafe { free_to_list::<V>(V::cache(), block, offset) };
}

/// The list that a block is freed to: by a lookup, or the one that serves its layout.
#[inline(always)]
fn list_for_free<V: Shared>(
    block: *mut u8,
    of_layout: impl FnOnce() -> Option<ListOffset>,
) -> Option<ListOffset> {
    match V::FREE_BY {
        FreeBy::Lookup => lookup::<V>().class(block.addr()).map(ListOffset::of),
        FreeBy::Layout => of_layout(),
    }
}

/// The page map, for a lookup; it counts the lookup.
#[inline(always)]
pub(crate) fn lookup<V: Shared>() -> &'static PageMap {
    V::counters().count(Event::Lookup);
    V::counters().count(Event::Probe);
    V::page_map()
}
