//! Pages between pages without access, the *fences*.
//!
//! ```text
//!  ┌───────┬──────────────────────┬───────┐
//!  │ fence │ the caller's pages   │ fence │     an access to a fence ends the program with SIGSEGV
//!  └───────┴──────────────────────┴───────┘
//! ```
//!
//! Never: sets `errno`, or gives a fence access.

use super::{kernel, pages};
use crate::base::{PAGE_BYTES, bytes_to_multiple, round_up};
use core::ptr::{self, NonNull};

/// Maps `bytes`, zeroed, at a multiple of `align`, between fences; `bytes` are whole pages, and `align` a power of two.
/// `None` when the kernel refuses.
pub(crate) fn map(bytes: usize, align: usize) -> Option<NonNull<u8>> {
    let surplus = align.max(PAGE_BYTES) - PAGE_BYTES;
    let fenced = bytes.checked_add(2 * PAGE_BYTES)?;
    let whole = fenced.checked_add(surplus)?;
    // SAFETY: at an address of the kernel's choice.
    let first = unsafe { map_shut(ptr::null_mut(), whole, 0) }?;
    let start = round_up(first.addr().get() + PAGE_BYTES, align.max(PAGE_BYTES));
    let lead = start - PAGE_BYTES - first.addr().get();
    // SAFETY: inside the mapping, or at its end.
    unsafe { unmap_range(first, 0, lead) };
    // SAFETY: the rest of the mapping.
    unsafe { unmap_range(first, lead + fenced, surplus - lead) };
    // SAFETY: inside the mapping.
    let pages = unsafe { first.add(lead + PAGE_BYTES) };
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let arguments = [pages.expose_provenance().get(), bytes, access as usize, 0, 0, 0];
    // SAFETY: pages of the mapping, which no other code knows of.
    if unsafe { kernel::call(libc::SYS_mprotect, arguments) }.is_some() {
        return Some(pages);
    }
    // SAFETY: mapped above, and no other code knows of it.
    unsafe { unmap(pages, bytes) };
    None
}

/// Takes the pages' memory, and makes them fences, too. False if the kernel refuses; nothing has changed then.
///
/// # Safety
/// [`map`] returned the pages, and nothing refers to them.
pub(crate) unsafe fn shut(pages: NonNull<u8>, bytes: usize) -> bool {
    // SAFETY: the caller's condition.
    unsafe { map_shut(pages.as_ptr(), bytes, libc::MAP_FIXED) }.is_some()
}

/// Makes whole pages of a mapping fences. They keep their memory. False if the kernel refuses.
///
/// # Safety
/// Nothing refers to the pages.
pub(crate) unsafe fn fence(pages: NonNull<u8>, bytes: usize) -> bool {
    let arguments = [pages.expose_provenance().get(), bytes, libc::PROT_NONE as usize, 0, 0, 0];
    // SAFETY: the caller's condition.
    unsafe { kernel::call(libc::SYS_mprotect, arguments) }.is_some()
}

/// Maps `bytes` without access at a multiple of `align`; both are whole pages, and `align` a power of two. `None` when
/// the kernel refuses.
pub(crate) fn map_shut_aligned(bytes: usize, align: usize) -> Option<NonNull<u8>> {
    // SAFETY: at an address of the kernel's choice.
    let first = unsafe { map_shut(ptr::null_mut(), bytes.checked_add(align)?, 0) }?;
    let lead = bytes_to_multiple(first.addr().get(), align);
    // SAFETY: the mapping's start, which no other code knows of.
    unsafe { unmap_range(first, 0, lead) };
    // SAFETY: the mapping's end, which no other code knows of.
    unsafe { unmap_range(first, lead + bytes, align - lead) };
    // SAFETY: inside the mapping.
    Some(unsafe { first.add(lead) })
}

/// Unmaps what [`map_shut_aligned`] returned.
///
/// # Safety
/// Nothing refers to it.
pub(crate) unsafe fn unmap_shut(first: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller's condition.
    unsafe { unmap_range(first, 0, bytes) };
}

/// Unmaps pages and their fences. At its limit of mappings the kernel may refuse: the addresses are lost then, without
/// memory.
///
/// # Safety
/// [`map`] returned the pages, and nothing refers to them.
pub(crate) unsafe fn unmap(pages: NonNull<u8>, bytes: usize) {
    let first = pages.as_ptr().wrapping_sub(PAGE_BYTES);
    if let Some(first) = NonNull::new(first) {
        // SAFETY: the caller's condition.
        if unsafe { !unmap_range(first, 0, bytes + 2 * PAGE_BYTES) } {
            // SAFETY: the caller's condition.
            unsafe { pages::purge(pages, bytes) };
        }
    }
}

/// # Safety
/// `bytes` bytes behind `from` are mapped by this module, and nothing refers to them.
unsafe fn unmap_range(from: NonNull<u8>, offset: usize, bytes: usize) -> bool {
    let at = from.expose_provenance().get() + offset;
    // SAFETY: the caller's condition.
    bytes == 0 || unsafe { kernel::call(libc::SYS_munmap, [at, bytes, 0, 0, 0, 0]) }.is_some()
}

/// # Safety
/// With `MAP_FIXED` nothing refers to what is mapped at `hint`.
unsafe fn map_shut(hint: *mut u8, bytes: usize, flag: libc::c_int) -> Option<NonNull<u8>> {
    // Fences need no memory, so the kernel need not reckon with any.
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | flag;
    let no_file = usize::MAX;
    let arguments =
        [hint.expose_provenance(), bytes, libc::PROT_NONE as usize, flags as usize, no_file, 0];
    // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory in use. Nor does one at a fixed
    // address, by the caller's condition.
    let address = unsafe { kernel::call(libc::SYS_mmap, arguments) }?;
    NonNull::new(ptr::with_exposed_provenance_mut(address))
}
