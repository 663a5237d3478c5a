//! A lock that takes one word, waits in the kernel, and can be held across a fork.
//!
//! | word | means | lock | unlock |
//! |---|---|---|---|
//! | 0 | free | 1 | – |
//! | 1 | held | 2, and wait | 0 |
//! | 2 | held, and someone may wait | 2, and wait | 0, and wake one |
//!
//! Giving the lock up is a look and a store, no read-modify-write. A thread that comes to wait between
//! the two is not woken; it looks again by itself after a millisecond. That needs the holder to be
//! interrupted between two instructions for as long as the waiter takes to reach the kernel.
//!
//! U1  Between a `lock` and the next `unlock` no other `lock` returns.
//! U2  No waiter waits longer than a millisecond without a look, so none is forgotten.
//!
//! Source: Ulrich Drepper, "Futexes Are Tricky", its second mutex, but for the unlock.
//! Never: allocates, or panics.

use super::atomic::{AtomicU32, Ordering, SPINS, spin_loop};
use super::futex;

const FREE: u32 = 0;
const HELD: u32 = 1;
const AWAITED: u32 = 2;

/// See the module. All bytes zero is a free lock.
pub(crate) struct Lock {
    word: AtomicU32,
}

impl Lock {
    /// A lock over this word, which is 0: the model checker makes its own.
    pub(crate) const fn over(word: AtomicU32) -> Self {
        Self { word }
    }

    /// Waits until the lock is free, and takes it.
    #[inline]
    pub(crate) fn lock(&self) {
        if !self.try_lock() {
            self.lock_cold();
        }
    }

    /// Takes the lock if it is free.
    #[inline]
    pub(crate) fn try_lock(&self) -> bool {
        // ORDERING: acquire, paired with the release in `unlock`: what the last holder did comes
        // before what this one does.
        self.word.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[cold]
    #[inline(never)]
    fn lock_cold(&self) {
        for _ in 0..SPINS {
            // ORDERING: relaxed; a look, confirmed by the compare-and-swap.
            if self.word.load(Ordering::Relaxed) == FREE && self.try_lock() {
                return;
            }
            spin_loop();
        }
        // ORDERING: acquire, as in `try_lock`. It leaves 2 behind, whether or not someone else waits: a wake
        // too many is harmless.
        while self.word.swap(AWAITED, Ordering::Acquire) != FREE {
            futex::wait(&self.word, AWAITED);
        }
    }

    /// Gives the lock up, which the caller holds, or which a fork copied held by its caller.
    #[inline]
    pub(crate) fn unlock(&self) {
        // ORDERING: relaxed; whether to wake is all it says.
        let awaited = self.word.load(Ordering::Relaxed) == AWAITED;
        // ORDERING: release, paired with the acquire in `try_lock` and `lock_cold`.
        self.word.store(FREE, Ordering::Release);
        if awaited {
            futex::wake_one(&self.word);
        }
    }

    /// Runs `action` with the lock held.
    #[inline]
    pub(crate) fn with<R>(&self, action: impl FnOnce() -> R) -> R {
        self.lock();
        let result = action();
        self.unlock();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    struct Counted {
        lock: Lock,
        count: Cell<u32>,
    }

    // SAFETY: `count` is touched with the lock held only.
    unsafe impl Sync for Counted {}

    #[test]
    fn threads_take_turns() {
        let counted = Counted { lock: Lock::over(AtomicU32::new(0)), count: Cell::new(0) };
        let counted = &counted;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || {
                    for _ in 0..5000 {
                        counted.lock.with(|| counted.count.set(counted.count.get() + 1));
                    }
                });
            }
        });
        assert_eq!(counted.count.get(), 20_000);
        assert!(counted.lock.try_lock() && !counted.lock.try_lock());
    }
}
