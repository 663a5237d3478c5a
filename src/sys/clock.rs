//! The time, from the kernel's coarse clock, which is the cheapest one.

use super::atomic::{AtomicU64, Ordering};
use super::errno;

/// 0 while the clock runs; otherwise the millisecond at which it was stopped plus one. [shared]
static STANDS_AT: AtomicU64 = AtomicU64::new(0);

/// Stops the clock at this millisecond, until it is set again.
pub(crate) fn set(ms: u64) {
    // ORDERING: relaxed; a thread that does not see the store yet sees a running clock a little longer.
    STANDS_AT.store(ms.saturating_add(1), Ordering::Relaxed);
}

/// Milliseconds since some moment before the process started, late by a few. It has 64 bits, since a process may sleep
/// for longer than 32 bits can count.
pub(crate) fn now_ms() -> u64 {
    // ORDERING: relaxed; a thread that does not see the store of `set` yet sees a running clock a little longer.
    if let Some(ms) = STANDS_AT.load(Ordering::Relaxed).checked_sub(1) {
        return ms;
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // The C library's function needs no system call. A program may replace it by one that allocates and sets `errno`.
    // So no lock is held here, and the calling thread has noted that it looks at the clock.
    // SAFETY: `time` is writable, and Linux has this clock, so the call does not fail.
    errno::kept(|| unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) });
    (time.tv_sec as u64).wrapping_mul(1000).wrapping_add(time.tv_nsec as u64 / 1_000_000)
}

/// The processor's time-stamp counter. It takes a few cycles, and tells if a look at the clock is due. `None` while the
/// clock is stopped.
#[inline]
pub(crate) fn ticks() -> Option<u64> {
    // ORDERING: relaxed; a thread that does not see the store of `set` yet sees a running clock a little longer.
    let stands = STANDS_AT.load(Ordering::Relaxed) != 0;
    // SAFETY: every x86-64 processor has the instruction, and Linux lets programs use it.
    (!stands).then(|| unsafe { core::arch::x86_64::_rdtsc() })
}

/// Milliseconds between two moments; 0 if `from` is the later one, as can happen between threads.
pub(crate) fn since(from: u64, to: u64) -> u64 {
    to.saturating_sub(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_run_backwards() {
        assert_eq!((since(10, 15), since(15, 10)), (5, 0));
        let days = 24 * 3600 * 1000;
        let from = u64::from(u32::MAX) - days;
        assert_eq!(
            [10, 26, 40].map(|n| since(from, from + n * days)),
            [10, 26, 40].map(|n| n * days)
        );
        assert!(since(now_ms(), now_ms()) < 60_000);
    }
}
