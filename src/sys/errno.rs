//! `errno`, which a free must not change.

/// Runs a call that may set `errno`, and restores `errno` afterwards.
pub(crate) fn kept<R>(call: impl FnOnce() -> R) -> R {
    // SAFETY: it returns the address of this thread's `errno`, which lives as long as the thread.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { errno.read() };
    let result = call();
    // SAFETY: as above.
    unsafe { errno.write(before) };
    result
}
