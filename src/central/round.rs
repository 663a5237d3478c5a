//! A round of purging: where it is, and what its steps may cost.
//!
//! ```text
//!  begun ──▶ step ──▶ step ──▶ … ──▶ ended      budget of a step = milliseconds since the last × `PER_MS`,
//!                                               `MOST` at most
//! ```
//!
//! A busy program thus spends a bounded part of its time on purging. A program that allocates once a second gives back as
//! much as one malloc may take the time for.
//!
//! RD1  Only the thread that has the round's lock touches the round. It takes that lock before any other but that of the
//!      cache pool.
//!
//! Never: purges anything itself.

use super::ListId;
use crate::sys::atomic::AtomicU32;
use crate::sys::lock::Lock;
use core::cell::Cell;

/// What a look at a slab or a segment costs: mostly a few cache misses.
pub(super) const PER_LOOK: usize = 4;
/// What a system call costs, and a page that it takes, in the same unit.
pub(super) const PER_CALL: usize = 8;
const PER_PAGE: usize = 3;
/// What a step may cost for each millisecond since the last one: less than a tenth of it.
pub(super) const PER_MS: u64 = 1024;
/// What a step may cost at most: a few milliseconds.
pub(super) const MOST: u64 = 40 * 1024;

/// Where a round is.
#[derive(Clone, Copy)]
pub(super) enum Stage {
    Done,
    List(ListId),
    Slices,
}

/// How far the rounds have come (RD1).
pub(crate) struct Round {
    /// Guards all that follows.
    pub(super) lock: Lock,
    pub(super) stage: Cell<Stage>,
    /// What this stage has still to look at; `None` where it has not begun.
    pub(super) left: Cell<Option<u32>>,
    /// Bytes seen that wait for their time, in slabs that are mostly free.
    pub(super) waiting: Cell<usize>,
    /// Rounds that have ended since one in which much was seen to wait.
    pub(super) unseen: Cell<u32>,
    /// When the round began, and when the last step was made, in milliseconds.
    pub(super) began_at: Cell<u64>,
    pub(super) stepped_at: Cell<u64>,
}

// SAFETY: all fields but the lock are touched with the lock held.
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
        self.stage.set(stage);
        self.left.set(None);
    }
}

/// What is given back.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    pub(super) now: u64,
    /// Milliseconds for which it was not used.
    pub(super) delay: u64,
    /// Whether that is all there is: then locks are waited for.
    pub(super) all: bool,
}

/// What a step may still cost.
pub(super) struct Budget(pub(super) usize);

impl Budget {
    /// For what is given back whatever it costs.
    pub(super) const fn unbounded() -> Self {
        Self(usize::MAX)
    }

    pub(super) fn spend(&mut self, cost: usize) {
        self.0 = self.0.saturating_sub(cost);
    }

    /// For so many pages, given back by one call.
    pub(super) fn spend_pages(&mut self, pages: usize) {
        self.spend(PER_CALL + pages * PER_PAGE);
    }

    pub(super) fn is_spent(&self) -> bool {
        self.0 == 0
    }
}
