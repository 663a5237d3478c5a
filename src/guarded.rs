//! The paths of both faces for variants whose blocks have tails: `alloc.rs` and `realloc.rs` call them first.
//!
//! | a request for | gets | a free checks |
//! |---|---|---|
//! | 0 bytes, with `empty = "unreadable"` | an address without access | that it is in use |
//! | up to 32 KiB, tail included | a block of a class | start, tail, slack, size |
//! | up to a span, tail included | a span | start, tail, slack, size |
//! | more, with `large = "fenced"`, as long as there are few such | pages between pages without access | start, slack, size |
//! | more | what it gets without tails | what it checks without tails |
//!
//! ```text
//! alloc                                        free
//! ├ alloc.rs     pop_or_refill   a block       ├ page_map      kind          what is there
//! ├ tail.rs      is_blank        no late write ├ tail.rs       told          in use, and not overflown
//! └ tail.rs      set_in_use      its tail      ├ tail.rs       wipe_all
//!                                              ├ quarantine.rs exchange      another block leaves
//!                                              └ alloc.rs      free_to_list  that one goes to its list
//! ```
//!
//! Every block is found by its address, in both faces. In `GlobalAlloc` the layout must be the block's, to the byte.
//!
//! Never: trusts a layout, or follows a link.

pub(crate) mod audit;
mod found;
mod large;

pub(crate) use found::size_of;
pub(crate) use large::{has_tail, untailed};

use crate::alloc::{free_to_list, pop};
use crate::base::{ClassIdx, ListOffset, PAGE_BYTES, SLICE_BYTES};
use crate::central::{self, fenced};
use crate::free_block::FreeBlock;
use crate::large::{give_span, span_slices, tick};
use crate::page_map::Kind;
use crate::sys::fatal::fatal;
use crate::sys::secret;
use crate::tail::{Compared, TAIL_BYTES, Tailed};
use crate::thread_cache::refill::refill_cold;
use crate::thread_cache::tables::Tabled;
use crate::thread_cache::{CacheOf, Cached, quarantine};
use crate::variant::{Variant, Wipe};
use core::alloc::Layout;
use core::ptr::{self, NonNull};
use found::{Guarded, compared, find, misused_cold, size_of_found};
use large::alloc_large;

/// A block for a layout, or null when memory is exhausted; all zero if `zeroed`.
///
/// # Safety
/// The size is above 0.
pub(crate) unsafe fn alloc<V: Cached>(layout: Layout, zeroed: bool) -> *mut u8 {
    let (size, align) = (layout.size(), layout.align());
    let Ok(tailed) = Layout::from_size_align(size + TAIL_BYTES, align) else {
        return ptr::null_mut();
    };
    let Some(offset) = V::list_of(tailed) else {
        // SAFETY: the caller's condition.
        return unsafe { alloc_large::<V>(layout, tailed, zeroed) };
    };
    let Some(start) = NonNull::new(pop_or_refill_keyed::<V>(offset)) else {
        return ptr::null_mut();
    };
    let bytes = V::CLASSES.block_bytes(offset.class());
    // SAFETY: a block of the class, whose sizes are multiples of 16 here, and which the list gave to this function alone.
    let block = unsafe { Tailed::new(start, bytes) };
    prepare::<V>(start, block, size, zeroed)
}

/// A block of the list at this offset; null when memory is exhausted.
#[inline(always)]
fn pop_or_refill_keyed<V: Cached>(offset: ListOffset) -> *mut u8 {
    match pop::<V>(offset) {
        Some(block) => block,
        None => refill_keyed_cold::<V>(offset),
    }
}

/// As [`refill_cold`]. A thread without a cache has not chosen the secret yet (TL3).
#[cold]
#[inline(never)]
fn refill_keyed_cold<V: Cached>(offset: ListOffset) -> *mut u8 {
    secret::choose();
    refill_cold::<V>(offset.class())
}

/// Prepares a block for a program that asked for `size` bytes; all zero if `zeroed`.
///
/// The block is the caller's alone, and has room for the size. If blocks are wiped, it was.
#[inline(always)]
pub(crate) fn prepare<V: Variant>(
    start: NonNull<u8>,
    block: Tailed,
    size: usize,
    zeroed: bool,
) -> *mut u8 {
    if V::WIPE == Wipe::Checked {
        // The list has written there, and has checked that nothing else did (FB3).
        block.wipe_node();
        check_blank(start, block);
    } else {
        if zeroed {
            block.wipe(0, size);
        }
        block.wipe_slack(size);
    }
    block.set_in_use(size);
    start.as_ptr()
}

/// Ends the process if a free block was written to since it was wiped.
#[inline(always)]
fn check_blank(start: NonNull<u8>, block: Tailed) {
    if !block.is_blank() {
        written_to_cold(start);
    }
}

#[cold]
#[inline(never)]
fn written_to_cold(start: NonNull<u8>) -> ! {
    fatal("a freed block was written to:", start.addr().get())
}

#[cold]
#[inline(never)]
fn written_before_cold(start: NonNull<u8>) -> ! {
    fatal(
        "a block was written before its start, or the one in front past its end:",
        start.addr().get(),
    )
}

/// Gives a block back. False, and nothing done, for a block that neither tails nor fences guard: the caller knows it,
/// or it is another allocator's.
///
/// # Safety
/// `block` is not null, and the caller's to give up; `told` is its layout, if the caller has one. (Misuse is noticed as
/// far as the table above says.)
#[inline(always)]
pub(crate) unsafe fn free<V: Cached>(block: NonNull<u8>, told: Option<Layout>) -> bool {
    let address = block.addr().get();
    if let Some(layout) = told
        && let Some(class) = V::page_map().class(address)
        && V::CLASSES.is_start(class, address)
        // SAFETY: a block of the class starts there.
        && let Some(tailed) = unsafe { tailed_in_slab::<V>(block, class) }
        && tailed.size(compared::<V>()) == Some(layout.size())
        && address.is_multiple_of(layout.align())
    {
        give::<V>(V::cache(), block, ListOffset::of(class), tailed);
        return true;
    }
    // SAFETY: the caller's condition.
    unsafe { free_cold::<V>(block, told) }
}

/// Gives a block back that is none of a class, or was misused.
///
/// # Safety
/// The conditions of [`free`].
#[cold]
#[inline(never)]
unsafe fn free_cold<V: Cached>(block: NonNull<u8>, told: Option<Layout>) -> bool {
    let address = block.addr().get();
    let Some(found) = find::<V>(block) else { return false };
    let size = size_of_found::<V>(block, found, told);
    match found {
        Guarded::Block(class, tailed) => {
            give::<V>(V::cache(), block, ListOffset::of(class), tailed);
        }
        Guarded::Span(slices, tailed) => {
            tailed.set_freed();
            if V::WIPE == Wipe::Checked {
                tailed.wipe(0, (size + 1).min(tailed.room()));
            }
            // SAFETY: a span of so many slices, which the caller gave up.
            unsafe { give_span::<V>(block, slices) };
        }
        Guarded::Huge(bytes) => {
            // SAFETY: a huge block between fences, which the caller gave up.
            unsafe { fenced::free::<V>(block, bytes) };
            tick::<V>(!V::BY_ADDRESS);
            central::start_if_wanted::<V>();
        }
        Guarded::Empty => central::empty::free::<V>(address),
        Guarded::Sampled(_) => V::page_heap().sampled.free(address),
    }
    true
}

/// Frees a block by its address, if it is of the class at a place and in use; else returns false. The page map has that
/// place for the address.
///
/// # Safety
/// The block is the caller's to give up.
#[inline(always)]
pub(crate) unsafe fn free_at_place<V: Tabled>(block: *mut u8, place: usize) -> bool {
    let cache = V::cache();
    if !cache.tables.is_start(block.addr(), place) {
        return false;
    }
    // SAFETY: no block starts at a place without a class.
    let class = unsafe { Kind::class_at_its_place(place) };
    // SAFETY: the slice is a slab's, and slice 0 of the address space is none.
    let start = unsafe { NonNull::new_unchecked(block) };
    // SAFETY: a block of the class starts there.
    let Some(tailed) = (unsafe { tailed_in_slab::<V>(start, class) }) else { return false };
    let list = ListOffset::of(class);
    if V::WIPE == Wipe::Checked && !tailed.is_short() {
        free_long::<V>(cache, start, list, tailed);
        return true;
    }
    let compared = if V::WIPE == Wipe::Checked { Compared::Short } else { Compared::First };
    if tailed.size(compared).is_none() {
        return false;
    }
    give::<V>(cache, start, list, tailed);
    true
}

/// Frees a block that takes some time, or ends the process.
#[inline(never)]
fn free_long<V: Cached>(cache: &CacheOf<V>, start: NonNull<u8>, list: ListOffset, tailed: Tailed) {
    match tailed.size(compared::<V>()) {
        Some(_) => give::<V>(cache, start, list, tailed),
        None => misused_cold(start, tailed.told(compared::<V>())),
    }
}

/// The block at a place in a slab where one starts. `None` behind the last block, where there may be a rest of the slice.
///
/// # Safety
/// The slice is a slab of the class.
#[inline(always)]
unsafe fn tailed_in_slab<V: Cached>(start: NonNull<u8>, class: ClassIdx) -> Option<Tailed> {
    let bytes = V::CLASSES.block_bytes(class);
    if start.addr().get() % SLICE_BYTES + bytes > SLICE_BYTES {
        return None;
    }
    // SAFETY: a block of the class starts there, in a slab, which is mapped. If a program breaks the rules and it is not
    // in use, other code may write there. The tail is read then, and mostly ends the process.
    Some(unsafe { Tailed::new(start, bytes) })
}

/// Frees a block of a class whose tail says that it is in use.
#[inline(always)]
fn give<V: Cached>(cache: &CacheOf<V>, start: NonNull<u8>, list: ListOffset, tailed: Tailed) {
    if V::WIPE == Wipe::Checked {
        // A program may have taken the access to the page in front, if the block there has whole pages.
        let has_none_in_front = start.addr().get().is_multiple_of(PAGE_BYTES) || tailed.is_least();
        // SAFETY: the block lies in a slab of such blocks, and is not the first, which lies at the start of a page.
        let is_sound = has_none_in_front || unsafe { tailed.is_behind_a_tail() };
        if !is_sound {
            written_before_cold(start);
        }
        tailed.wipe_all();
    } else {
        tailed.set_freed();
    }
    // SAFETY: a block of the class starts there. The caller gave it up, and its tail said so far that it was in use, so
    // no list or slab has it (FB1).
    let block = unsafe { FreeBlock::new(start) };
    if let Some((block, list)) = quarantine::exchange::<V>(cache, block, list, tailed.is_short()) {
        release::<V>(cache, block, list);
    }
}

/// Gives a block to its list that has left the quarantine, or went past it.
#[inline(always)]
fn release<V: Cached>(cache: &CacheOf<V>, block: FreeBlock, list: ListOffset) {
    let start = block.into_start();
    if V::WIPE == Wipe::Checked {
        // SAFETY: a block of the class, which only this function has.
        let tailed = unsafe { Tailed::new(start, V::CLASSES.block_bytes(list.class())) };
        if !tailed.has_blank_node() {
            written_to_cold(start);
        }
    }
    // SAFETY: a free block of the class, which only this function has (FB1).
    unsafe { free_to_list::<V>(cache, start.as_ptr(), list) };
}

/// Changes a block's size to `new`, which is above 0, at an alignment. Null, and the old block intact, when memory is
/// exhausted. `None`, and nothing done, for a block that neither tails nor fences guard.
///
/// # Safety
/// `block` is not null, in use, and the caller's; `told` is its layout, if the caller has one.
pub(crate) unsafe fn realloc<V: Cached>(
    block: NonNull<u8>,
    told: Option<Layout>,
    new: usize,
) -> Option<*mut u8> {
    let found = find::<V>(block)?;
    let old = size_of_found::<V>(block, found, told);
    let align = told.map_or(16, |layout| layout.align());
    let Ok(layout) = Layout::from_size_align(new, align) else { return Some(ptr::null_mut()) };
    let Ok(tailed) = Layout::from_size_align(new + TAIL_BYTES, align) else {
        return Some(ptr::null_mut());
    };
    let in_place = match found {
        Guarded::Block(class, _) => V::class_of(tailed) == Some(class),
        Guarded::Span(slices, _) => {
            V::class_of(tailed).is_none() && span_slices::<V>(tailed) == Some(slices)
        }
        Guarded::Huge(_) | Guarded::Empty | Guarded::Sampled(_) => false,
    };
    if let Guarded::Huge(bytes) = found
        && span_slices::<V>(tailed).is_none()
        // SAFETY: a huge block between fences that is in use, and the caller's.
        && let Some(moved) = unsafe { fenced::resize::<V>(block, bytes, layout) }
    {
        return Some(moved.as_ptr());
    }
    if let Guarded::Block(_, tailed) | Guarded::Span(_, tailed) = found
        && in_place
    {
        tailed.resize(old, new);
        return Some(block.as_ptr());
    }
    // SAFETY: the new size is above 0.
    let moved = unsafe { alloc::<V>(layout, false) };
    if !moved.is_null() {
        // SAFETY: both blocks have that many bytes, and a new block overlaps none in use.
        unsafe { moved.copy_from_nonoverlapping(block.as_ptr(), old.min(new)) };
        // SAFETY: the caller gave the old block up, and its content has been copied.
        unsafe { free::<V>(block, told) };
    }
    Some(moved)
}
