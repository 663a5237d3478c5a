//! The arena that a slab belongs to, if any. With one arena a slab keeps its home for as long as it is a slab.
//!
//! | home | event | becomes |
//! |---|---|---|
//! | none | a free slice becomes a slab | the arena that claims the slice |
//! | none, all blocks out | a thread of some arena brings a block home | that arena |
//! | an arena | the arena hands out the last free block | none |
//! | an arena | every block is home, and the slice goes back to the page heap | none |
//! | an arena | another arena takes the slab over, with both locks held | the other arena |
//!
//! HM1  A thread that makes an arena the home of a slab, or ends that, holds the lock of the arena's list of the class.
//! HM2  A thread that makes an arena the home of a homeless slab sees all that the last home did to the slab.

use crate::base::{ArenaIdx, rank};
use crate::sys::atomic::{AtomicU8, Ordering};
use crate::sys::held;

/// The number of a slab's arena plus one, or 0 for no home. [shared]
pub(crate) struct Home(AtomicU8);

impl Home {
    /// A home in this number, which is 0. The model checker creates the number.
    #[allow(dead_code, reason = "a segment's bytes are zero, and so are its homes")]
    pub(crate) const fn over(number: AtomicU8) -> Self {
        Self(number)
    }

    /// The arena, if there is one. It may change at any moment, unless the caller holds the arena's lock.
    #[inline]
    pub(crate) fn get(&self) -> Option<ArenaIdx> {
        // ORDERING: relaxed; the caller reads it to choose a lock, and reads it again with that lock held.
        let number = self.0.load(Ordering::Relaxed);
        number.checked_sub(1).map(|index| ArenaIdx::new(index.into()))
    }

    /// True if the slab belongs to the caller's arena. A slab without a home becomes the arena's first. The caller
    /// holds the arena's lock.
    #[inline]
    pub(crate) fn belongs_to(&self, arena: ArenaIdx) -> bool {
        held::check_rank(rank::CENTRAL_LIST); // Checks HM1.
        // ORDERING: relaxed; if it is the caller's arena, it was set under the lock that the caller holds now (HM1).
        let number = self.0.load(Ordering::Relaxed);
        if number == number_of(arena) {
            return true;
        }
        // ORDERING: acquire, paired with the release in `leave` (HM2); relaxed on failure: another arena has the slab.
        number == 0
            && self
                .0
                .compare_exchange(0, number_of(arena), Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
    }

    /// Makes an arena the home of a slab that no other thread can reach. The caller holds the arena's lock, and the
    /// lock of the last home, if there is one.
    pub(crate) fn set(&self, arena: ArenaIdx) {
        held::check_rank(rank::CENTRAL_LIST); // Checks HM1.
        // ORDERING: relaxed; the locks order the earlier accesses to the slab before the later ones.
        self.0.store(number_of(arena), Ordering::Relaxed);
    }

    /// Leaves the slab without a home, so that any arena may take it. The caller holds the lock of the arena that is
    /// its home, and does not touch the slab afterwards.
    pub(crate) fn leave(&self) {
        held::check_rank(rank::CENTRAL_LIST); // Checks HM1.
        // ORDERING: release, paired with the acquire in `belongs_to` (HM2).
        self.0.store(0, Ordering::Release);
    }
}

const fn number_of(arena: ArenaIdx) -> u8 {
    arena.index() as u8 + 1
}
