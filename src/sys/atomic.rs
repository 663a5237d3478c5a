//! The atomics façade. Modules that a model checker runs import from here, and the model crate
//! (`models/`) compiles the same source files over its own façade.

pub(crate) use core::hint::spin_loop;
pub(crate) use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
