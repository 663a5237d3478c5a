//! Futexes: a thread waits in the kernel until a word changes.

use super::atomic::{AtomicU32, AtomicU64, Ordering};
use super::kernel;
use core::ffi::c_int;
use core::ptr;

/// Number of the waits for locks. It is counted in every build, since one addition is nothing beside a system call.
static WAITS: AtomicU64 = AtomicU64::new(0);

/// Times that a thread of this process came to wait in the kernel for a lock, of any variant.
pub(crate) fn waits() -> u64 {
    // ORDERING: relaxed; a number that publishes nothing.
    WAITS.load(Ordering::Relaxed)
}

/// Waits while the word is `value`, until another thread wakes this one. It may also return without a wake.
pub(super) fn wait(word: &AtomicU32, value: u32) {
    // ORDERING: relaxed, as in `waits`.
    WAITS.fetch_add(1, Ordering::Relaxed);
    call(word, libc::FUTEX_WAIT, value, ptr::null());
}

/// Waits while the word is `value`, for at most `ms` milliseconds. It may return earlier.
pub(crate) fn wait_for(word: &AtomicU32, value: u32, ms: u64) {
    let time =
        libc::timespec { tv_sec: (ms / 1000) as i64, tv_nsec: (ms % 1000 * 1_000_000) as i64 };
    call(word, libc::FUTEX_WAIT, value, &raw const time);
}

/// Wakes one thread that waits on the word, if any does.
pub(super) fn wake_one(word: &AtomicU32) {
    call(word, libc::FUTEX_WAKE, 1, ptr::null());
}

/// Wakes all threads that wait on the word.
pub(crate) fn wake_all(word: &AtomicU32) {
    call(word, libc::FUTEX_WAKE, u32::MAX >> 1, ptr::null());
}

fn call(word: &AtomicU32, operation: c_int, value: u32, most: *const libc::timespec) {
    let operation = operation | libc::FUTEX_PRIVATE_FLAG;
    let arguments = [
        word.as_ptr().expose_provenance(),
        operation as usize,
        value as usize,
        most.expose_provenance(),
        0,
        0,
    ];
    // SAFETY: the word is a live, aligned 32-bit integer, and the time null or a live one: the kernel only reads them.
    let _ = unsafe { kernel::call(libc::SYS_futex, arguments) };
}

#[cfg(test)]
mod tests {
    use super::super::lock::Lock;
    use super::*;

    #[test]
    fn a_wait_for_a_lock_is_counted() {
        let (lock, before) = (Lock::<0>::over(AtomicU32::new(0)), waits());
        std::thread::scope(|scope| {
            lock.lock();
            scope.spawn(|| lock.with(|| ()));
            // The other thread waits before this one gives the lock up.
            while waits() == before {
                std::thread::yield_now();
            }
            lock.unlock();
        });
        assert!(waits() > before);
    }
}
