//! The hot paths of the C face: size → the thread's list → pop; address → the thread's list → push.

use super::alloc::{alloc, alloc_zeroed};
use super::drain::overflow_cold;
use super::free::free_of_class;
use super::large::{give_huge, large_free};
use super::tables::{AddressTables, COUNTS};
use super::{Cached, audit, lookup, shut};
use crate::base::{ClassIdx, PAGE_BYTES, SLICE_BYTES};
use crate::central::{Moved, huge_resize};
use crate::list::FreeBlock;
use crate::page_map::Kind;
use crate::slab::Segment;
use crate::sys::asm::count_up;
use crate::sys::fatal::fatal;
use crate::sys::rtld_next;
use crate::variant::Foreign;
use core::alloc::Layout;
use core::ptr::{self, NonNull};

/// A variant whose threads have tables that lead from an address to a list.
pub(crate) trait Addressed: Cached<Tables = AddressTables> {}
impl<V: Cached<Tables = AddressTables>> Addressed for V {}

/// What begins at an address.
pub(crate) enum Found {
    /// A block of a class.
    Block(ClassIdx),
    /// A large block of so many slices.
    Span(usize),
    /// A huge block, with a mapping of so many bytes.
    Huge(usize),
    /// Nothing of ours.
    Foreign,
}

/// A block of `size` bytes, aligned to 16, if the thread has one at hand; null says no more than that it has not.
#[inline(always)]
pub(crate) fn quick<V: Addressed>(size: usize) -> *mut u8 {
    let cache = V::cache();
    let Some(place) = cache.place_for(size) else { return ptr::null_mut() };
    // SAFETY: a place that the page map has.
    let list = unsafe { cache.list_at(place) };
    let Some(block) = list.pop() else { return ptr::null_mut() };
    block.into_start().as_ptr()
}

/// A block of `size` bytes, aligned to 16, or null when memory is exhausted.
pub(crate) fn malloc<V: Addressed>(size: usize) -> *mut u8 {
    // Of the sizes that the tables have no places for, most are in a class.
    if (!V::cache().is_shut() || shut::serves_at_once(V::cache()))
        && let Some(class) = V::CLASSES.class_of(size.max(16))
        && let Some(block) = V::cache().list(class).pop()
    {
        return block.into_start().as_ptr();
    }
    let Ok(layout) = Layout::from_size_align(size.max(1), 16) else { return ptr::null_mut() };
    // SAFETY: the size is above 0.
    unsafe { alloc::<V>(layout) }
}

/// A block of `size` bytes, aligned to 16, zero to the end of what [`usable_size`] says; or null.
pub(crate) fn zeroed<V: Addressed>(size: usize) -> *mut u8 {
    if let Some(place) = V::cache().place_for(size)
        // SAFETY: a place that the page map has; where it is no class's, no block is.
        && let Some(block) = unsafe { V::cache().list_at(place) }.pop()
        && let Some(class) = Kind::at(place).class()
    {
        let block = block.into_start().as_ptr();
        // SAFETY: a block of the class has that many bytes, and is nobody's yet.
        unsafe { block.write_bytes(0, V::CLASSES.block_bytes(class)) };
        return block;
    }
    zeroed_cold::<V>(size)
}

#[cold]
#[inline(never)]
fn zeroed_cold<V: Addressed>(size: usize) -> *mut u8 {
    let Ok(layout) = Layout::from_size_align(size.max(1), 16) else { return ptr::null_mut() };
    // SAFETY: the size is above 0.
    unsafe { alloc_zeroed::<V>(layout) }
}

/// Gives a block back: to the next allocator, where it is not ours.
///
/// # Safety
/// `block` is null, or a block that this variant or another allocator handed out, and which is the caller's to
/// free.
#[inline(always)]
pub(crate) unsafe fn free<V: Addressed>(block: *mut u8) {
    let cache = V::cache();
    // SAFETY: the address of a block, or 0, is below 2^47.
    let place = unsafe { cache.tables.leaves.place(block.addr()) };
    if cfg!(debug_assertions)
        && let Some(class) = Kind::at(place).class()
    {
        audit::freed::<V>(cache, class, block.addr());
    }
    // SAFETY: the counts of lists at places are the cache's, 16 bytes each.
    if unsafe { count_up::<COUNTS>(ptr::from_ref(cache).cast(), place) } {
        // SAFETY: the caller's condition; it has been counted.
        return unsafe { free_cold::<V>(block) };
    }
    // SAFETY: what the map says is a place.
    let list = unsafe { cache.list_at(place) };
    // SAFETY: only a list of a class counts so, and a block of a class is not null: slice 0 of the address space is none.
    let start = unsafe { NonNull::new_unchecked(block) };
    // SAFETY: the block is free now, of this class, and the caller, which gave it up, was the only one to have it (FB1).
    list.push_counted(unsafe { FreeBlock::new(start) });
}

/// Frees what is no block of a class, as far as the thread knows, or where the list needs a look.
///
/// # Safety
/// As for [`free`]; and it has been counted, in vain.
#[cold]
#[inline(never)]
unsafe fn free_cold<V: Addressed>(block: *mut u8) {
    let cache = V::cache();
    // SAFETY: as in `free`.
    let place = unsafe { cache.tables.leaves.place(block.addr()) };
    let Some(class) = Kind::at(place).class() else {
        // SAFETY: what the map says is a place.
        let closed = unsafe { cache.list_at(place) };
        closed.undo_push();
        // SAFETY: the caller's condition.
        return unsafe { free_found::<V>(block) };
    };
    // SAFETY: a block of a class is not null.
    let start = unsafe { NonNull::new_unchecked(block) };
    // SAFETY: the block is free now, of this class, and the caller, which gave it up, was the only one to have it (FB1).
    overflow_cold::<V>(unsafe { FreeBlock::new(start) }, class);
}

/// Frees a block by what a lookup finds.
///
/// # Safety
/// As for [`free`].
unsafe fn free_found<V: Addressed>(block: *mut u8) {
    let Some(start) = NonNull::new(block) else { return };
    match find::<V>(block.addr()) {
        // SAFETY: not ours, so the next allocator's; the rest is the caller's word.
        Found::Foreign => unsafe { rtld_next::free(block) },
        Found::Block(class) => {
            learn::<V>(block.addr());
            audit::freed::<V>(V::cache(), class, block.addr());
            // SAFETY: a live block of ours, of this class.
            unsafe { free_of_class::<V>(block, class) };
        }
        // SAFETY: a live span, which has this layout.
        Found::Span(slices) => unsafe { large_free::<V>(block, span_layout(slices)) },
        // SAFETY: a live huge block with that mapping.
        Found::Huge(bytes) => unsafe { give_huge::<V>(start, huge_layout(bytes)) },
    }
}

/// Has this thread know where the place of an address is, next time; not one that has no cache.
fn learn<V: Addressed>(address: usize) {
    let cache = V::cache();
    if cache.state.get() == super::State::Open {
        cache.tables.leaves.learn(V::page_map(), address);
    }
}

/// What begins at an address that some allocator handed out. Ours that is no block's is misuse.
pub(crate) fn find<V: Addressed>(address: usize) -> Found {
    match lookup::<V>().kind(address) {
        Kind::Class(class) => return Found::Block(class),
        Kind::Span if address.is_multiple_of(SLICE_BYTES) => {
            // SAFETY: a span lies in a segment, which is mapped while the span is out.
            let segment = unsafe { Segment::containing(address) };
            let slices = usize::from(segment.span[Segment::slice_at(address).index()].get());
            if slices > 0 {
                return Found::Span(slices);
            }
        }
        Kind::Huge => {
            if let Some(bytes) = V::huge_blocks().bytes_at(address) {
                return Found::Huge(bytes);
            }
            return foreign::<V>(address);
        }
        Kind::Foreign => return foreign::<V>(address),
        Kind::Free | Kind::Header | Kind::Span | Kind::Body | Kind::SuperSlab => {}
    }
    fatal("free of what is no block:", address);
}

/// What another allocator handed out.
fn foreign<V: Addressed>(address: usize) -> Found {
    if V::FOREIGN == Foreign::Fatal && !rtld_next::is_from_arena(address) {
        fatal("no block of this allocator:", address);
    }
    Found::Foreign
}

/// A layout that only this class serves.
fn layout_of<V: Addressed>(class: ClassIdx) -> Layout {
    layout(V::CLASSES.block_bytes(class), 1)
}

const fn span_layout(slices: usize) -> Layout {
    layout(slices * SLICE_BYTES, 1)
}

const fn huge_layout(bytes: usize) -> Layout {
    layout(bytes, PAGE_BYTES)
}

const fn layout(bytes: usize, align: usize) -> Layout {
    // SAFETY: no block has more bytes than a program's addresses, and the alignments are powers of two.
    unsafe { Layout::from_size_align_unchecked(bytes, align) }
}

/// Bytes that a block has room for; `None` where it is not ours.
pub(crate) fn usable_size<V: Addressed>(address: usize) -> Option<usize> {
    match find::<V>(address) {
        Found::Block(class) => Some(V::CLASSES.block_bytes(class)),
        Found::Span(slices) => Some(slices * SLICE_BYTES),
        Found::Huge(bytes) => Some(bytes),
        Found::Foreign => None,
    }
}

/// Changes a block's size; null, and the old block intact, when memory is exhausted. `None` where it is not ours.
///
/// # Safety
/// `block` is one that this variant or another allocator handed out, and the caller's; `new` is above 0.
pub(crate) unsafe fn realloc<V: Addressed>(block: *mut u8, new: usize) -> Option<*mut u8> {
    let old = match find::<V>(block.addr()) {
        Found::Foreign => return None,
        Found::Block(class) => layout_of::<V>(class),
        Found::Span(slices) => span_layout(slices),
        Found::Huge(bytes) => {
            // SAFETY: the caller's condition.
            return Some(unsafe { realloc_huge::<V>(block, bytes, new) });
        }
    };
    let Ok(wanted) = Layout::from_size_align(new, 16) else { return Some(ptr::null_mut()) };
    let in_place = V::class_of(wanted).is_some_and(|class| layout_of::<V>(class) == old);
    if in_place {
        return Some(block);
    }
    // SAFETY: the block is live and has the layout that was found; a class's blocks have 16 bytes at least, or
    // what is asked for less: `copy` asks for as much anew.
    Some(unsafe { super::realloc::<V>(block, old, new.max(16)) })
}

/// The same for a huge block with a mapping of `bytes`.
///
/// # Safety
/// As for [`realloc`].
unsafe fn realloc_huge<V: Addressed>(block: *mut u8, bytes: usize, new: usize) -> *mut u8 {
    let layout = huge_layout(bytes);
    super::large::tick::<V>(true);
    if super::large::is_huge(new)
        && let Some(start) = NonNull::new(block)
        // SAFETY: the caller's condition; the mapping has that layout.
        && let Moved::To(start) = unsafe { huge_resize::<V>(start, layout, new) }
    {
        return start.as_ptr();
    }
    let moved = malloc::<V>(new);
    if !moved.is_null() {
        // SAFETY: both blocks hold the smaller size, and a new block overlaps no live one.
        unsafe { moved.copy_from_nonoverlapping(block, bytes.min(new)) };
        // SAFETY: the caller gave the block up, and its content has been copied.
        unsafe { free_found::<V>(block) };
    }
    moved
}
