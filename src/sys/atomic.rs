//! The atomics façade. Modules that a model checker runs import from here, and the model crate
//! (`models/`) compiles the same source files over its own façade.

pub(crate) use core::hint::spin_loop;
pub(crate) use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};

/// Looks at a lock before a thread waits in the kernel: about as long as the longest hold that moves no
/// pages. Here, because a model checker does with fewer.
pub(crate) const SPINS: u32 = 100;
