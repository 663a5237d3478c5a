//! `libhakmem.so`: the C library's allocator, and C++'s operators, over the variant that this build selects.
//!
//! | file | functions |
//! |---|---|
//! | `malloc` | C's original ones |
//! | `aligned` | those with an alignment |
//! | `cxx` | operators new and delete |
//! | `options` | `mallopt` |
//! | `watch` | questions about the heap: `malloc_usable_size`, mallinfo2, … |
//! | `unwind` | none: keeps the linker from adding a library that is not needed |
//! | `environment` | the settings `HAKMEM_BACKGROUND` and `HAKMEM_STATS` |
//!
//! Where C, POSIX and others differ, these functions do as glibc's do. Never: locks or allocates in its initialisation.
//! One exception: if a variant leaves a part to the next allocator, it is set up then.
#![allow(
    clippy::missing_safety_doc,
    reason = "each is documented by the C library or C++ under its name"
)]
#![allow(missing_docs, reason = "the C library and C++ document each")]
#![allow(unreachable_pub, reason = "what is exported is, by its symbol")]

mod aligned;
mod cxx;
mod environment;
mod errno;
mod malloc;
mod options;
mod text;
#[cfg(all(panic = "abort", not(debug_assertions)))]
mod unwind;
mod watch;

use hakmem::Preload;
