//! Addresses without memory, at which every access is a fault until the pages are opened.
//!
//! Never: writes to memory, or sets `errno`.

use super::kernel;
use super::pages::unmap;
use crate::base::bytes_to_multiple;
use core::ptr::{self, NonNull};

/// Reserves addresses at a multiple of `align`; both are whole pages, and `align` a power of two. `None` when the
/// kernel refuses.
pub(crate) fn reserve(bytes: usize, align: usize) -> Option<NonNull<u8>> {
    let most = bytes.checked_add(align)?;
    // The kernel counts no memory for pages without access.
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let arguments = [0, most, libc::PROT_NONE as usize, flags as usize, usize::MAX, 0];
    // SAFETY: a fresh anonymous mapping at an address of the kernel's choice touches no memory in use.
    let address = unsafe { kernel::call(libc::SYS_mmap, arguments) }?;
    let whole = NonNull::new(ptr::with_exposed_provenance_mut::<u8>(address))?;
    let lead = bytes_to_multiple(address, align);
    // SAFETY: `lead` is below `align`, hence inside the mapping of `bytes + align`.
    let start = unsafe { whole.add(lead) };
    // SAFETY: `lead + bytes` is at most `bytes + align`: inside the mapping, or its end.
    let after = unsafe { start.add(bytes) };
    if lead > 0 {
        // SAFETY: the first `lead` bytes belong to the mapping above, and no other code knows of them.
        unsafe { unmap(whole, lead) };
    }
    if lead < align {
        // SAFETY: the last bytes belong to the mapping above, and no other code knows of them.
        unsafe { unmap(after, align - lead) };
    }
    Some(start)
}

/// Opens pages: they may be read and written. False if the kernel refuses.
///
/// # Safety
/// The range is whole pages that [`reserve`] returned, and the caller owns it.
pub(crate) unsafe fn open(start: NonNull<u8>, bytes: usize) -> bool {
    // SAFETY: the caller's condition.
    unsafe { protect(start, bytes, libc::PROT_READ | libc::PROT_WRITE) }
}

/// Closes pages: every access is a fault. They keep their content. False if the kernel refuses.
///
/// # Safety
/// The range is whole pages that [`reserve`] returned, and nothing refers to it.
pub(crate) unsafe fn close(start: NonNull<u8>, bytes: usize) -> bool {
    // SAFETY: the caller's condition.
    unsafe { protect(start, bytes, libc::PROT_NONE) }
}

/// # Safety
/// The range is whole pages that [`reserve`] returned. Unless the access allows all, nothing refers to it.
unsafe fn protect(start: NonNull<u8>, bytes: usize, access: libc::c_int) -> bool {
    let arguments = [start.expose_provenance().get(), bytes, access as usize, 0, 0, 0];
    // SAFETY: the caller's condition.
    unsafe { kernel::call(libc::SYS_mprotect, arguments) }.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_aligned_and_can_be_opened() {
        let (bytes, align) = (5 << 12, 1 << 20);
        let start = reserve(bytes, align).expect("address space");
        assert_eq!(start.addr().get() % align, 0);
        // SAFETY: whole pages of the range, which only this test has.
        assert!(unsafe { open(start, 1 << 12) });
        // SAFETY: opened above.
        unsafe { start.write_bytes(7, 1 << 12) };
        assert!(kernel::is_readable(start.addr().get()));
        assert!(!kernel::is_readable(start.addr().get() + (1 << 12)));
        // SAFETY: a page of the range, which only this test has, and which nothing refers to any more.
        assert!(unsafe { close(start, 1 << 12) });
        assert!(!kernel::is_readable(start.addr().get()));
        // SAFETY: reserved above, and nothing refers to it.
        unsafe { unmap(start, bytes) };
    }
}
