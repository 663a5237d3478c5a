//! Settings that a program may change while it runs: for `mallopt` of the C face.
//!
//! | setting | by default | meaning |
//! |---|---|---|
//! | `idle_kept` | 0 | bytes that may lie idle before any go back by themselves |
//! | `keeps_mappings` | 0 | 1: mappings of freed huge blocks stay with the process |
//! | `filler` | 0 | the byte that fills freed blocks, and whose complement fills fresh ones; 0: neither |
//!
//! Never: is read on a hot path.

use crate::sys::atomic::{AtomicU32, AtomicUsize, Ordering};

/// The settings of one variant. Each field is [shared].
pub(crate) struct Tuning {
    idle_kept: AtomicUsize,
    keeps_mappings: AtomicU32,
    filler: AtomicU32,
}

// ORDERING: relaxed, all of them. A thread that does not see a change yet goes on for a little longer as it did before.
// No other data depends on a setting.
impl Tuning {
    pub(super) const fn new() -> Self {
        Self {
            idle_kept: AtomicUsize::new(0),
            keeps_mappings: AtomicU32::new(0),
            filler: AtomicU32::new(0),
        }
    }

    pub(super) fn idle_kept(&self) -> usize {
        // ORDERING: relaxed; a setting, which publishes nothing.
        self.idle_kept.load(Ordering::Relaxed)
    }

    pub(crate) fn keep_idle(&self, bytes: usize) {
        // ORDERING: relaxed; a setting, which publishes nothing.
        self.idle_kept.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn keeps_mappings(&self) -> bool {
        // ORDERING: relaxed; a setting, which publishes nothing.
        self.keeps_mappings.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn keep_mappings(&self) {
        // ORDERING: relaxed; a setting, which publishes nothing.
        self.keeps_mappings.store(1, Ordering::Relaxed);
    }

    pub(crate) fn filler(&self) -> u8 {
        // ORDERING: relaxed; a setting, which publishes nothing.
        self.filler.load(Ordering::Relaxed) as u8
    }

    pub(crate) fn fill_with(&self, byte: u8) {
        // ORDERING: relaxed; a setting, which publishes nothing.
        self.filler.store(byte.into(), Ordering::Relaxed);
    }
}
