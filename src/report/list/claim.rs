//! Offers that exactly one thread wins. The thread that offers a thing sets its bit, and the thread that clears the bit
//! gets the thing.
//!
//! | bit | event | becomes |
//! |---|---|---|
//! | 0 | `offer`, by the one thread that holds the thing | 1 |
//! | 1 | `claim`, by any number of threads: one of them gets `true` | 0 |
//!
//! M1  Between two offers of a bit, exactly one claim of it succeeds.
//!
//! Never: waits.

use crate::sys::atomic::{AtomicU32, Ordering};

/// A word of offers. All bytes are zero if nothing is on offer.
pub(crate) struct ClaimMask {
    bits: AtomicU32,
}

impl ClaimMask {
    /// A mask with these offers.
    #[cfg_attr(not(test), allow(dead_code, reason = "fresh pages are masks already"))]
    pub(crate) const fn over(bits: AtomicU32) -> Self {
        Self { bits }
    }

    /// Offers the things whose bits are set.
    pub(crate) fn offer(&self, bits: u32) {
        // ORDERING: release, paired with the acquire in `claim`: what was done to the thing before
        // the offer comes before what the winner does.
        let before = self.bits.fetch_or(bits, Ordering::Release);
        debug_assert_eq!(before & bits, 0, "M1: offered twice");
    }

    /// A snapshot of the offers. A later [`claim`](Self::claim) may fail.
    #[inline]
    pub(crate) fn peek(&self) -> u32 {
        // ORDERING: relaxed; a hint, confirmed by `claim`.
        self.bits.load(Ordering::Relaxed)
    }

    /// Takes up an offer; true for exactly one of the threads that try.
    pub(crate) fn claim(&self, bit: u32) -> bool {
        // ORDERING: acquire, paired with the release in `offer`; claims of other bits in between
        // are read-modify-writes, hence in its release sequence.
        self.bits.fetch_and(!bit, Ordering::Acquire) & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_claimed_once() {
        let mask = ClaimMask::over(AtomicU32::new(0));
        mask.offer(0b1010);
        assert!(mask.claim(0b0010));
        assert!(!mask.claim(0b0010));
        assert!(!mask.claim(0b0001));
        assert_eq!(mask.peek(), 0b1000);
    }
}
