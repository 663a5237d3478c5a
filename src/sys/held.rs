//! The holder of a lock, and the locks that a thread holds, by rank: debug builds check both.
//!
//! | call | in a debug build, ends the process unless |
//! |---|---|
//! | `check_order` | the thread holds no lock of the rank or of a higher one (U3) |
//! | `note_given_up`, `check_held` | the thread holds the lock |
//! | `check_rank` | the thread holds some lock of the rank |
//!
//! A release build has none of this: the words of a [`Holder`] are an array of length 0. The only thread of a child after
//! a fork inherits the C library's number of the forking thread, so the copies of its locks are its own.
//!
//! Never: waits, or allocates.

use super::atomic::{AtomicU32, Ordering};
use super::thread;
use core::cell::Cell;

/// Words of a holder: one in debug builds.
const WORDS: usize = cfg!(debug_assertions) as usize;

/// Ranks that locks may have: 0 to `RANKS - 1`.
const RANKS: usize = 16;

std::thread_local! {
    /// Locks that this thread holds, by rank.
    static HELD: [Cell<u16>; RANKS] = const { [const { Cell::new(0) }; RANKS] };
}

/// The thread that holds a lock of a rank. All bytes are zero while no thread holds it.
pub(super) struct Holder<const RANK: u8>([AtomicU32; WORDS]);

impl<const RANK: u8> Holder<RANK> {
    pub(super) const fn new() -> Self {
        Self([const { AtomicU32::new(0) }; WORDS])
    }

    /// Checks that the thread holds no lock of `from` or of a higher rank.
    #[inline]
    pub(super) fn check_order(&self, from: u8) {
        if cfg!(debug_assertions) {
            let held = HELD.with(|held| held.iter().rposition(|count| count.get() > 0));
            let is_higher = held.is_none_or(|rank| rank < from.into());
            assert!(is_higher, "U3: a lock of rank {RANK} after one of rank {held:?}");
        }
    }

    #[inline]
    pub(super) fn note_taken(&self) {
        if cfg!(debug_assertions) {
            self.set(number());
            HELD.with(|held| held[usize::from(RANK)].update(|count| count.saturating_add(1)));
        }
    }

    #[inline]
    pub(super) fn note_given_up(&self) {
        if cfg!(debug_assertions) {
            self.check_held();
            self.set(0);
            HELD.with(|held| held[usize::from(RANK)].update(|count| count.saturating_sub(1)));
        }
    }

    /// Checks that this thread holds the lock.
    #[inline]
    pub(super) fn check_held(&self) {
        // ORDERING: relaxed; only a thread's own number is as good as its own.
        let holds = |word: &AtomicU32| word.load(Ordering::Relaxed) == number();
        debug_assert!(self.0.iter().all(holds), "U1: a lock of rank {RANK} is not held");
    }

    fn set(&self, holder: u32) {
        for word in &self.0 {
            // ORDERING: relaxed; a thread compares the number with its own, which it stored itself.
            word.store(holder, Ordering::Relaxed);
        }
    }
}

/// Checks that this thread holds a lock of a rank.
#[inline]
pub(crate) fn check_rank(rank: u8) {
    debug_assert!(
        HELD.with(|held| held[usize::from(rank)].get() > 0),
        "U1: no lock of rank {rank} is held"
    );
}

/// Forgets the ranks of this thread's locks, before a fork: the locks of another variant are not in one order with its
/// own.
pub(crate) fn forget_ranks() {
    if cfg!(debug_assertions) {
        HELD.with(|held| held.iter().for_each(|count| count.set(0)));
    }
}

/// A number of this thread that is not 0. Two threads may have the same one, if their numbers differ by far.
fn number() -> u32 {
    (thread::handle() >> 6) as u32 | 1 << 31
}

#[cfg(test)]
mod tests {
    use super::super::atomic::AtomicU32;
    use super::super::lock::Lock;
    use super::check_rank;

    fn panics(action: impl FnOnce() + Send) -> bool {
        std::thread::scope(|scope| scope.spawn(action).join()).is_err()
    }

    #[test]
    fn a_debug_build_sees_a_wrong_order_and_a_lock_that_is_not_held() {
        let (low, high) = (Lock::<1>::over(AtomicU32::new(0)), Lock::<2>::over(AtomicU32::new(0)));
        let (low, high) = (&low, &high);
        assert!(!panics(|| low.with(|| high.with(|| (low.check_held(), check_rank(1))).0)));
        if cfg!(debug_assertions) {
            let other = Lock::<2>::over(AtomicU32::new(0));
            assert!(panics(|| high.with(|| low.lock())));
            let other = &other;
            assert!(panics(|| other.with(|| other.lock())));
            assert!(panics(|| low.check_held()) && panics(|| check_rank(1)));
            assert!(panics(|| low.unlock()));
            low.with(|| assert!(panics(|| low.check_held())));
        }
    }

    #[test]
    fn a_release_build_has_no_holder() {
        let bytes = if cfg!(debug_assertions) { 8 } else { 4 };
        assert_eq!((size_of::<Lock<0>>(), align_of::<Lock<0>>()), (bytes, 4));
    }
}
