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
//! file in `variants/`, one decision away from its parent. Several can live in one process. A Cargo
//! feature of the same name makes a variant available and selects it.
//!
//! # Layers
//!
//! A module imports only from its own row and the rows above it, and only `face` imports from `report`.
//! `tests/suite/source.rs` checks the `use` lines.
//!
//! | | module | owns |
//! |---|---|---|
//! | 0 | `base` | sizes, indices that are in range by construction, bit arithmetic |
//! | 1 | `sys` | the OS and the processor: pages, locks, thread slots, thread exit, fatal errors, the system's malloc |
//! | 2 | `variant` | the knobs and the size classes |
//! | 3 | `free_list`, `free_block`, `batch`, `linked`, `tail` | a thread's list of free blocks; a free block; batches; lists of slabs; a block's tail |
//! | | `stats`, `backend` | event counters, audit results; the operations of a backend |
//! | 4 | `page_map` | the map from an address to the kind of its slice |
//! | 5 | `slab`; beside it `report` | segments, slices, slabs; the founding report's whole allocator |
//! | | `sampled` | sampled blocks, each between pages that no access reaches |
//! | 6 | `central` | the state that threads share: central lists, transfer caches, page heap, huge blocks, purges |
//! | 7 | `thread_cache` | a thread's lists: refill, drain, the thread's first operation and its end, forks |
//! | 8 | `alloc`, `realloc`, `large` | the hot paths of both faces; a block's change of size; spans and huge blocks |
//! | | `guarded` | the paths of blocks with tails |
//! | | `check`, `manage` | the audit; purges that a program asks for, figures, start and release |
//! | 9 | `face` | `GlobalAlloc`, the C face, the statics of each variant |
//!
//! Rows 5 to 8 without `report` are the central backend, which serves the default variant.
//! `report` is the baseline for comparisons (`src/report/README.md`).
//!
//! # Words
//!
//! | word | means |
//! |---|---|
//! | segment | 2 MiB of memory, aligned to its size: a header and 31 slices; the report's *SuperSlab* |
//! | slice | 64 KiB of a segment: free, a slab, or a part of a span; the report's *slot* |
//! | slab | a slice cut into blocks of one size class; a bit tells whether a block is *home* (in the slab) or *out* |
//! | span | one or more whole slices that hold one large block |
//! | huge block | a block above a span: whole pages from the map cache |
//! | size class | a block size, and the requests that blocks of this size serve |
//! | thread cache | one thread's lists of free blocks, one for each size class |
//! | span cache | a few free spans of a thread, by length |
//! | batch | up to 64 blocks of one size class that move together between a thread cache and a central list |
//! | central list | the slabs of one size class and one arena that have free blocks, behind a lock |
//! | arena | a set of central lists that some threads share; blocks above 1 KiB always use the first arena |
//! | transfer cache | an array of freed blocks of one size class, ready for the next thread that refills |
//! | page heap | all segments of a variant, and their free slices |
//! | page map | a byte for each slice of the address space: the kind of memory there |
//! | extent | a free range of pages: dirty, or clean, which is without memory |
//! | map cache | the addresses of huge blocks, and the extents that freed ones left |
//! | purge | a purge gives unused memory back to the kernel |
//!
//! Feature `preload` adds the type `Preload`: the selected variant with the C library's functions ([`ByAddress`]).
//! `libhakmem.so` is built on it.
//!
//! To follow `malloc(24)`, read `preload/src/malloc.rs`, `face/by_address.rs`, `alloc.rs`, `thread_cache.rs` and
//! `free_list.rs`. `docs/life-of-a-block.md` follows a block through all layers.

mod alloc;
mod backend;
mod base;
mod batch;
mod central;
mod check;
mod face;
mod free_block;
mod free_list;
mod guarded;
mod large;
mod linked;
mod manage;
mod page_map;
mod realloc;
mod report;
mod sampled;
mod slab;
mod stats;
mod sys;
mod tail;
mod thread_cache;
mod variant;

pub use face::*;

/// Gives the unused memory of [`Hakmem`] back to the kernel at once; see [`Observe::purge`].
pub fn purge() {
    <Hakmem as Observe>::purge();
}
