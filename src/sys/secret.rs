//! A number that no other process knows, and pseudo-random numbers.
//!
//! Never: locks, allocates, or fails.

use super::atomic::{AtomicU64, Ordering};
use super::{errno, kernel};
use core::cell::Cell;

/// An odd number with bits all over, the golden ratio's, for products whose high bits depend on all bits.
pub(crate) const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// The process's secret; 0 until it is chosen. A child of a fork has its parent's.
static SECRET: AtomicU64 = AtomicU64::new(0);

/// The process's secret; 0 before a thread has called [`choose`].
#[inline(always)]
pub(crate) fn secret() -> u64 {
    // ORDERING: relaxed; the number publishes nothing, and never changes once it is set. A thread that has called
    // `choose`, or has a block from one that has, reads it.
    SECRET.load(Ordering::Relaxed)
}

/// Chooses the process's secret, unless that was done. It is not 0 then.
#[cold]
#[inline(never)]
pub(crate) fn choose() {
    if secret() == 0 {
        settle(errno::kept(fresh) | 1);
    }
}

/// Makes this number the secret, unless another thread was first.
fn settle(fresh: u64) {
    // ORDERING: relaxed; the threads agree on the number of the first, and it publishes nothing.
    let _ = SECRET.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed);
}

/// Random bits from the kernel. Early after a boot it has none yet; then the addresses of stack and code must do, which
/// the kernel chose at random.
fn fresh() -> u64 {
    let mut bits = 0_u64;
    let here = (&raw mut bits).expose_provenance();
    let arguments = [here, size_of::<u64>(), libc::GRND_NONBLOCK as usize, 0, 0, 0];
    // SAFETY: the call writes to `bits` alone, which has that many bytes.
    let written = unsafe { kernel::call(libc::SYS_getrandom, arguments) };
    if written == Some(size_of::<u64>()) {
        return bits;
    }
    let code = (fresh as fn() -> u64 as *const ()).addr();
    (here as u64).wrapping_mul(SPREAD) ^ (code as u64).rotate_left(32).wrapping_mul(SPREAD)
}

/// A generator of pseudo-random numbers: the high bits of a linear congruential one, with Knuth's constants (MMIX). Zero
/// bytes are one that is not seeded yet. What it places shows nothing of the secret.
pub(crate) struct Random(Cell<u64>);

const FACTOR: u64 = 6_364_136_223_846_793_005;
const STEP: u64 = 1_442_695_040_888_963_407;

impl Random {
    pub(crate) const fn new() -> Self {
        Self(Cell::new(0))
    }

    /// Seeds the generator, unless that was done.
    #[cold]
    pub(crate) fn seed(&self) {
        if self.0.get() == 0 {
            self.0.set(errno::kept(fresh));
        }
    }

    /// A number below `end`, which is above 0 and below 2^32. Without a seed it is one that others can guess.
    #[inline(always)]
    pub(crate) fn below(&self, end: usize) -> usize {
        let state = self.0.get().wrapping_mul(FACTOR).wrapping_add(STEP);
        self.0.set(state);
        (((state >> 32) * end as u64) >> 32) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_secret_and_numbers_all_over() {
        choose();
        let first = secret();
        choose();
        // A thread that chose one at the same time.
        settle(!first);
        assert!(first != 0 && secret() == first);
        assert_ne!(fresh(), fresh());
        let random = Random::new();
        random.seed();
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            seen[random.below(10)] += 1;
        }
        assert!(seen.iter().all(|&count| (700..1300).contains(&count)), "{seen:?}");
    }
}
