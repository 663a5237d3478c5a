//! Pages between pages without access, the *fences*.
//!
//! ```text
//!  ┌───────┬──────────────────────┬────────────────┬───────┐
//!  │ fence │ the caller's pages   │ room to grow   │ fence │   an access to a fence, or to the room, ends the program
//!  └───────┴──────────────────────┴────────────────┴───────┘   with SIGSEGV
//! ```
//!
//! Never: sets `errno`, or gives a fence access.

use super::{kernel, pages};
use crate::base::{PAGE_BYTES, round_up};
use core::ffi::c_int;
use core::ptr::{self, NonNull};

/// Maps `room` bytes without access, at a multiple of `align` and between fences. The room is whole pages, and `align` is
/// a power of two. `None` when the kernel refuses.
pub(crate) fn map(room: usize, align: usize) -> Option<NonNull<u8>> {
    let surplus = align.max(PAGE_BYTES) - PAGE_BYTES;
    let fenced = room.checked_add(2 * PAGE_BYTES)?;
    let first = map_shut(fenced.checked_add(surplus)?)?;
    let start = round_up(first.addr().get() + PAGE_BYTES, align.max(PAGE_BYTES));
    let lead = start - PAGE_BYTES - first.addr().get();
    // SAFETY: inside the mapping, or at its end, and no other code knows of it.
    unsafe { unmap_range(first, 0, lead) };
    // SAFETY: the rest of the mapping, which no other code knows of.
    unsafe { unmap_range(first, lead + fenced, surplus - lead) };
    // SAFETY: inside the mapping.
    Some(unsafe { first.add(lead + PAGE_BYTES) })
}

/// Gives access to whole pages. False if the kernel refuses; nothing has changed then.
///
/// # Safety
/// This module or `pages` mapped them, and only the caller refers to them.
pub(crate) unsafe fn open(pages: NonNull<u8>, bytes: usize) -> bool {
    // SAFETY: the caller's condition.
    unsafe { protect(pages, bytes, libc::PROT_READ | libc::PROT_WRITE) }
}

/// Takes the access to whole pages. They keep their memory. False if the kernel refuses; nothing has changed then.
///
/// # Safety
/// This module or `pages` mapped them, and nothing refers to them.
pub(crate) unsafe fn fence(pages: NonNull<u8>, bytes: usize) -> bool {
    // SAFETY: the caller's condition.
    unsafe { protect(pages, bytes, libc::PROT_NONE) }
}

/// Takes the memory of whole pages, and the access to them. False if the kernel refuses to take the access.
///
/// # Safety
/// This module mapped them, and nothing refers to them.
pub(crate) unsafe fn shut(pages: NonNull<u8>, bytes: usize) -> bool {
    // SAFETY: the caller's condition.
    unsafe { pages::purge(pages, bytes) };
    // SAFETY: the caller's condition.
    unsafe { fence(pages, bytes) }
}

/// # Safety
/// As for [`open`] or [`fence`].
unsafe fn protect(pages: NonNull<u8>, bytes: usize, access: c_int) -> bool {
    let arguments = [pages.expose_provenance().get(), bytes, access as usize, 0, 0, 0];
    // SAFETY: the caller's condition.
    unsafe { kernel::call(libc::SYS_mprotect, arguments) }.is_some()
}

/// Unmaps pages and their fences. False if the kernel refuses, as it may at its limit of mappings: nothing has changed
/// then, but that the pages have no memory if the kernel takes that.
///
/// # Safety
/// [`map`] returned the pages, with so much room, and nothing refers to them.
pub(crate) unsafe fn unmap(pages: NonNull<u8>, room: usize) -> bool {
    let Some(first) = NonNull::new(pages.as_ptr().wrapping_sub(PAGE_BYTES)) else { return false };
    // SAFETY: the caller's condition.
    let is_unmapped = unsafe { unmap_range(first, 0, room + 2 * PAGE_BYTES) };
    if !is_unmapped {
        // SAFETY: the caller's condition.
        unsafe { pages::purge(pages, room) };
    }
    is_unmapped
}

/// # Safety
/// `bytes` bytes behind `from` are mapped by this module, and nothing refers to them.
unsafe fn unmap_range(from: NonNull<u8>, offset: usize, bytes: usize) -> bool {
    let at = from.expose_provenance().get() + offset;
    // SAFETY: the caller's condition.
    bytes == 0 || unsafe { kernel::call(libc::SYS_munmap, [at, bytes, 0, 0, 0, 0]) }.is_some()
}

/// Maps `bytes` without access. `None` when the kernel refuses.
fn map_shut(bytes: usize) -> Option<NonNull<u8>> {
    // No MAP_NORESERVE: the kernel reckons with memory where pages get access, and refuses there what no machine has.
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let no_file = usize::MAX;
    let arguments = [0, bytes, libc::PROT_NONE as usize, flags as usize, no_file, 0];
    // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory in use.
    let address = unsafe { kernel::call(libc::SYS_mmap, arguments) }?;
    NonNull::new(ptr::with_exposed_provenance_mut(address))
}
