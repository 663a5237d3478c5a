//! hakmem: a general-purpose memory allocator whose every design decision is a compile-time switch
//! with a measured price.
//!
//! ```
//! #[global_allocator]
//! static A: hakmem::Hakmem = hakmem::Hakmem;
//!
//! fn main() {
//!     let words: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
//!     assert_eq!(words.concat().len(), 2890);
//! }
//! ```
//!
//! [`Hakmem`] is one *variant* of the allocator. Each variant is a type of its own, stamped from a
//! file in `variants/`, one decision away from its parent; several can live in one process. A Cargo
//! feature of the same name makes a variant available and selects it.
//!
//! # Layers
//!
//! A module imports only from the rows above its own; `tests/layers.rs` reads the `use` lines.
//!
//! | | module | owns |
//! |---|---|---|
//! | 0 | `base` | sizes, indices in range by construction, bits |
//! | 1 | `sys` | the OS: pages, thread slot, thread exit, fatal errors, the system's malloc, atomics |
//! | 2 | `variant` | what can be chosen: the knobs, the size classes |
//! | 3 | `list`, `stats` | links between free blocks: local, remote, tagged; event counters |
//! | 4 | `slab` | memory layout and slot states: UNUSED → ACTIVE → EMPTY |
//! | 5 | `registry` | address → SuperSlab: linear, hash |
//! | 6 | `pool` | the stages, one file each, and release |
//! | 7 | `heap` | the thread's front end: alloc and free (hot), refill, drain, realloc, exit, audit |
//! | 8 | `api` | `GlobalAlloc`, the stamped statics, snapshots |
//!
//! To read it: `heap/alloc.rs` and `heap/free.rs` are the hot paths, `docs/data-model.md` the
//! memory layout.

mod api;
mod base;
mod cache;
mod central;
mod chunk;
mod heap;
mod list;
mod pool;
mod registry;
mod slab;
mod stats;
mod sys;
mod variant;

pub use api::*;

/// Gives back to the kernel, at once, what [`Hakmem`] holds and nobody uses; see [`Observe::purge`].
pub fn purge() {
    <Hakmem as Observe>::purge();
}
