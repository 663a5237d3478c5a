//! The hot paths of the C face: size → the thread's list → pop, and address → the thread's list → push.
//!
//! ```text
//! address.rs          quick            size → place → list of this thread → pop        hot: mostly ends here
//! └ address.rs        malloc           `quick` found no block                          called from cold code
//!   ├ list            pop              a size beyond the tables, or lists that are shut
//!   └ alloc.rs        alloc            continues there
//!
//! address.rs          free             address → place → list of this thread → push    hot: mostly ends here
//! └ address.rs        free_cold        the list is at its limit, or closed             cold from here on
//!   ├ drain.rs        overflow_cold    the list of a class: continues as in `free.rs`
//!   └ address.rs      free_found       a place without a class: the page map tells what starts there
//!     ├ free.rs       free_of_class    a block of a class, in a leaf that the thread did not know
//!     ├ large.rs      large_free       a span
//!     ├ large.rs      give_huge        a huge block
//!     └ rtld_next.rs  free             a block of another allocator
//! ```

use super::alloc::{alloc, alloc_zeroed};
use super::drain::overflow_cold;
use super::free::free_of_class;
use super::large::{give_huge, large_free};
use super::tables::{AddressTables, COUNTS};
use super::{Cached, audit, lookup, shut};
use crate::base::{ClassIdx, PAGE_BYTES, SLICE_BYTES};
use crate::central::{Moved, huge_resize};
use crate::free_block::FreeBlock;
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

/// The kind of block that starts at an address.
pub(crate) enum Found {
    /// A block of a class.
    Block(ClassIdx),
    /// A span, with its slices.
    Span(usize),
    /// A huge block, with the bytes of its mapping.
    Huge(usize),
    /// No block of this variant.
    Foreign,
}

/// A block of `size` bytes, aligned to 16, from the thread's list. Null if the list has none: `malloc` may have more.
#[inline(always)]
pub(crate) fn quick<V: Addressed>(size: usize) -> *mut u8 {
    let cache = V::cache();
    let Some(place) = cache.place_for(size) else { return ptr::null_mut() };
    // SAFETY: the tables hold only places that the page map has.
    let list = unsafe { cache.list_at(place) };
    let Some(block) = list.pop() else { return ptr::null_mut() };
    block.into_start().as_ptr()
}

/// A block of `size` bytes, aligned to 16, or null when memory is exhausted.
pub(crate) fn malloc<V: Addressed>(size: usize) -> *mut u8 {
    // Most sizes that the tables have no place for are in a class.
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
        // SAFETY: the tables hold only places that the page map has.
        && let Some(block) = unsafe { V::cache().list_at(place) }.pop()
        && let Some(class) = Kind::at(place).class()
    {
        let block = block.into_start().as_ptr();
        // SAFETY: a block of the class has that many bytes, and only this thread has it.
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

/// Gives a block back. A block of another allocator goes to the next allocator.
///
/// # Safety
/// `block` is null, or a block that this variant or another allocator handed out, and that the caller owns.
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
    // SAFETY: the cache has a list of 16 bytes at each place, whose count is aligned to 4. Other threads write to the
    // count only by `count_up` or atomically (W3).
    if unsafe { count_up::<COUNTS>(ptr::from_ref(cache).cast(), place) } {
        // SAFETY: the caller's condition; the push was counted above.
        return unsafe { free_cold::<V>(block) };
    }
    // SAFETY: the page map's byte is a place.
    let list = unsafe { cache.list_at(place) };
    // SAFETY: the list is open, so it is a class's list. A block of a class is not null, since slice 0 of the address
    // space is no slab.
    let start = unsafe { NonNull::new_unchecked(block) };
    // SAFETY: a block of this class starts there. It is free now: the caller was its only owner, and gave it up (FB1).
    list.push_counted(unsafe { FreeBlock::new(start) });
}

/// Frees a block whose list is at its limit, or closed.
///
/// # Safety
/// The conditions of [`free`]. The list at the block's place has counted a push that did not happen.
#[cold]
#[inline(never)]
unsafe fn free_cold<V: Addressed>(block: *mut u8) {
    let cache = V::cache();
    // SAFETY: as in `free`.
    let place = unsafe { cache.tables.leaves.place(block.addr()) };
    let Some(class) = Kind::at(place).class() else {
        // SAFETY: the page map's byte is a place.
        let closed = unsafe { cache.list_at(place) };
        closed.undo_push();
        // SAFETY: the caller's condition.
        return unsafe { free_found::<V>(block) };
    };
    // SAFETY: a block of a class is not null.
    let start = unsafe { NonNull::new_unchecked(block) };
    // SAFETY: a block of this class starts there. It is free now: the caller was its only owner, and gave it up (FB1).
    overflow_cold::<V>(unsafe { FreeBlock::new(start) }, class);
}

/// Frees a block by a lookup in the page map.
///
/// # Safety
/// The conditions of [`free`].
unsafe fn free_found<V: Addressed>(block: *mut u8) {
    let Some(start) = NonNull::new(block) else { return };
    match find::<V>(block.addr()) {
        // SAFETY: no block of this variant, so the next allocator's; the rest is the caller's condition.
        Found::Foreign => unsafe { rtld_next::free(block) },
        Found::Block(class) => {
            learn::<V>(block.addr());
            audit::freed::<V>(V::cache(), class, block.addr());
            // SAFETY: a live block of this class.
            unsafe { free_of_class::<V>(block, class) };
        }
        // SAFETY: a live span, which has this layout.
        Found::Span(slices) => unsafe { large_free::<V>(block, span_layout(slices)) },
        // SAFETY: a live huge block with that mapping.
        Found::Huge(bytes) => unsafe { give_huge::<V>(start, huge_layout(bytes)) },
    }
}

/// Copies the address of an address's leaf into the thread's cache, if the thread has a cache.
fn learn<V: Addressed>(address: usize) {
    let cache = V::cache();
    if cache.state.get() == super::State::Open {
        cache.tables.leaves.learn(V::page_map(), address);
    }
}

/// The block that starts at an address that some allocator handed out.
///
/// An address in this variant's memory at which no block starts is misuse, and ends the process.
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

/// Answers for a block of another allocator. With `foreign = "fatal"` it ends the process.
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

/// Bytes that a block has room for; `None` for a block of another allocator.
pub(crate) fn usable_size<V: Addressed>(address: usize) -> Option<usize> {
    match find::<V>(address) {
        Found::Block(class) => Some(V::CLASSES.block_bytes(class)),
        Found::Span(slices) => Some(slices * SLICE_BYTES),
        Found::Huge(bytes) => Some(bytes),
        Found::Foreign => None,
    }
}

/// Changes a block's size. Null, and the old block intact, when memory is exhausted. `None` for a block of another
/// allocator.
///
/// # Safety
/// This variant or another allocator handed `block` out, and the caller owns it; `new` is above 0.
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
    // At least 16 bytes, so that the new block is aligned to 16.
    // SAFETY: the block is live, and the variant serves it with the layout that was found. The new size is above 0, and
    // `from_size_align` above accepted it with an alignment of 16, so it fits a layout of a smaller alignment.
    Some(unsafe { super::realloc::<V>(block, old, new.max(16)) })
}

/// Changes the size of a huge block with a mapping of `bytes`. Null, and the old block intact, when memory is
/// exhausted.
///
/// # Safety
/// The conditions of [`realloc`].
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
