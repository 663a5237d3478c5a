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
//! # Words
//!
//! | word | means |
//! |---|---|
//! | segment | 2 MiB from the kernel, aligned to its size: a header and 31 slices for blocks; to the report a *SuperSlab* |
//! | slice | 64 KiB of a segment: free, a slab, or a part of a span; to the report a *slot* |
//! | slab | a slice cut into blocks of one size class, with a bit for each |
//! | span | a large block of whole slices |
//! | huge block | a block with a mapping of its own |
//! | size class | the sizes that blocks of one size serve |
//! | thread cache | a thread's lists of free blocks, one for each size class |
//! | batch | blocks on their way between a thread cache and a central list |
//! | central list | the slabs of one size class that have blocks, behind a lock |
//! | arena | a set of central lists, one for each size class; several threads may share it |
//! | transfer cache | batches of larger blocks that wait for the next thread, before they go home to their slabs |
//! | page heap | all segments: who wants slices gets them here |
//! | page map | address → what lies in its slice |
//! | map cache | mappings that huge blocks left, kept for reuse |
//! | purge | to give memory that nobody uses back to the kernel |
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
