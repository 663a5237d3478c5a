//! The cold part of the C face's paths: what starts at an address, and what the hot paths do not serve.

use super::{free_of_class, lookup};
use crate::backend::{Backend, Central};
use crate::base::{ClassIdx, PAGE_BYTES, SLICE_BYTES};
use crate::check;
use crate::free_block::{FreeBlock, is_listed};
use crate::large::{give_huge, give_span};
use crate::page_map::Kind;
use crate::slab::Segment;
use crate::sys::fatal::fatal;
use crate::sys::rtld_next;
use crate::thread_cache::drain::overflow_cold;
use crate::thread_cache::sample;
use crate::thread_cache::tables::Tabled;
use crate::variant::{Foreign, Inside};
use core::alloc::Layout;
use core::ptr::{self, NonNull};

/// Blocks of a list among which a freed block is looked for.
const LOOKS: u32 = 4096;

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
    if V::page_map().has(block.addr(), Kind::Sampled) {
        return V::page_heap().sampled.free(block.addr());
    }
    match find::<V>(block.addr()) {
        // SAFETY: no block of this variant, so the next allocator's; the rest is the caller's condition.
        Found::Foreign => unsafe { rtld_next::free(block) },
        Found::Sampled(..) => V::page_heap().sampled.free(block.addr()),
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
        Kind::Free | Kind::Header | Kind::Span | Kind::Body | Kind::SuperSlab => {}
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

/// Ends the process if a block of this class is in the thread's list.
///
/// A block in use may hold any numbers, and so a seal. So the list is asked, too.
pub(crate) fn check_in_use<V: Tabled>(block: *mut u8, class: ClassIdx) {
    let Some(start) = NonNull::new(block) else { return };
    let cache = V::cache();
    // SAFETY: the caller found that a block of a class starts there, so its slab is mapped.
    if unsafe { is_listed::<V>(start) }
        && cache.is_open()
        && cache.list(class).has(block.addr(), LOOKS)
    {
        fatal("use of a freed block:", block.addr());
    }
}

/// Answers for a block of another allocator. With `foreign = "fatal"` it ends the process.
fn foreign<V: Tabled>(address: usize) -> Found {
    if V::FOREIGN == Foreign::Fatal && !rtld_next::is_from_arena(address) {
        fatal("no block of this allocator:", address);
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
