//! Huge blocks between fences: pages without access on both sides, and, for a while, in place of a freed block.
//!
//! ```text
//!   fence │ block │ slack │ room │ fence           freed: no access from fence to fence
//! ```
//!
//! The slack, from the block's last byte to the end of its page, stays zero. A free compares the first bytes of it. The
//! room, up to a quarter of the block, has no access until the block grows into it. So a block that grows step by step
//! moves once in many steps.
//!
//! A freed block's addresses stay without access for a while, and its memory may become a new block's (`held.rs`). Each
//! block costs about a dozen system calls.
//!
//! A block and its fences are up to three mappings, of which the kernel gives a process some 65 000. So no more than
//! [`MOST`] blocks get fences at a time.
//!
//! Never: keeps memory of a freed block while a limit is set, unless the program has locked it.

use super::held::{DIRTY_BYTES, Fenced, Place};
use super::pending::MUCH;
use super::{HOPELESS, Shared};
use crate::base::{PAGE_BYTES, SLICE_BYTES, quotient, round_up};
use crate::page_map::Kind;
use crate::sys::fatal::fatal;
use crate::sys::fences;
use crate::sys::moves::{Outcome, move_to};
use crate::sys::pages;
use core::alloc::Layout;
use core::ptr::NonNull;

/// Blocks in use between fences at most.
const MOST: usize = 8192;
/// A block may grow by one of so many parts before it moves.
const ROOMS: usize = 4;
/// Bytes of slack that a free compares.
const COMPARED: usize = 64;

impl Fenced {
    /// Counts a block that is to be allocated. False if there are as many as may be.
    fn count_up(&self) -> bool {
        self.lock.with(|| {
            let in_use = self.in_use.get();
            self.in_use.set((in_use + 1).min(MOST));
            in_use < MOST
        })
    }

    fn count_down(&self) {
        self.lock.with(|| self.in_use.set(self.in_use.get() - 1));
    }
}

/// Bytes of the pages of a block.
const fn pages_for(size: usize) -> usize {
    round_up(if size == 0 { 1 } else { size }, PAGE_BYTES)
}

/// Bytes of a block's pages and its room. No two blocks begin in one slice (RC1).
const fn room_for(size: usize) -> usize {
    let part = (1 << (size | 1).ilog2()) / ROOMS;
    let bytes = round_up(pages_for(size), if part < PAGE_BYTES { PAGE_BYTES } else { part });
    if bytes < SLICE_BYTES { SLICE_BYTES } else { bytes }
}

/// Allocates a block, which is zero. `None` if the kernel refuses, the limit is reached, or as many blocks as may be have
/// fences.
pub(crate) fn alloc<V: Shared>(layout: Layout) -> Option<NonNull<u8>> {
    alloc_with::<V>(layout, Memory::Recycled)
}

/// Where a block's memory comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    /// From a freed block, if one fits.
    Recycled,
    /// From the kernel, page by page.
    Fresh,
}

fn alloc_with<V: Shared>(layout: Layout, memory: Memory) -> Option<NonNull<u8>> {
    let is_hopeless = layout.size() >= HOPELESS || layout.align() >= HOPELESS;
    if is_hopeless || !V::fenced().count_up() {
        return None;
    }
    let bytes = pages_for(layout.size());
    let page_heap = V::page_heap();
    let is_admitted = page_heap.lock.with(|| {
        let is_admitted = page_heap.admits(bytes);
        page_heap.limit.change_fenced(0, if is_admitted { bytes } else { 0 });
        is_admitted
    });
    let start = if is_admitted { map::<V>(layout, memory) } else { None };
    if start.is_none() {
        count_out::<V>(if is_admitted { bytes } else { 0 });
    }
    start
}

/// Counts a block no longer, whose pages had so many bytes.
fn count_out<V: Shared>(bytes: usize) {
    V::fenced().count_down();
    V::page_heap().lock.with(|| V::page_heap().limit.change_fenced(bytes, 0));
}

fn map<V: Shared>(layout: Layout, memory: Memory) -> Option<NonNull<u8>> {
    let (bytes, room) = (pages_for(layout.size()), room_for(layout.size()));
    let start = fences::map(room, layout.align())?;
    let fenced = V::fenced();
    let outcome = match memory {
        // SAFETY: mapped above without access, and no other code knows of it.
        Memory::Recycled => fenced.lock.with(|| unsafe { fenced.move_memory(start, bytes) }),
        Memory::Fresh => Outcome::Stayed,
    };
    // The fences stay for ever. Between them may be another thread's mapping.
    if outcome == Outcome::Lost {
        return None;
    }
    // SAFETY: mapped above, and no other code knows of it.
    let is_open = unsafe { fences::open(start, bytes) };
    if is_open && V::huge_blocks().add(V::page_map(), start, layout.size(), Kind::Fenced) {
        return Some(start);
    }
    // SAFETY: mapped above, and no other code knows of it.
    if unsafe { !fences::unmap(start, room) } {
        // The pages may have the memory of a freed block, so they get a place.
        // SAFETY: mapped above, and no other code knows of it.
        unsafe { hold::<V>(start, room, 0) };
    }
    None
}

/// Frees a block. One that was written past its end ends the process.
///
/// # Safety
/// A block of `size` bytes starts there, and the caller gives it up.
pub(crate) unsafe fn free<V: Shared>(start: NonNull<u8>, size: usize) {
    // SAFETY: the caller's condition.
    unsafe { check_slack(start, size) };
    V::huge_blocks().remove(V::page_map(), start, size);
    count_out::<V>(pages_for(size));
    // SAFETY: no record leads to the block any more, and the caller gave it up.
    unsafe { hold::<V>(start, room_for(size), pages_for(size)) };
}

/// Holds the pages of a block, of which the first `dirty` bytes may have memory that is worth keeping.
///
/// # Safety
/// [`fences::map`] returned the pages with so much room, and nothing refers to them.
unsafe fn hold<V: Shared>(start: NonNull<u8>, room: usize, dirty: usize) {
    let (fenced, page_heap) = (V::fenced(), V::page_heap());
    let has_limit = || page_heap.limit.most() > 0;
    let is_worth_it = (1..=DIRTY_BYTES).contains(&dirty) && V::PURGE_MS.is_some() && !has_limit();
    // SAFETY: the caller's condition.
    let dirty = if is_worth_it && unsafe { put_aside(start, room, dirty) } { dirty } else { 0 };
    if dirty == 0 {
        // If the kernel refuses, at its limit of mappings, they stay accessible, without memory.
        // SAFETY: the caller's condition.
        unsafe { fences::shut(start, room) };
    }
    let since = page_heap.now();
    let freed = Place { start: start.expose_provenance().get(), room, dirty, since };
    let (is_held, waiting) = fenced.lock.with(|| {
        // SAFETY: the caller's condition; what has memory has no access.
        let is_held = unsafe { fenced.hold(freed) };
        (is_held, fenced.dirty_counted())
    });
    if !is_held {
        // SAFETY: the caller's condition.
        unsafe { fences::unmap(start, room) };
    }
    if dirty > 0 && has_limit() {
        // It was set meanwhile. The one who sets it looks for such memory afterwards, with the lock that `hold` had. So
        // that thread finds this memory, or this one sees the limit.
        fenced.clean_since(since, 0);
    }
    let is_much = || {
        let in_use = page_heap.limit.fenced_in_use();
        waiting >= quotient(in_use, MUCH.1) && page_heap.is_much(waiting, MUCH)
    };
    if waiting >= MUCH.0 && page_heap.lock.with(is_much) {
        page_heap.note_pending();
    }
}

/// Wipes the first `dirty` bytes of pages, and takes the access to all. False if the kernel refuses, or a program has
/// mapped something else there.
///
/// # Safety
/// The conditions of [`hold`].
unsafe fn put_aside(start: NonNull<u8>, room: usize, dirty: usize) -> bool {
    // SAFETY: the caller's condition.
    if unsafe { !pages::set_aside(start, dirty) } {
        return false;
    }
    // The program may have taken the access.
    // SAFETY: the caller's condition.
    if unsafe { !fences::open(start, dirty) } {
        return false;
    }
    // SAFETY: the caller's condition. The kernel has just said that the pages are private and anonymous.
    unsafe { pages::zero(start, dirty) };
    // SAFETY: the caller's condition.
    unsafe { fences::fence(start, room) }
}

/// Gives back all addresses that are held.
pub(crate) fn let_go_all<V: Shared>() {
    let fenced = V::fenced();
    fenced.lock.with(|| while fenced.let_go_oldest() {});
}

/// Changes a block's size. `None`, and the old block intact, when memory is exhausted.
///
/// # Safety
/// A block of `old` bytes starts there, and the caller owns it.
pub(crate) unsafe fn resize<V: Shared>(
    start: NonNull<u8>,
    old: usize,
    new: Layout,
) -> Option<NonNull<u8>> {
    let (old_bytes, new_bytes) = (pages_for(old), pages_for(new.size()));
    // SAFETY: the caller's condition.
    unsafe { check_slack(start, old) };
    let in_place = room_for(old) == room_for(new.size())
        // SAFETY: the caller's condition; the room is that of both sizes.
        && unsafe { resize_in_place::<V>(start, old, new.size()) };
    if in_place {
        V::huge_blocks().change_length(start, old, new.size());
        return Some(start);
    }
    let moved = alloc_with::<V>(new, Memory::Fresh)?;
    let kept = old_bytes.min(new_bytes);
    let size = old.min(new.size());
    // SAFETY: both ranges are pages between fences, which do not overlap. Nothing needs the content of the new block,
    // and the caller owns the old one.
    match unsafe { move_to(start, kept, moved, true) } {
        Outcome::Moved { .. } => {
            // SAFETY: inside the new block's pages.
            let cut = unsafe { moved.add(size) };
            // SAFETY: pages of the new block that came from the old one, behind the content that both have. They are
            // slack, or bytes that the old block did not have.
            unsafe { cut.write_bytes(0, kept - size) };
            V::huge_blocks().remove(V::page_map(), start, old);
            count_out::<V>(old_bytes);
            // SAFETY: the content has moved, and no record leads to the old block any more.
            unsafe { hold::<V>(start, room_for(old), 0) };
        }
        Outcome::Stayed => {
            // SAFETY: both blocks have that many bytes, and do not overlap.
            unsafe { moved.copy_from_nonoverlapping(start, size) };
            // SAFETY: the caller's condition; the content has been copied.
            unsafe { free::<V>(start, old) };
        }
        Outcome::Lost => {
            V::huge_blocks().remove(V::page_map(), moved, new.size());
            count_out::<V>(new_bytes);
            return None;
        }
    }
    Some(moved)
}

/// Takes pages of a block's room, or gives them back. False, and nothing changed, if the kernel refuses, or the limit is
/// reached.
///
/// # Safety
/// A block of `old` bytes starts there, with room for `new`, and the caller owns it.
unsafe fn resize_in_place<V: Shared>(start: NonNull<u8>, old: usize, new: usize) -> bool {
    let (old_bytes, new_bytes) = (pages_for(old), pages_for(new));
    let page_heap = V::page_heap();
    let count = |from: usize, to: usize| {
        page_heap.lock.with(|| {
            let is_admitted = to <= from || page_heap.admits(to - from);
            if is_admitted {
                page_heap.limit.change_fenced(from, to);
            }
            is_admitted
        })
    };
    if new_bytes > old_bytes {
        if !count(old_bytes, new_bytes) {
            return false;
        }
        // SAFETY: inside the block's room.
        let fresh = unsafe { start.add(old_bytes) };
        // SAFETY: pages of the room, which only the caller refers to.
        if unsafe { !fences::open(fresh, new_bytes - old_bytes) } {
            count(new_bytes, old_bytes);
            return false;
        }
        // SAFETY: inside the block.
        let slack = unsafe { start.add(new) };
        // The pages are mostly zero, but the block may have had them before, and the program may have locked them.
        // SAFETY: the rest of the block's pages.
        unsafe { slack.write_bytes(0, new_bytes - new) };
        return true;
    }
    let end = old.min(new_bytes);
    if new < end {
        // SAFETY: inside the block.
        let cut = unsafe { start.add(new) };
        // SAFETY: bytes that the block loses, in the pages that it keeps. They are slack from now on.
        unsafe { cut.write_bytes(0, end - new) };
    }
    if new_bytes < old_bytes {
        // SAFETY: inside the block.
        let rest = unsafe { start.add(new_bytes) };
        // SAFETY: pages that the block loses. If the kernel does not take the access, they are zero nevertheless.
        unsafe { fences::shut(rest, old_bytes - new_bytes) };
        count(old_bytes, new_bytes);
    }
    true
}

/// Ends the process if a block was written past its end.
///
/// # Safety
/// A block of `size` bytes starts there.
unsafe fn check_slack(start: NonNull<u8>, size: usize) {
    let slack = (pages_for(size) - size).min(COMPARED);
    let first = start.as_ptr().wrapping_add(size);
    // SAFETY: inside the block's pages. No code writes there, unless a program breaks the rules.
    let is_zero = (0..slack).all(|at| unsafe { first.wrapping_add(at).read() } == 0);
    if !is_zero {
        fatal("a block was written past its end:", start.addr().get());
    }
}

/// Ends the process if an address lies in a freed block whose addresses are held.
#[cold]
pub(crate) fn check_freed<V: Shared>(address: usize) {
    if V::fenced().holds(address) {
        fatal("double free, or use of a freed block:", address);
    }
}
