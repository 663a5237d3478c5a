//! The atomics façade. Modules that a model checker runs import from here, and the model crate
//! (`models/`) compiles the same source files over its own façade.

pub(crate) use core::hint::spin_loop;
pub(crate) use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};

/// How often a thread reads a held lock before it waits in the kernel: about as long as the longest hold that moves no
/// pages. It is defined here because a model checker uses a smaller number.
pub(crate) const SPINS: u32 = 100;
