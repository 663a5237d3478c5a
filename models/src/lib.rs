//! The library's lock-free structures, compiled over loom's atomics.
//!
//! The files are the library's own, by path: they import their atomics from `crate::sys::atomic`,
//! which here is loom's. So the library needs no `cfg(loom)`, and what is checked is what ships. The models are
//! ordinary functions, which `tests/` runs: built for test, the files would bring their own unit tests
//! along, and those know no loom.

/// Stands in for the library's façade.
mod sys {
    pub(crate) mod atomic {
        pub(crate) use loom::hint::spin_loop;
        pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

        /// Enough to come by every line; the wait is reached too.
        pub(crate) const SPINS: u32 = 1;
    }

    /// Every wait ends by itself, as the library's do after a millisecond; so nobody need be woken.
    pub(crate) mod futex {
        use super::atomic::{AtomicU32, Ordering};

        pub(crate) fn wait(word: &AtomicU32, value: u32) {
            // ORDERING: relaxed; the caller looks again by a read-modify-write.
            if word.load(Ordering::Relaxed) == value {
                loom::thread::yield_now();
            }
        }

        pub(crate) fn wake_one(_word: &AtomicU32) {}
    }
}

// The lock finds these beside itself, by `super`.
use sys::{atomic, futex};

#[path = "../../src/list/claim.rs"]
#[allow(dead_code, reason = "the models use some of it")]
mod claim;
#[path = "../../src/sys/lock.rs"]
mod lock;
#[path = "../../src/list/remote.rs"]
mod remote;
#[path = "../../src/list/tagged.rs"]
mod tagged;

pub mod models;
