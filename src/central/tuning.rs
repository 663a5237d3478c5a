//! What a program may change while it runs: for `mallopt` of the C face.
//!
//! | number | by default | says |
//! |---|---|---|
//! | `idle_kept` | 0 | bytes that may lie idle before any go back by themselves |
//! | `keeps_mappings` | 0 | 1: what large blocks leave stays with the process |
//! | `filler` | 0 | the byte that freed blocks are filled with, and fresh ones with its complement; 0: neither |
//!
//! Never: read on a hot path.

use crate::sys::atomic::{AtomicU32, AtomicUsize, Ordering};

/// See the module. All of it [shared].
pub(crate) struct Tuning {
    idle_kept: AtomicUsize,
    keeps_mappings: AtomicU32,
    filler: AtomicU32,
}

// ORDERING: relaxed, all of them: a thread that does not see a change yet does a little longer what it did before, and
// nothing else is read because of it.
impl Tuning {
    pub(super) const fn new() -> Self {
        Self {
            idle_kept: AtomicUsize::new(0),
            keeps_mappings: AtomicU32::new(0),
            filler: AtomicU32::new(0),
        }
    }

    pub(super) fn idle_kept(&self) -> usize {
        // ORDERING: relaxed, as said above.
        self.idle_kept.load(Ordering::Relaxed)
    }

    pub(crate) fn keep_idle(&self, bytes: usize) {
        // ORDERING: relaxed, as said above.
        self.idle_kept.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn keeps_mappings(&self) -> bool {
        // ORDERING: relaxed, as said above.
        self.keeps_mappings.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn keep_mappings(&self) {
        // ORDERING: relaxed, as said above.
        self.keeps_mappings.store(1, Ordering::Relaxed);
    }

    pub(crate) fn filler(&self) -> u8 {
        // ORDERING: relaxed, as said above.
        self.filler.load(Ordering::Relaxed) as u8
    }

    pub(crate) fn fill_with(&self, byte: u8) {
        // ORDERING: relaxed, as said above.
        self.filler.store(byte.into(), Ordering::Relaxed);
    }
}
