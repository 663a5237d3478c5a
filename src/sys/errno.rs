//! `errno`, which a free must not change.

/// Runs a call that may set `errno`, and restores `errno` afterwards.
pub(crate) fn kept<R>(call: impl FnOnce() -> R) -> R {
    // SAFETY: it returns the address of this thread's `errno`, which lives as long as the thread.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the address is this thread's `errno`, which is always readable.
    let before = unsafe { errno.read() };
    let result = call();
    // SAFETY: the address is this thread's `errno`, which is always writable.
    unsafe { errno.write(before) };
    result
}
