//! `errno`, which a failing function sets.

/// This thread's.
fn place() -> *mut libc::c_int {
    // SAFETY: it takes nothing, and returns the address of this thread's number.
    unsafe { libc::__errno_location() }
}

pub(crate) fn set(error: libc::c_int) {
    // SAFETY: this thread's own, and alive as long as it.
    unsafe { place().write(error) };
}

/// The block; or null, with `errno` set to ENOMEM.
pub(crate) fn checked(block: *mut u8) -> *mut libc::c_void {
    if block.is_null() {
        set(libc::ENOMEM);
    }
    block.cast()
}
