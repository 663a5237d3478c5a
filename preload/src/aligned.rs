//! Blocks at multiples of an alignment.

use crate::{Preload, errno, options};
use core::ffi::{c_int, c_void};
use core::ptr;
use hakmem::ByAddress;

/// A block at a multiple of a power of two; null, and the error set, where there is none.
fn aligned(align: usize, size: usize) -> *mut c_void {
    errno::checked(options::filled(Preload::aligned(size, align), size))
}

/// A block at a multiple of the next power of two; null, and the error set, where there is none.
#[unsafe(no_mangle)]
pub extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    // The largest power of two: an alignment above it cannot be rounded up.
    if align > 1 << (usize::BITS - 1) {
        errno::set(libc::EINVAL);
        return ptr::null_mut();
    }
    aligned(align.next_power_of_two(), size)
}

#[unsafe(no_mangle)]
pub extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    if !align.is_power_of_two() {
        errno::set(libc::EINVAL);
        return ptr::null_mut();
    }
    aligned(align, size)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(
    place: *mut *mut c_void,
    align: usize,
    size: usize,
) -> c_int {
    if !align.is_power_of_two() || !align.is_multiple_of(size_of::<*mut c_void>()) {
        return libc::EINVAL;
    }
    // Returns the error, and sets `errno` too: POSIX leaves that open, and programs written for glibc read it.
    let block = aligned(align, size);
    if block.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller's condition: there is room for an address.
    unsafe { place.write(block) };
    0
}

/// Bytes of a page, from the kernel.
fn page_bytes() -> usize {
    // SAFETY: it takes a number that it knows.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

#[unsafe(no_mangle)]
pub extern "C" fn valloc(size: usize) -> *mut c_void {
    aligned(page_bytes(), size)
}

/// Whole pages, one at least.
#[unsafe(no_mangle)]
pub extern "C" fn pvalloc(size: usize) -> *mut c_void {
    let page = page_bytes();
    match size.max(1).checked_add(page - 1) {
        Some(bytes) => aligned(page, bytes & !(page - 1)),
        None => errno::checked(ptr::null_mut()),
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn __libc_memalign(align: usize, size: usize) -> *mut c_void {
    memalign(align, size)
}

#[unsafe(no_mangle)]
pub extern "C" fn __libc_valloc(size: usize) -> *mut c_void {
    valloc(size)
}

#[unsafe(no_mangle)]
pub extern "C" fn __libc_pvalloc(size: usize) -> *mut c_void {
    pvalloc(size)
}
