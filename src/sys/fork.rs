//! Handlers that run around a fork.

use super::weak::weak;
use core::ffi::c_void;
use core::mem;

unsafe extern "C" {
    // Not in the `libc` crate for this system; POSIX.
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> core::ffi::c_int;
}

/// Registers three handlers for every fork. False if the system has no room for them.
///
/// `before` runs in the forking thread before the fork, `parent` in the same thread afterwards, and `child` in the
/// child's only thread.
pub(crate) fn around(
    before: extern "C" fn(),
    parent: extern "C" fn(),
    child: extern "C" fn(),
) -> bool {
    // SAFETY: the functions live as long as they are registered: when this code is unloaded, glibc drops them.
    unsafe { pthread_atfork(Some(before), Some(parent), Some(child)) == 0 }
}

/// True if this process is known to have only one thread.
pub(crate) fn is_single_threaded() -> bool {
    let known = weak!("__libc_single_threaded").cast::<u8>();
    // SAFETY: null, or the address of glibc's `char` of this name. It changes only when this thread creates the second
    // thread, or joins the last other one.
    !known.is_null() && unsafe { known.read_volatile() } != 0
}

/// Calls a function of the C library that takes nothing and returns nothing.
///
/// # Safety
/// `function` is the address of such a function, and calling it here is sound.
unsafe fn call(function: *const c_void) {
    // SAFETY: by the caller's condition.
    let function = unsafe { mem::transmute::<*const c_void, extern "C" fn()>(function) };
    function();
}

/// Takes the lock of stdio's list of files. In a process with threads, glibc's fork takes it after all handlers.
///
/// A thread that holds it may wait for a thread that allocates while it holds a file (`fflush` with null, and
/// `getline`). So a forking thread must take it before the allocator's locks. The lock is recursive.
pub(crate) fn hold_stdio() {
    let lock = stdio_lock();
    if !lock.is_null() {
        // SAFETY: glibc exports it for this, as `void _IO_list_lock(void)`.
        unsafe { call(lock) };
    }
}

/// Gives the lock that [`hold_stdio`] took up, in the parent.
pub(crate) fn release_stdio() {
    if !stdio_lock().is_null() {
        let unlock = weak!("_IO_list_unlock");
        // SAFETY: glibc exports it for this, with that type, and this thread holds the lock.
        unsafe { call(unlock) };
    }
}

/// Frees the lock in the child. The child's only thread may have another number than the thread that took it.
pub(crate) fn reset_stdio() {
    if !stdio_lock().is_null() {
        let reset = weak!("_IO_list_resetlock");
        // SAFETY: glibc exports it for this, with that type. No other thread exists that could hold the lock, and this
        // thread does not use files now.
        unsafe { call(reset) };
    }
}

/// The function that takes the lock, if the C library also has the functions that give it up.
fn stdio_lock() -> *const c_void {
    let giving_up = [weak!("_IO_list_unlock"), weak!("_IO_list_resetlock")];
    if giving_up.contains(&core::ptr::null()) {
        return core::ptr::null();
    }
    weak!("_IO_list_lock")
}
