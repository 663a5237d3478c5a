//! Huge blocks between fences: pages without access on both sides, and, for a while, in place of a freed block.
//!
//! ```text
//!   fence │ block │ slack │ fence            freed: fence over fence over fence
//! ```
//!
//! The slack, from the block's last byte to the end of its page, stays zero. A free compares the first bytes of it. The
//! addresses of the last [`HELD`] freed blocks stay without access and without memory, so that a late use ends the
//! program. Then the kernel gets them back. Each block costs a few system calls.
//!
//! A block and its fences are up to three mappings, of which the kernel gives a process some 65 000. So no more than
//! [`MOST`] blocks get fences at a time.
//!
//! FN1  A place holds `(0, 0)`, or the pages of a freed block, which are without access until the place is used again.
//!
//! Never: keeps memory of a freed block.

use super::{HOPELESS, Shared};
use crate::base::{PAGE_BYTES, SLICE_BYTES, rank, round_up};
use crate::page_map::Kind;
use crate::sys::atomic::AtomicU32;
use crate::sys::fatal::fatal;
use crate::sys::fences;
use crate::sys::lock::Lock;
use crate::sys::moves::{Outcome, move_to};
use core::alloc::Layout;
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// Freed blocks whose addresses stay without access.
const HELD: usize = 256;
/// Blocks in use between fences at most.
const MOST: usize = 8192;
/// Bytes of slack that a free compares.
const COMPARED: usize = 64;

/// The freed blocks of a variant whose addresses are held. [lock]
pub(crate) struct Fenced {
    pub(super) lock: Lock<{ rank::FENCED }>,
    in_use: Cell<usize>,
    next: Cell<usize>,
    places: [Cell<(usize, usize)>; HELD],
}

// SAFETY: the other fields are touched with the lock held.
unsafe impl Sync for Fenced {}

impl Fenced {
    pub(crate) const fn new() -> Self {
        Self {
            lock: Lock::over(AtomicU32::new(0)),
            in_use: Cell::new(0),
            next: Cell::new(0),
            places: [const { Cell::new((0, 0)) }; HELD],
        }
    }

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

    /// Takes the oldest pages that are held.
    fn take_oldest(&self) -> (usize, usize) {
        self.lock.with(|| {
            let next = self.next.get();
            self.next.set((next + 1) % HELD);
            self.places.get(next).map_or((0, 0), |place| place.replace((0, 0)))
        })
    }

    /// Holds the pages of a freed block, and returns those that it holds no longer.
    fn hold(&self, start: usize, bytes: usize) -> (usize, usize) {
        self.lock.with(|| {
            let next = self.next.get();
            self.next.set((next + 1) % HELD);
            self.places.get(next).map_or((start, bytes), |place| place.replace((start, bytes)))
        })
    }

    fn holds(&self, address: usize) -> bool {
        let is_there = |(start, bytes): (usize, usize)| (start..start + bytes).contains(&address);
        self.lock.with(|| self.places.iter().any(|place| is_there(place.get())))
    }
}

/// Bytes of the pages of a block. No two blocks begin in one slice (RC1).
const fn pages_for(size: usize) -> usize {
    let bytes = round_up(size, PAGE_BYTES);
    if bytes < SLICE_BYTES { SLICE_BYTES } else { bytes }
}

/// Allocates a block, which is zero. `None` if the kernel refuses, the limit is reached, or as many blocks as may be have
/// fences.
pub(crate) fn alloc<V: Shared>(layout: Layout) -> Option<NonNull<u8>> {
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
    let start = if is_admitted { map::<V>(layout) } else { None };
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

fn map<V: Shared>(layout: Layout) -> Option<NonNull<u8>> {
    let bytes = pages_for(layout.size());
    let start = fences::map(bytes, layout.align())?;
    if V::huge_blocks().add(V::page_map(), start, layout.size(), Kind::Fenced) {
        return Some(start);
    }
    // SAFETY: mapped above, and no other code knows of it.
    unsafe { fences::unmap(start, bytes) };
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
    unsafe { hold::<V>(start, pages_for(size)) };
}

/// # Safety
/// [`fences::map`] returned the pages, and nothing refers to them.
unsafe fn hold<V: Shared>(start: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller's condition.
    if unsafe { !fences::shut(start, bytes) } {
        // SAFETY: the caller's condition.
        return unsafe { fences::unmap(start, bytes) };
    }
    let (start, bytes) = V::fenced().hold(start.expose_provenance().get(), bytes);
    if let Some(start) = NonNull::new(ptr::with_exposed_provenance_mut(start)) {
        // SAFETY: pages of a freed block, and the place that held them holds others now (FN1).
        unsafe { fences::unmap(start, bytes) };
    }
}

/// Gives back the addresses that are held.
pub(crate) fn let_go_all<V: Shared>() {
    for _ in 0..HELD {
        let (start, bytes) = V::fenced().take_oldest();
        if let Some(start) = NonNull::new(ptr::with_exposed_provenance_mut(start)) {
            // SAFETY: pages of a freed block, which no place holds any more (FN1).
            unsafe { fences::unmap(start, bytes) };
        }
    }
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
    if old_bytes == new_bytes {
        let (from, to) = (new.size().min(old), old);
        // SAFETY: inside the block.
        let cut = unsafe { start.add(from) };
        // SAFETY: the bytes that the block loses, which are slack from now on.
        unsafe { cut.write_bytes(0, to - from) };
        V::huge_blocks().change_length(start, old, new.size());
        return Some(start);
    }
    let moved = alloc::<V>(new)?;
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
            unsafe { hold::<V>(start, old_bytes) };
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
