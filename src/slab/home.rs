//! The arena that a slab belongs to, or none.
//!
//! | home | event | becomes |
//! |---|---|---|
//! | none | a free slice becomes a slab | the arena that claims it |
//! | none, all blocks out | a thread brings a block home to its own arena | that arena |
//! | an arena | the arena hands out the last free block | none |
//! | an arena | every block is home, and the slice goes back | none |
//! | an arena | another arena takes the slab over, with both locks held | the other one |
//!
//! HM1  Only a thread that holds an arena's lock of the slab's class makes the arena the slab's home, or changes that.
//! HM2  Whoever makes a slab with no home its own sees all that its last home did to it.
//!
//! With one arena a slab keeps its home while it is one.

use crate::base::ArenaIdx;
use crate::sys::atomic::{AtomicU8, Ordering};

/// The number of a slab's arena, plus one; 0 for none. [shared]
pub(crate) struct Home(AtomicU8);

impl Home {
    /// A home over this number, which is 0: the model checker makes its own.
    #[allow(dead_code, reason = "a segment's bytes are zero, and so are its homes")]
    pub(crate) const fn over(number: AtomicU8) -> Self {
        Self(number)
    }

    /// The arena, if there is one. It may have changed by now, unless the caller holds its lock.
    #[inline]
    pub(crate) fn get(&self) -> Option<ArenaIdx> {
        // ORDERING: relaxed; it says which lock to take, and is looked at again behind that.
        let number = self.0.load(Ordering::Relaxed);
        number.checked_sub(1).map(|index| ArenaIdx::new(index.into()))
    }

    /// True if the slab belongs to the caller's arena, as it does from here on where it had no home. The caller holds
    /// the arena's lock.
    #[inline]
    pub(crate) fn belongs_to(&self, arena: ArenaIdx) -> bool {
        // ORDERING: relaxed; where it is the caller's arena, it became so under the lock that the caller holds (HM1).
        let number = self.0.load(Ordering::Relaxed);
        if number == number_of(arena) {
            return true;
        }
        // ORDERING: acquire, paired with the release in `leave` (HM2); relaxed where another arena was faster.
        number == 0
            && self
                .0
                .compare_exchange(0, number_of(arena), Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
    }

    /// Makes an arena the home of a slab that nobody else can reach. The caller holds the arena's lock, and that of the
    /// last home, if there is one.
    pub(crate) fn set(&self, arena: ArenaIdx) {
        // ORDERING: relaxed; the locks order what was done to the slab before and what is done from here on.
        self.0.store(number_of(arena), Ordering::Relaxed);
    }

    /// Ends the caller's being at home: any arena may take the slab. The caller holds the arena's lock, and touches the
    /// slab no more.
    pub(crate) fn leave(&self) {
        // ORDERING: release, paired with the acquire in `belongs_to` (HM2).
        self.0.store(0, Ordering::Release);
    }
}

const fn number_of(arena: ArenaIdx) -> u8 {
    arena.index() as u8 + 1
}
