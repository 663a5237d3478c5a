//! A flag by which other threads tell a slab's owner of their frees.
//!
//! FL1  After the owner has taken the flag, it sees every push whose thread had raised the flag before.
//! FL2  A push after which the flag was raised, and that the owner has not seen, leaves the flag raised.
//!
//! Never: waits.

use crate::sys::atomic::{AtomicBool, Ordering};

pub(crate) struct Flag {
    /// [shared]
    is_raised: AtomicBool,
}

impl Flag {
    /// A flag in this word, which is false. The model checker creates the word.
    pub(crate) const fn over(is_raised: AtomicBool) -> Self {
        Self { is_raised }
    }

    /// Tells the owner, after a push.
    pub(crate) fn raise(&self) {
        // ORDERING: release, paired with the acquire in `take` (FL1). A swap, not a store: two threads may raise the
        // flag, and the owner's swap, which reads one of the two writes, must see the pushes behind both.
        self.is_raised.swap(true, Ordering::Release);
    }

    /// Lowers the flag. True if it was raised. The owner looks at its slabs afterwards, so a later push raises it again
    /// (FL2).
    pub(crate) fn take(&self) -> bool {
        // ORDERING: relaxed look first, to leave the line alone; acquire, paired with the release in `raise` (FL1).
        self.is_raised.load(Ordering::Relaxed) && self.is_raised.swap(false, Ordering::Acquire)
    }
}
