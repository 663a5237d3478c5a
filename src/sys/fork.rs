//! What happens around a fork.

unsafe extern "C" {
    // Not in the `libc` crate for this system; POSIX.
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> core::ffi::c_int;
}

/// Has `before` run in a thread that is about to fork, and `after` in it and in the child's only thread.
/// False if the system has no room for that.
pub(crate) fn around(before: extern "C" fn(), after: extern "C" fn()) -> bool {
    // SAFETY: the functions live forever, since nothing unloads this code while they are registered.
    unsafe { pthread_atfork(Some(before), Some(after), Some(after)) == 0 }
}
