//! `mallopt`: the settings that a program may change while it runs.
//!
//! | parameter | value | means here |
//! |---|---|---|
//! | `M_TRIM_THRESHOLD` | bytes | so many may lie idle before the library gives any back by itself; −1: it never does |
//! | `M_MMAP_MAX` | 0 | the pages of freed large blocks stay and serve others; blocks up to 1984 KiB share segments |
//! | `M_PERTURB` | a byte | freed blocks are filled with it, and fresh ones, except `calloc`'s, with its complement |
//!
//! `malloc_trim` gives idle bytes back whatever the threshold is.
//!
//! Blocks of `malloc`, `realloc`, `new` and the aligned functions are filled. A block above 512 KiB is
//! not filled when it is freed. `M_PERTURB` affects the calling thread, and threads that have not allocated before.
//! For any other setting `mallopt` returns 0, as for an unknown parameter: the library's build decides it.

use crate::Preload;
use core::ffi::{c_int, c_void};
use hakmem::ByAddress;

#[unsafe(no_mangle)]
pub extern "C" fn mallopt(parameter: c_int, value: c_int) -> c_int {
    let honoured = match (parameter, value) {
        // −1 means all bytes that there can be.
        (libc::M_TRIM_THRESHOLD, _) => Preload::keep_idle(value as isize as usize),
        (libc::M_MMAP_MAX, 0) => Preload::keep_mappings(),
        // glibc, too, looks at the lowest byte.
        (libc::M_PERTURB, _) => Preload::fill_with(value as u8),
        _ => false,
    };
    c_int::from(honoured)
}

/// Fills a fresh block of so many bytes, or none, if the program asked for it.
pub(crate) fn filled(block: *mut u8, bytes: usize) -> *mut u8 {
    grown(block, Filling { filler: Preload::filler(), from: 0 }, bytes)
}

/// The bytes to fill of a block that grows.
pub(crate) struct Filling {
    filler: u8,
    from: usize,
}

/// Fills the bytes that a block, or none, has gained.
pub(crate) fn grown(block: *mut u8, filling: Filling, to: usize) -> *mut u8 {
    let Filling { filler, from } = filling;
    if filler != 0 && !block.is_null() && from < to {
        // SAFETY: the block has `to` bytes, which are more.
        let new = unsafe { block.add(from) };
        // SAFETY: the bytes up to `to`, which no other code has seen yet.
        unsafe { new.write_bytes(!filler, to - from) };
    }
    block
}

/// The bytes to fill of a block that has grown.
///
/// # Safety
/// The conditions of `malloc_usable_size`; the block is not null.
pub(crate) unsafe fn growing(block: *mut c_void) -> Filling {
    // Read once: the program may change it meanwhile.
    let filler = Preload::filler();
    // SAFETY: the caller's condition.
    let from = if filler == 0 { 0 } else { unsafe { Preload::usable_size(block.cast()) } };
    Filling { filler, from }
}
