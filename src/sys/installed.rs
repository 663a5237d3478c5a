//! Whether a thing of the whole process was installed: by one thread, once.
//!
//! | state | event | becomes |
//! |---|---|---|
//! | [`NONE`] | a thread begins to install it | [`BUSY`] |
//! | [`BUSY`] | the thread has installed it, or has failed | [`INSTALLED`], or [`NONE`] |
//! | [`INSTALLED`] | it is removed, while no other thread is at work | [`NONE`] |
//!
//! IS1  One thread at a time installs, and none once it is installed.
//! IS2  A thread that learns that it is installed sees everything that the installing thread wrote before.
//!
//! Never: waits.

use crate::sys::atomic::{AtomicU32, Ordering};

/// The state. [shared]
pub(crate) struct Installed(AtomicU32);

const NONE: u32 = 0;
const BUSY: u32 = 1;
const INSTALLED: u32 = 2;

impl Installed {
    /// The state in this number, which is 0. The model checker creates it.
    pub(crate) const fn over(state: AtomicU32) -> Self {
        Self(state)
    }

    /// Installs by `action`, which returns false where it fails, unless that was done. False if it failed, or if another
    /// thread is at it.
    pub(crate) fn install(&self, action: impl FnOnce() -> bool) -> bool {
        // ORDERING: acquire on failure, paired with the release below (IS2). Acquire on success, too: a thread that tries
        // again sees what one that failed left.
        match self.0.compare_exchange(NONE, BUSY, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) => {}
            Err(state) => return state == INSTALLED,
        }
        let is_done = action();
        // ORDERING: release, paired with the acquires above and in `is_installed`.
        self.0.store(if is_done { INSTALLED } else { NONE }, Ordering::Release);
        is_done
    }

    /// True if it was installed.
    pub(crate) fn is_installed(&self) -> bool {
        // ORDERING: acquire, paired with the release in `install` (IS2).
        self.0.load(Ordering::Acquire) == INSTALLED
    }

    /// Notes that it was removed. No other thread is at work.
    pub(crate) fn note_removed(&self) {
        // ORDERING: relaxed; no other thread is at work.
        self.0.store(NONE, Ordering::Relaxed);
    }
}
