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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_leaves_errno_as_it_was() {
        // SAFETY: it returns the address of this thread's `errno`, which lives as long as the thread.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: the address is this thread's `errno`, which is always writable.
        let set = |to| unsafe { errno.write(to) };
        set(7);
        assert_eq!(
            (kept(|| set(8)), std::io::Error::last_os_error().raw_os_error()),
            ((), Some(7))
        );
    }
}
