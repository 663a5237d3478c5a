//! A round of purging: where it is, and what its steps may cost.
//!
//! ```text
//!  begun ──▶ step ──▶ step ──▶ … ──▶ ended      budget of a step = milliseconds since the last × `PER_MS`,
//!                                               `MOST` at most
//! ```
//!
//! A busy program thus spends a bounded part of its time on purging. A program that allocates once a second gives back
//! as much memory as one malloc has the time for.
//!
//! RD1  Only the thread that has the round's lock touches the round. It takes that lock before any other but that of
//!      the cache pool.
//!
//! Never: purges anything itself.

use super::ListId;
use crate::base::rank;
use crate::sys::atomic::AtomicU32;
use crate::sys::lock::Lock;
use core::cell::Cell;

/// Cost of a look at a slab or a segment, which is a few cache misses.
pub(super) const PER_LOOK: usize = 4;
/// Cost of a system call, and of a page that it gives back, in the unit of `PER_LOOK`.
pub(super) const PER_CALL: usize = 8;
const PER_PAGE: usize = 3;
/// Cost that a step may have for each millisecond since the step before: less than a tenth of that time.
pub(super) const PER_MS: u64 = 1024;
/// Cost that a step may have at most: a few milliseconds.
pub(super) const MOST: u64 = 40 * 1024;

/// The place where a round is.
#[derive(Clone, Copy)]
pub(super) enum Stage {
    Done,
    List(ListId),
    Slices,
}

/// The state of the rounds (RD1).
pub(crate) struct Round {
    /// Guards all fields below.
    pub(super) lock: Lock<{ rank::ROUND }>,
    pub(super) stage: Cell<Stage>,
    /// Slabs or segments that this stage has still to visit; `None` before it begins.
    pub(super) left: Cell<Option<u32>>,
    /// Bytes that wait in slabs that are mostly free, as this round saw them.
    pub(super) waiting: Cell<usize>,
    /// Rounds that have ended since a thread last saw much memory wait.
    pub(super) unseen: Cell<u32>,
    /// The time when the round began, and the time of the last step, in milliseconds.
    pub(super) began_at: Cell<u64>,
    pub(super) stepped_at: Cell<u64>,
}

// SAFETY: the thread that holds the lock is the only one to touch the other fields (RD1).
unsafe impl Sync for Round {}

impl Round {
    pub(super) const fn new() -> Self {
        Self {
            lock: Lock::over(AtomicU32::new(0)),
            stage: Cell::new(Stage::Done),
            left: Cell::new(None),
            waiting: Cell::new(0),
            unseen: Cell::new(0),
            began_at: Cell::new(0),
            stepped_at: Cell::new(0),
        }
    }

    pub(super) fn enter(&self, stage: Stage) {
        self.lock.check_held();
        self.stage.set(stage);
        self.left.set(None);
    }
}

/// The terms of a purge.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    pub(super) now: u64,
    /// Milliseconds for which memory must have been unused to go back.
    pub(super) delay: u64,
    /// True if everything is to go back; then the purge waits for locks.
    pub(super) all: bool,
}

/// The cost that a step may still have.
pub(super) struct Budget(pub(super) usize);

impl Budget {
    /// A budget for memory that goes back whatever it costs.
    pub(super) const fn unbounded() -> Self {
        Self(usize::MAX)
    }

    pub(super) fn spend(&mut self, cost: usize) {
        self.0 = self.0.saturating_sub(cost);
    }

    /// Spends the cost of one call that gives so many pages back.
    pub(super) fn spend_pages(&mut self, pages: usize) {
        self.spend(PER_CALL + pages * PER_PAGE);
    }

    pub(super) fn is_spent(&self) -> bool {
        self.0 == 0
    }
}
