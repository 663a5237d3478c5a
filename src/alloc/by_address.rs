//! The cold part of the C face's paths: what starts at an address, and what the hot paths do not serve.

use super::{free_of_class, lookup};
use crate::backend::{Backend, Central};
use crate::base::{ClassIdx, PAGE_BYTES, SLICE_BYTES};
use crate::free_block::FreeBlock;
use crate::large::{give_huge, give_span};
use crate::page_map::{self, Kind};
use crate::slab::Segment;
use crate::sys::fatal::fatal;
use crate::sys::{kernel, rtld_next};
use crate::tail::{SHORT, TAIL_BYTES, Tailed};
use crate::thread_cache::drain::overflow_cold;
use crate::thread_cache::sample;
use crate::thread_cache::tables::Tabled;
use crate::variant::{Empty, Foreign, Inside, Large};
use crate::{central, check, guarded};
use core::alloc::Layout;
use core::ptr::{self, NonNull};

/// The kind of block that starts at an address.
pub(crate) enum Found {
    /// A block of a class.
    Block(ClassIdx),
    /// A span, with its slices.
    Span(usize),
    /// A huge block, with the bytes of its mapping.
    Huge(usize),
    /// A sampled block in use, with the size and the alignment that were asked for.
    Sampled(usize, usize),
    /// An address without access, for 0 bytes.
    Empty,
    /// No block of this variant.
    Foreign,
}

#[cold]
#[inline(never)]
pub(super) fn zeroed_cold<V: Tabled>(size: usize) -> *mut u8 {
    let Ok(layout) = Layout::from_size_align(size.max(1), 16) else { return ptr::null_mut() };
    // A sampled block is zero.
    if let Some(block) = sample::exact::<V>(layout.size(), layout.align()) {
        return block.as_ptr();
    }
    if V::class_of(layout).is_none() {
        // SAFETY: the size is above 0.
        return unsafe { Central::<V>::alloc_zeroed(layout) };
    }
    // SAFETY: the size is above 0.
    let block = unsafe { Central::<V>::alloc(layout) };
    // The class may borrow: the block may have more bytes than a block of its own.
    if !block.is_null()
        && let Some(class) = V::page_map().class(block.addr())
    {
        // SAFETY: the block has that many bytes, and `alloc` gave them to this function alone.
        unsafe { block.write_bytes(0, V::CLASSES.block_bytes(class)) };
    }
    block
}

/// Frees a block whose list is at its limit, or closed. Ends the process for an address inside a block.
///
/// # Safety
/// The conditions of `Addressed::free_at`. The list at the block's place has counted a push that did not happen.
#[cold]
#[inline(never)]
pub(super) unsafe fn free_cold<V: Tabled>(block: *mut u8) {
    let cache = V::cache();
    // SAFETY: the address of a block, or 0, is below 2^47.
    let place = unsafe { cache.tables.leaves.place(block.addr()) };
    let Some(class) = Kind::at(place).class() else {
        // SAFETY: the page map's byte is a place.
        let closed = unsafe { cache.list_at(place) };
        closed.undo_push();
        // SAFETY: the caller's condition.
        return unsafe { free_found::<V>(block) };
    };
    check_start::<V>(class, block.addr());
    // SAFETY: a block of a class is not null.
    let start = unsafe { NonNull::new_unchecked(block) };
    // SAFETY: a block of this class starts there. It is free now: the caller was its only owner, and gave it up (FB1).
    overflow_cold::<V>(unsafe { FreeBlock::new(start) }, class);
}

/// Frees a block by a lookup in the page map.
///
/// # Safety
/// The conditions of `Addressed::free_at`.
pub(crate) unsafe fn free_found<V: Tabled>(block: *mut u8) {
    let Some(start) = NonNull::new(block) else { return };
    // Not found first: a second free is more than the use of a freed block.
    match V::page_map().kind(block.addr()) {
        Kind::Sampled => return V::page_heap().sampled.free(block.addr()),
        Kind::Empty => return central::empty::free::<V>(block.addr()),
        _ => {}
    }
    match find::<V>(block.addr()) {
        // SAFETY: no block of this variant, so the next allocator's; the rest is the caller's condition.
        Found::Foreign => unsafe { rtld_next::free(block) },
        Found::Sampled(..) => V::page_heap().sampled.free(block.addr()),
        Found::Empty => central::empty::free::<V>(block.addr()),
        Found::Block(class) => {
            learn::<V>(block.addr());
            check::freed::<V>(V::cache(), class, block.addr());
            // SAFETY: a live block of this class.
            unsafe { free_of_class::<V>(block, class) };
        }
        // SAFETY: a live span of so many slices, which the caller gives up.
        Found::Span(slices) => unsafe { give_span::<V>(start, slices) },
        // SAFETY: a live huge block with that mapping.
        Found::Huge(bytes) => unsafe { give_huge::<V>(start, huge_layout(bytes)) },
    }
}

/// A block of the list for a size, if that list is open and has one. The tables lead to it.
#[inline(always)]
pub(super) fn listed<V: Tabled>(size: usize) -> Option<NonNull<u8>> {
    let place = V::cache().place_for(size)?;
    // SAFETY: the tables hold only places that the page map has.
    NonNull::new(unsafe { pop_at::<V>(place) })
}

/// A block of the list at a place, or null.
///
/// # Safety
/// The place is one that the page map has.
#[inline(always)]
pub(super) unsafe fn pop_at<V: Tabled>(place: usize) -> *mut u8 {
    // SAFETY: the caller's condition.
    let list = unsafe { V::cache().list_at(place) };
    list.pop::<V>().map_or(ptr::null_mut(), |block| block.into_start().as_ptr())
}

/// A short block with a tail from the thread's list; null if the list has none, or for 0 bytes.
#[inline(always)]
pub(super) fn quick_tailed<V: Tabled>(size: usize) -> *mut u8 {
    let cache = V::cache();
    // The one below 0 is above all, too.
    if size.wrapping_sub(1) >= SHORT - TAIL_BYTES {
        return ptr::null_mut();
    }
    let Some(place) = cache.small_place(size + TAIL_BYTES) else { return ptr::null_mut() };
    // SAFETY: the tables hold only places that the page map has.
    let Some((start, bytes)) = (unsafe { pop_with_bytes::<V>(place) }) else {
        return ptr::null_mut();
    };
    // SAFETY: a block of the class, which the list gave to this function alone. `SHORT` is a power of two, so neither the
    // class of a size up to it nor one that lends to it has larger blocks (C1).
    let block = unsafe { Tailed::new_short(start, bytes) };
    guarded::prepare::<V>(start, block, size, false)
}

/// A block of the list at a place, and its bytes.
///
/// # Safety
/// The place is one that the page map has.
#[inline(always)]
unsafe fn pop_with_bytes<V: Tabled>(place: usize) -> Option<(NonNull<u8>, usize)> {
    // SAFETY: the caller's condition.
    let block = unsafe { V::cache().list_at(place) }.pop::<V>()?;
    // SAFETY: the page map has the place, and only lists of classes have blocks.
    let class = unsafe { Kind::class_at_its_place(place) };
    Some((block.into_start(), V::CLASSES.block_bytes(class)))
}

/// A block with a tail of any class; `None` if the thread's list has none, or for a larger size.
#[inline(always)]
pub(super) fn quick_long<V: Tabled>(size: usize) -> Option<NonNull<u8>> {
    let place = V::cache().place_for(size.checked_add(TAIL_BYTES)?)?;
    // SAFETY: the tables hold only places that the page map has.
    let (start, bytes) = unsafe { pop_with_bytes::<V>(place) }?;
    // SAFETY: a block of the class, which the list gave to this function alone.
    let block = unsafe { Tailed::new(start, bytes) };
    NonNull::new(guarded::prepare::<V>(start, block, size, false))
}

/// An address for 0 bytes, where these have no access. If all such addresses are in use, a block serves.
pub(super) fn empty<V: Tabled>(size: usize, align: usize) -> *mut u8 {
    if size > 0 || align > 16 || V::EMPTY == Empty::Least {
        return ptr::null_mut();
    }
    central::empty::alloc::<V>().map_or(ptr::null_mut(), NonNull::as_ptr)
}

/// A block with a tail; null when memory is exhausted.
pub(super) fn tailed<V: Tabled>(size: usize, align: usize, zeroed: bool) -> *mut u8 {
    // A block of 0 bytes has a tail alone.
    match Layout::from_size_align(size, align) {
        // SAFETY: the tail makes the size of what is asked for greater than 0.
        Ok(layout) => unsafe { guarded::alloc::<V>(layout, zeroed) },
        Err(_) => ptr::null_mut(),
    }
}

/// Frees a block in a variant with tails.
///
/// # Safety
/// The conditions of `Addressed::free_at`.
#[inline(always)]
pub(super) unsafe fn free_tailed<V: Tabled>(block: *mut u8) {
    if page_map::is_beyond(block.addr()) {
        // SAFETY: the caller's condition.
        return unsafe { free_tailed_cold::<V>(block) };
    }
    // SAFETY: the address is below 2^47.
    let place = unsafe { V::cache().tables.leaves.place(block.addr()) };
    // SAFETY: the caller's condition.
    if unsafe { !guarded::free_at_place::<V>(block, place) } {
        // SAFETY: the caller's condition.
        unsafe { free_tailed_cold::<V>(block) };
    }
}

/// Frees a block that is none of a class in a leaf that the thread knows, or is not in use.
///
/// # Safety
/// The conditions of `Addressed::free_at`.
#[cold]
#[inline(never)]
unsafe fn free_tailed_cold<V: Tabled>(block: *mut u8) {
    let Some(start) = NonNull::new(block) else { return };
    if V::page_map().class(block.addr()).is_some() {
        learn::<V>(block.addr());
    }
    // SAFETY: the caller's condition.
    if unsafe { !guarded::free::<V>(start, None) } {
        // SAFETY: the caller's condition.
        unsafe { free_found::<V>(block) };
    }
}

/// Copies the address of an address's leaf into the thread's cache, if the thread has a cache.
fn learn<V: Tabled>(address: usize) {
    let cache = V::cache();
    if cache.is_open() {
        cache.tables.leaves.learn(V::page_map(), address);
    }
}

/// The block that starts at an address that some allocator handed out.
///
/// An address in this variant's memory at which no block starts is misuse, and ends the process.
pub(crate) fn find<V: Tabled>(address: usize) -> Found {
    match lookup::<V>().kind(address) {
        Kind::Class(class) => {
            check_start::<V>(class, address);
            return Found::Block(class);
        }
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
        Kind::Sampled => {
            let (bytes, align) = V::page_heap().sampled.layout(address);
            return Found::Sampled(bytes, align);
        }
        Kind::Empty => {
            central::empty::check::<V>(address);
            return Found::Empty;
        }
        Kind::Free | Kind::Header | Kind::Span | Kind::Body | Kind::SuperSlab | Kind::Fenced => {}
    }
    fatal("free of what is no block:", address);
}

/// Ends the process if a block of this class starts elsewhere, in a variant that looks.
fn check_start<V: Tabled>(class: ClassIdx, address: usize) {
    let offset = address % SLICE_BYTES;
    let start = V::CLASSES.index_at(class, offset) * V::CLASSES.block_bytes(class);
    if V::INSIDE == Inside::Checked && start != offset {
        fatal("free of an address inside a block:", address);
    }
}

/// Answers for a block of another allocator. What cannot be one ends the process; so does any with `foreign = "fatal"`.
fn foreign<V: Tabled>(address: usize) -> Found {
    if rtld_next::is_from_arena(address) || V::LARGE == Large::System {
        return Found::Foreign;
    }
    if V::FOREIGN == Foreign::Fatal {
        fatal("no block of this allocator:", address);
    }
    // An allocator aligns its blocks to 8 at least, and has its notes in front of them or elsewhere. The map cache's
    // addresses without a block are those of huge blocks that were freed, or lie inside of one.
    let may_be = address.is_multiple_of(8) && !kernel::is_unreadable(address);
    if !may_be || V::page_heap().has_addresses(address) {
        fatal("free of what is no block:", address);
    }
    Found::Foreign
}

/// A layout that only this class serves.
pub(crate) fn layout_of<V: Tabled>(class: ClassIdx) -> Layout {
    layout(V::CLASSES.block_bytes(class), 1)
}

pub(crate) const fn span_layout(slices: usize) -> Layout {
    layout(slices * SLICE_BYTES, 1)
}

pub(crate) const fn huge_layout(bytes: usize) -> Layout {
    layout(bytes, PAGE_BYTES)
}

const fn layout(bytes: usize, align: usize) -> Layout {
    // SAFETY: no block has more bytes than a program's addresses, and the alignments are powers of two.
    unsafe { Layout::from_size_align_unchecked(bytes, align) }
}
