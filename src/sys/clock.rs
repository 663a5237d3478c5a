//! Time, as coarse as it comes cheapest.

/// Milliseconds since some moment before the process started; wraps after 49 days, so differences are
/// what counts. A few milliseconds late.
pub(crate) fn now_ms() -> u32 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable, and Linux has this clock, so the call does not fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) };
    (time.tv_sec as u32).wrapping_mul(1000).wrapping_add((time.tv_nsec / 1_000_000) as u32)
}
