//! Waiting in the kernel for a word to change.

use super::atomic::AtomicU32;
use super::kernel;
use core::ffi::c_int;

/// Waits while the word is `value`, until it is woken; it may return without that.
pub(super) fn wait(word: &AtomicU32, value: u32) {
    call(word, libc::FUTEX_WAIT, value);
}

/// Wakes one thread that waits on the word, if any does.
pub(super) fn wake_one(word: &AtomicU32) {
    call(word, libc::FUTEX_WAKE, 1);
}

fn call(word: &AtomicU32, operation: c_int, value: u32) {
    let operation = operation | libc::FUTEX_PRIVATE_FLAG;
    let arguments = [word.as_ptr().addr(), operation as usize, value as usize, 0, 0, 0];
    // SAFETY: the word is a live, aligned 32-bit integer, which the kernel only reads; no time is named.
    let _ = unsafe { kernel::call(libc::SYS_futex, arguments) };
}
