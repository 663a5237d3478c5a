//! A lock that takes one word, waits in the kernel, and can be held across a fork.
//!
//! | word | means | lock | unlock |
//! |---|---|---|---|
//! | 0 | free | 1 | – |
//! | 1 | held | 2, and wait | 0 |
//! | 2 | held, and a thread may wait | 2, and wait | 0, and wake one |
//!
//! An unlock is one swap. It sees every thread that came to wait before it, and every thread that comes after it finds
//! the lock free. Each unlock wakes at most one thread, so its cost does not depend on how many wait.
//!
//! U1  Between a `lock` and the next `unlock` no other `lock` returns.
//! U2  While a thread waits in the kernel, the word is 2, or a woken thread is about to make it 2. So the next unlock
//!     wakes another thread, and no thread needs to poll.
//!
//! U3  A thread that waits for a lock holds none of the lock's rank or of a higher one. So no two threads wait for each
//!     other. Debug builds check this (`held.rs`).
//!
//! Source: Ulrich Drepper, "Futexes Are Tricky", its second mutex.
//! Never: allocates, or panics.

use super::atomic::{AtomicU32, Ordering, SPINS, spin_loop};
use super::futex;
use super::held::Holder;

const FREE: u32 = 0;
const HELD: u32 = 1;
const AWAITED: u32 = 2;

/// A lock in one word, of a rank in the order of locks. All bytes of a free lock are zero.
pub(crate) struct Lock<const RANK: u8> {
    word: AtomicU32,
    /// Nothing in a release build.
    holder: Holder<RANK>,
}

impl<const RANK: u8> Lock<RANK> {
    /// A lock in this word, which is 0. The model checker creates the word.
    pub(crate) const fn over(word: AtomicU32) -> Self {
        Self { word, holder: Holder::new() }
    }

    /// Waits until the lock is free, and takes it. The caller holds no lock of this rank or of a higher one (U3).
    #[inline]
    pub(crate) fn lock(&self) {
        self.holder.check_order(RANK);
        self.wait();
    }

    /// As [`lock`](Self::lock), for a thread that takes all locks of a rank in their order. It may hold some of them.
    #[inline]
    pub(crate) fn lock_in_turn(&self) {
        self.holder.check_order(RANK + 1);
        self.wait();
    }

    #[inline]
    fn wait(&self) {
        if !take(&self.word) {
            wait_cold(&self.word);
        }
        self.holder.note_taken();
    }

    /// Takes the lock if it is free.
    #[inline]
    pub(crate) fn try_lock(&self) -> bool {
        let is_taken = take(&self.word);
        if is_taken {
            self.holder.note_taken();
        }
        is_taken
    }

    /// Gives the lock up. The caller holds it, or it is the copy, made by a fork, of a lock that the forking thread
    /// held.
    #[inline]
    pub(crate) fn unlock(&self) {
        self.holder.note_given_up();
        // ORDERING: release, paired with the acquire in `take` and `wait_cold`.
        if self.word.swap(FREE, Ordering::Release) == AWAITED {
            wake_cold(&self.word);
        }
    }

    /// True if a thread may wait for the lock.
    #[cfg(test)]
    pub(crate) fn is_awaited(&self) -> bool {
        // ORDERING: relaxed; a look, which publishes nothing.
        self.word.load(Ordering::Relaxed) == AWAITED
    }

    /// Ends a debug build unless this thread holds the lock.
    #[inline]
    pub(crate) fn check_held(&self) {
        self.holder.check_held();
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

#[inline]
fn take(word: &AtomicU32) -> bool {
    // ORDERING: acquire, paired with the release in `unlock`: what the last holder did comes before what this one does.
    word.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
}

#[cold]
#[inline(never)]
fn wait_cold(word: &AtomicU32) {
    for _ in 0..SPINS {
        // ORDERING: relaxed; only a hint, which the compare-and-swap confirms.
        if word.load(Ordering::Relaxed) == FREE && take(word) {
            return;
        }
        spin_loop();
    }
    // ORDERING: acquire, paired with the release in `unlock`. It leaves 2 behind even if no other thread waits: an
    // unneeded wake is harmless.
    while word.swap(AWAITED, Ordering::Acquire) != FREE {
        futex::wait(word, AWAITED);
    }
}

#[cold]
#[inline(never)]
fn wake_cold(word: &AtomicU32) {
    futex::wake_one(word);
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    struct Counted {
        lock: Lock<1>,
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
