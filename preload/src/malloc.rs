//! malloc, calloc, realloc and free.

use crate::{Preload, errno, options};
use core::ffi::c_void;
use core::ptr;
use hakmem::ByAddress;

#[unsafe(no_mangle)]
pub extern "C" fn malloc(size: usize) -> *mut c_void {
    let block = Preload::quick(size);
    if block.is_null() { malloc_slow(size) } else { block.cast() }
}

#[cold]
#[inline(never)]
pub(crate) extern "C" fn malloc_slow(size: usize) -> *mut c_void {
    errno::checked(options::filled(Preload::malloc(size), size))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(block: *mut c_void) {
    // SAFETY: the caller's condition: C's.
    unsafe { Preload::free(block.cast()) }
}

#[unsafe(no_mangle)]
pub extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    let Some(bytes) = count.checked_mul(size) else { return errno::checked(ptr::null_mut()) };
    errno::checked(Preload::zeroed(bytes))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    if block.is_null() {
        return malloc(size);
    }
    if size == 0 {
        // SAFETY: the caller's condition.
        unsafe { free(block) };
        return ptr::null_mut();
    }
    if size > isize::MAX as usize {
        return errno::checked(ptr::null_mut());
    }
    // SAFETY: the caller's condition; not null.
    let filling = unsafe { options::growing(block) };
    // SAFETY: the caller's condition; the block is not null, and the size from 1 to `isize::MAX`.
    let moved = unsafe { Preload::realloc(block.cast(), size) };
    errno::checked(options::grown(moved, filling, size))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn reallocarray(
    block: *mut c_void,
    count: usize,
    size: usize,
) -> *mut c_void {
    let Some(bytes) = count.checked_mul(size) else { return errno::checked(ptr::null_mut()) };
    // SAFETY: the caller's condition.
    unsafe { realloc(block, bytes) }
}

/// An old name of [`free`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfree(block: *mut c_void) {
    // SAFETY: the caller's condition.
    unsafe { free(block) }
}

/// C23's. A size that another class, span or mapping would serve ends the process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_sized(block: *mut c_void, size: usize) {
    // SAFETY: the caller's condition.
    unsafe { free_aligned_sized(block, 16, size) }
}

/// C23's. A size and an alignment that another class, span or mapping would serve end the process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_aligned_sized(block: *mut c_void, align: usize, size: usize) {
    // SAFETY: the caller's condition.
    unsafe { Preload::free_sized(block.cast(), size, align) }
}

/// The names of glibc's own functions, for programs that wrap the others.
#[unsafe(no_mangle)]
pub extern "C" fn __libc_malloc(size: usize) -> *mut c_void {
    malloc(size)
}

#[unsafe(no_mangle)]
pub extern "C" fn __libc_calloc(count: usize, size: usize) -> *mut c_void {
    calloc(count, size)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __libc_realloc(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller's condition.
    unsafe { realloc(block, size) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __libc_free(block: *mut c_void) {
    // SAFETY: the caller's condition.
    unsafe { free(block) }
}
