//! Waiting in the kernel for a word to change.

use super::atomic::AtomicU32;
use super::errno;
use core::ptr;

/// Waits while the word is `value`, for a millisecond at most; leaves `errno` as it was.
pub(super) fn wait(word: &AtomicU32, value: u32) {
    let most = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    call(word, libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, value, &raw const most);
}

/// Wakes one thread that waits on the word.
pub(super) fn wake_one(word: &AtomicU32) {
    call(word, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1, ptr::null());
}

fn call(word: &AtomicU32, operation: libc::c_int, value: u32, most: *const libc::timespec) {
    // SAFETY: the word is a live, aligned 32-bit integer; the kernel only reads it, and the time.
    errno::kept(|| unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, most)
    });
}
