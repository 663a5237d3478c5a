//! The library's lock-free structures, compiled over loom's atomics.
//!
//! The files are the library's own, by path: they import their atomics from `crate::sys::atomic`,
//! which here is loom's (the lock's are in `locking`). So the library needs no `cfg(loom)`, and what is
//! checked is what ships. The models are ordinary functions, which `tests/` runs: built for test, the
//! files would bring their own unit tests along, and those know no loom.

/// Stands in for the library's façade.
mod sys {
    pub(crate) mod atomic {
        pub(crate) use loom::sync::atomic::{
            AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering,
        };
    }
}

#[path = "../../src/base.rs"]
#[allow(dead_code, reason = "the models use some of it")]
mod base;
#[path = "../../src/report/list/claim.rs"]
#[allow(dead_code, reason = "the models use some of it")]
mod claim;
#[path = "../../src/slab/home.rs"]
mod home;
#[path = "../../src/page_map/leaf.rs"]
#[allow(dead_code, reason = "the models use some of it")]
mod leaf;
mod locking;
#[path = "../../src/report/list/remote.rs"]
mod remote;
#[path = "../../src/report/list/tagged.rs"]
mod tagged;

pub mod models;
