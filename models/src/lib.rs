//! The library's lock-free structures, and what its locks guard, compiled over loom's atomics.
//!
//! The files are the library's own, by path: they import their atomics from `crate::sys::atomic`,
//! which here is loom's (the lock's are in `locking`). So the library needs no `cfg(loom)`, and what is
//! checked is what ships. The models are ordinary functions, which `tests/` runs: built for test, the
//! files would bring their own unit tests along, and those know no loom.

/// Stands in for the library's façade.
mod sys {
    pub(crate) use crate::locking::lock;

    pub(crate) mod atomic {
        pub(crate) use loom::sync::atomic::{
            AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
        };
    }

    /// A model's thread may do what a lock guards, where the model has a lock of its own.
    pub(crate) mod held {
        pub(crate) fn check_rank(_: u8) {}
    }

    /// A clock that stands.
    pub(crate) mod clock {
        pub(crate) fn since(before: u64, now: u64) -> u64 {
            now - before
        }
    }
}

#[path = "../../src/base.rs"]
#[allow(dead_code, reason = "the models use some of it")]
mod base;
mod central;
#[path = "../../src/sampled/chain.rs"]
#[allow(dead_code, reason = "the models use some of it")]
mod chain;
#[path = "../../src/report/list/claim.rs"]
#[allow(dead_code, reason = "the models use some of it")]
mod claim;
#[path = "../../src/report/list/flag.rs"]
mod flag;
#[path = "../../src/thread_cache/forks.rs"]
mod forks;
#[path = "../../src/slab/home.rs"]
mod home;
#[path = "../../src/sys/installed.rs"]
#[allow(dead_code, reason = "the models use some of it")]
mod installed;
#[path = "../../src/sys/key.rs"]
mod key;
mod locking;
#[path = "../../src/central/numbers.rs"]
mod numbers;
#[path = "../../src/sys/published.rs"]
mod published;
mod registry;
#[path = "../../src/report/list/remote.rs"]
mod remote;
mod stand_ins;
#[path = "../../src/report/list/tagged.rs"]
mod tagged;

use stand_ins::{batch, free_block, free_list, report, stats, variant};

pub mod models;
