//! `errno`, which freeing a block leaves as it was.

/// Runs a call that may set it, and sets it back.
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
