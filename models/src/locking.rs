//! The library's lock, and what it finds beside itself there.

pub(crate) mod atomic {
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::Ordering;
    use std::sync::atomic::AtomicU32 as Unwatched;

    /// Enough to come by every line, the wait's too.
    pub(crate) const SPINS: u32 = 1;

    /// Loom's, but a store comes after all that was written before it. Loom would let a waiter swap past
    /// it for ever, where a processor shows it in the end. No outcome is lost: what else writes the word
    /// reads it in the same operation, so an order in which it comes sooner is another run.
    pub(crate) struct AtomicU32 {
        word: loom::sync::atomic::AtomicU32,
        waits: Unwatched,
    }

    impl AtomicU32 {
        pub(crate) fn new(value: u32) -> Self {
            Self { word: loom::sync::atomic::AtomicU32::new(value), waits: Unwatched::new(0) }
        }

        pub(crate) fn load(&self, order: Ordering) -> u32 {
            self.word.load(order)
        }

        pub(crate) fn store(&self, value: u32, order: Ordering) {
            self.word.swap(value, order);
        }

        pub(crate) fn swap(&self, value: u32, order: Ordering) -> u32 {
            self.word.swap(value, order)
        }

        pub(crate) fn compare_exchange(
            &self,
            current: u32,
            new: u32,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u32, u32> {
            self.word.compare_exchange(current, new, success, failure)
        }

        /// How many waits there were before this one, in all threads.
        pub(super) fn count_wait(&self) -> u32 {
            // ORDERING: relaxed; loom runs its threads one at a time.
            self.waits.fetch_add(1, Ordering::Relaxed)
        }
    }
}

/// Every wait ends by itself, as the library's does after a millisecond, so nobody need be woken.
mod futex {
    use super::atomic::{AtomicU32, Ordering};

    /// Past so many waits a run goes on in one order only, a fair one: else two that wait take turns for ever.
    const WAITS: u32 = 4;

    pub(super) fn wait(word: &AtomicU32, value: u32) {
        // ORDERING: relaxed; a look, and the caller's swap follows it.
        if word.load(Ordering::Relaxed) == value {
            if word.count_wait() >= WAITS {
                loom::skip_branch();
            }
            loom::thread::yield_now();
        }
    }

    pub(super) fn wake_one(_word: &AtomicU32) {}
}

#[path = "../../src/sys/lock.rs"]
pub(crate) mod lock;
