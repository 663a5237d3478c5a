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
//! A module imports only from the rows above its own, and only `api` from `report`; `tests/suite/source.rs` reads the `use`
//! lines.
//!
//! | | module | owns |
//! |---|---|---|
//! | 0 | `base` | sizes, indices in range by construction, bits |
//! | 1 | `sys` | the OS: pages, thread slot, thread exit, fatal errors, the system's malloc, atomics |
//! | 2 | `variant` | what can be chosen: the knobs, the size classes |
//! | 3 | `list`, `stats` | links between free blocks; event counters, what an audit says |
//! | 4 | `page_map` | address → what lies there |
//! | 5 | `slab`; beside it `report` | memory layout: segments, slices, slabs; the founding report's allocator, whole |
//! | 6 | `central` | what threads share: locked lists per class, the page heap, huge blocks, purging |
//! | 7 | `thread_cache` | the thread's front end: alloc and free (hot), refill, drain, large, realloc, exit, audit |
//! | 8 | `api` | which backend serves a variant, `GlobalAlloc`, the stamped statics, snapshots |
//!
//! `slab`, `central` and `thread_cache` are the central backend, which the default variant has. `report` is the baseline that it
//! is compared to (`src/report/README.md`).
//!
//! With feature `preload` there is a face more, `Preload`, the selected variant as a C library has it
//! ([`ByAddress`]): `libhakmem.so` is made of it.
//!
//! To read it: `thread_cache/alloc.rs` and `thread_cache/free.rs` are the hot paths of the default variant,
//! `docs/life-of-a-block.md` follows a block through all layers.

mod api;
mod base;
mod central;
mod list;
mod page_map;
mod report;
mod slab;
mod stats;
mod sys;
mod thread_cache;
mod variant;

pub use api::*;

/// Gives back to the kernel, at once, what [`Hakmem`] holds and nobody uses; see [`Observe::purge`].
pub fn purge() {
    <Hakmem as Observe>::purge();
}
