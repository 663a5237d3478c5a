//! Blocks for tools that watch memory: memcheck and the address sanitizer (`sys/watcher.rs`).
//!
//! Each block of the program lies inside a larger block of the variant. The program may touch its own bytes alone:
//!
//! ```text
//! block           │ start                  │ end
//! │ gap │ header  │ the program's bytes    │ gap and room │
//! ```
//!
//! WB1  The allocator reads and writes of a free block only the first 16 bytes, which are never the program's. So these
//!      alone are shown while the block is free.
//! WB2  A live block's header holds its size, its alignment and its mark. A free clears the mark.
//! WB3  A slab's slice is shown before its first block is handed out, and a segment before it is made of pages that huge
//!      blocks had: other blocks may have been hidden there.
//!
//! No block changes its size in place, so that the tool finds a pointer to the old place. The variant's own zeroing is
//! not used: it would read memory that is hidden.
//!
//! Never: is called in a program that no tool watches.

use crate::backend::{Addressed, Backend, Managed, Of};
use crate::sys::fatal::fatal;
use crate::sys::watcher;
use crate::variant::Variant;
use core::alloc::Layout;
use core::ptr;

/// Bytes of a header, and of the gap behind a block. An alignment above it makes the gap in front larger.
const GAP: usize = 16;
/// What distinguishes a header.
const MARK: usize = 0x6861_6B6D_656D_0001;

/// In front of a block. [owner]
#[repr(C)]
struct Header {
    /// The block's size, and above its 48 bits the binary logarithm of its alignment.
    size: usize,
    /// The block's address and [`MARK`], exclusively or'ed.
    mark: usize,
}

impl Header {
    fn of(start: *mut u8, layout: Layout) -> Self {
        let align_lg = layout.align().trailing_zeros() as usize;
        Self { size: layout.size() | align_lg << 48, mark: start.addr() ^ MARK }
    }

    /// The layout of the live block at an address; `None` if there is none.
    ///
    /// # Safety
    /// The 16 bytes before `start` are mapped.
    unsafe fn layout_at(start: *mut u8) -> Option<Layout> {
        let words = place(start).cast::<usize>();
        // SAFETY: the header's second word, in the bytes of the caller's condition.
        if unsafe { watcher::peek(words.wrapping_add(1)) } != start.addr() ^ MARK {
            return None;
        }
        // SAFETY: the header's first word, in the bytes of the caller's condition.
        let size = unsafe { watcher::peek(words) };
        let align = 1_usize.checked_shl((size >> 48) as u32)?;
        Layout::from_size_align(size & ((1 << 48) - 1), align).ok()
    }
}

/// The place of a block's header.
fn place(start: *mut u8) -> *mut Header {
    start.wrapping_sub(size_of::<Header>()).cast()
}

/// The layout of the block around a block, and the bytes in front of the inner one. `None` if there is no such layout.
fn around(layout: Layout) -> Option<(Layout, usize)> {
    let align = layout.align().max(GAP);
    let bytes = layout.size().checked_add(align + GAP)?;
    Some((
        Layout::from_size_align(bytes, align).ok().filter(|around| around.size() < 1 << 48)?,
        align,
    ))
}

/// A block for a layout, or null when memory is exhausted.
///
/// # Safety
/// A tool watches.
pub(super) unsafe fn alloc<V: Variant<Backend: Backend>>(layout: Layout, zeroed: bool) -> *mut u8 {
    let Some((around, front)) = around(layout) else { return ptr::null_mut() };
    // SAFETY: the size is above 0.
    let block = unsafe { Of::<V>::alloc(around) };
    if block.is_null() {
        return block;
    }
    // SAFETY: the block has the layout `around`.
    unsafe { hand_out(block, layout, around, front, zeroed) }
}

/// Makes a block of the program of a block of the variant.
///
/// # Safety
/// `block` has the layout `around`, which has `front` bytes more in front of `layout`. The caller owns it.
unsafe fn hand_out(
    block: *mut u8,
    layout: Layout,
    around: Layout,
    front: usize,
    zeroed: bool,
) -> *mut u8 {
    watcher::show(block, around.size());
    // SAFETY: the block has more bytes than `front`.
    let start = unsafe { block.add(front) };
    // SAFETY: the 16 bytes before the start are the block's, since `front` is 16 at least, and are aligned to 16.
    unsafe { place(start).write(Header::of(start, layout)) };
    if zeroed {
        // SAFETY: the block has so many bytes from there on.
        unsafe { start.write_bytes(0, layout.size()) };
    }
    watcher::hide(block, around.size());
    watcher::allocated(start, layout.size(), zeroed);
    start
}

/// Takes a block back from the program, and returns the variant's block with its layout. `None` if it is no live block:
/// the tool has been told.
///
/// # Safety
/// The 16 bytes before `start` are mapped.
unsafe fn take_back(start: *mut u8) -> Option<(*mut u8, Layout)> {
    // SAFETY: the caller's condition.
    let Some(layout) = (unsafe { Header::layout_at(start) }) else {
        if !watcher::is_under_valgrind() {
            fatal("double free, or free of what is no block:", start.addr());
        }
        watcher::freed(start, 0);
        return None;
    };
    watcher::freed(start, layout.size());
    let (around, front) = around(layout)?;
    let block = start.wrapping_sub(front);
    watcher::show(block, front);
    // SAFETY: a live block's header, which was shown above (WB2).
    unsafe { place(start).write(Header { size: 0, mark: 0 }) };
    Some((block, around))
}

/// Gives a block back.
///
/// # Safety
/// `start` is a block of this variant that a tool watches, or misuse that the tool may report: then the 16 bytes before
/// it are mapped.
pub(super) unsafe fn free<V: Variant<Backend: Backend>>(start: *mut u8) {
    // SAFETY: the caller's condition.
    if let Some((block, around)) = unsafe { take_back(start) } {
        // SAFETY: `alloc` had the block with this layout, and the program gave it up.
        unsafe { Of::<V>::free(block, around) };
    }
}

/// Moves a block into one of another size. Null, and the old block intact, when memory is exhausted.
///
/// # Safety
/// The conditions of `GlobalAlloc::realloc`; a tool watches.
pub(super) unsafe fn realloc<V: Variant<Backend: Backend>>(
    start: *mut u8,
    layout: Layout,
    size: usize,
) -> *mut u8 {
    let Ok(new) = Layout::from_size_align(size, layout.align()) else { return ptr::null_mut() };
    // SAFETY: a tool watches.
    let moved = unsafe { alloc::<V>(new, false) };
    if !moved.is_null() {
        // SAFETY: both blocks have so many bytes, and a new block overlaps no live one.
        unsafe { moved.copy_from_nonoverlapping(start, layout.size().min(size)) };
        // SAFETY: the caller gave the block up, and its content has been copied.
        unsafe { free::<V>(start) };
    }
    moved
}

/// A block for the C face, or null when memory is exhausted. A block of the next allocator stays as it is.
///
/// # Safety
/// A tool watches.
pub(super) unsafe fn alloc_by_address<V: Variant<Backend: Addressed>>(
    size: usize,
    align: usize,
    zeroed: bool,
) -> *mut u8 {
    let layout = Layout::from_size_align(size, align).ok();
    let Some((layout, (around, front))) = layout.zip(layout.and_then(around)) else {
        return ptr::null_mut();
    };
    let block = Of::<V>::aligned(around.size(), around.align());
    if block.is_null() {
        return block;
    }
    // SAFETY: the block has the layout `around`.
    unsafe { hand_out(block, layout, around, front, zeroed) }
}

/// Gives a block of the C face back.
///
/// # Safety
/// `start` is a block of this variant or of another allocator, or misuse that the tool may report: then the 16 bytes
/// before it are mapped.
pub(super) unsafe fn free_by_address<V: Variant<Backend: Addressed>>(start: *mut u8) {
    if start.is_null() {
        return;
    }
    // SAFETY: the caller's condition.
    if unsafe { layout_of(start) }.is_none() && !Of::<V>::owns(start.addr()) {
        // SAFETY: no block of this variant, so another allocator's.
        return unsafe { Of::<V>::free_at(start) };
    }
    // SAFETY: the caller's condition.
    if let Some((block, _)) = unsafe { take_back(start) } {
        // SAFETY: the variant handed the block out, and the program gave it up.
        unsafe { Of::<V>::free_at(block) };
    }
}

/// Moves a block of the C face into one of another size. Null, and the old block intact, when memory is exhausted.
///
/// # Safety
/// `start` is a live block of this variant with this layout, and the caller gives it up.
pub(super) unsafe fn realloc_by_address<V: Variant<Backend: Addressed>>(
    start: *mut u8,
    layout: Layout,
    size: usize,
) -> *mut u8 {
    // SAFETY: a tool watches.
    let moved = unsafe { alloc_by_address::<V>(size, GAP, false) };
    if !moved.is_null() {
        // SAFETY: both blocks have so many bytes, and a new block overlaps no live one.
        unsafe { moved.copy_from_nonoverlapping(start, layout.size().min(size)) };
        // SAFETY: the caller gave the block up, and its content has been copied.
        unsafe { free_by_address::<V>(start) };
    }
    moved
}

/// The layout of a live block that a tool watches; `None` for a block of another allocator.
///
/// # Safety
/// The 16 bytes before `start` are mapped.
pub(super) unsafe fn layout_of(start: *mut u8) -> Option<Layout> {
    // SAFETY: the caller's condition.
    unsafe { Header::layout_at(start) }
}
