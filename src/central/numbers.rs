//! Numbers that threads take, each by one thread at a time, and give back.
//!
//! EM1  A bit is set exactly while its number is taken: by one thread.
//! EM2  `count` is the number of set bits, or more while a thread takes a number or gives one back. A child of a fork
//!      does without the numbers of threads that it caught there.
//!
//! Never: locks, or touches memory that a number stands for.

use crate::sys::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A set of `64 * WORDS` numbers.
pub(super) struct Numbers<const WORDS: usize> {
    /// The word that the last search ended with. [shared]
    hint: AtomicUsize,
    /// How many are taken, or are about to be (EM2). [shared]
    count: AtomicUsize,
    /// A bit for each number (EM1). [shared]
    taken: [AtomicU64; WORDS],
}

// ORDERING: relaxed in all of it: there is no memory behind a number that a thread could read.
impl<const WORDS: usize> Numbers<WORDS> {
    /// A set in these words, which are 0. The model checker creates them.
    pub(super) const fn over(
        hint: AtomicUsize,
        count: AtomicUsize,
        taken: [AtomicU64; WORDS],
    ) -> Self {
        Self { hint, count, taken }
    }

    /// Takes a number. `None` if all are taken.
    pub(super) fn take(&self) -> Option<usize> {
        // The count is too high for a moment where it is taken back below.
        if self.count.fetch_add(1, Ordering::Relaxed) >= 64 * WORDS {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let hint = self.hint.load(Ordering::Relaxed);
        for at in (0..WORDS).map(|word| (hint + word) % WORDS) {
            let word = self.taken.get(at)?;
            let mut bits = word.load(Ordering::Relaxed);
            while bits != u64::MAX {
                let bit = bits.trailing_ones() as usize;
                let more = bits | 1 << bit;
                match word.compare_exchange(bits, more, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => {
                        self.hint.store(at, Ordering::Relaxed);
                        return Some(64 * at + bit);
                    }
                    Err(now) => bits = now,
                }
            }
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
        None
    }

    /// Gives a number back. False if it was not taken.
    pub(super) fn give(&self, number: usize) -> bool {
        let Some(word) = self.taken.get(number / 64) else { return false };
        let bit = 1 << (number % 64);
        let was = word.fetch_and(!bit, Ordering::Relaxed) & bit != 0;
        if was {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        was
    }

    /// True if a number is taken. A caller that has it took it itself, or got it from the thread that did.
    pub(super) fn has(&self, number: usize) -> bool {
        let word = self.taken.get(number / 64);
        word.is_some_and(|word| word.load(Ordering::Relaxed) >> (number % 64) & 1 == 1)
    }
}
