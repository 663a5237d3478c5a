//! Time, as coarse as it comes cheapest.

use super::atomic::{AtomicU64, Ordering};

/// 0 while time goes by; else the millisecond at which it stands, plus one. [shared]
static STANDS_AT: AtomicU64 = AtomicU64::new(0);

/// Stops time at this millisecond, until it is set again.
pub(crate) fn set(ms: u32) {
    // ORDERING: relaxed; a thread that does not see it yet sees the time go by a little longer.
    STANDS_AT.store(u64::from(ms) + 1, Ordering::Relaxed);
}

/// Milliseconds since some moment before the process started, a few of them late; wraps after 49 days, so
/// [`since`] is what counts.
pub(crate) fn now_ms() -> u32 {
    // ORDERING: relaxed, as above.
    if let Some(ms) = STANDS_AT.load(Ordering::Relaxed).checked_sub(1) {
        return ms as u32;
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // A program's own function of that name may allocate: who asks has noted before that it has.
    // SAFETY: `time` is writable, and Linux has this clock, so the call does not fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) };
    (time.tv_sec as u32).wrapping_mul(1000).wrapping_add((time.tv_nsec / 1_000_000) as u32)
}

/// Milliseconds from one moment to another; 0 if it is the later one, as two threads may see it.
pub(crate) fn since(from: u32, to: u32) -> u32 {
    (to.wrapping_sub(from) as i32).max(0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_run_backwards() {
        assert_eq!((since(10, 15), since(15, 10)), (5, 0));
        assert_eq!(since(u32::MAX - 1, 3), 5);
        assert!(since(now_ms(), now_ms()) < 60_000);
    }
}
