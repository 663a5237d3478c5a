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
//! | `environment` | the settings `HAKMEM_AUDIT`, `HAKMEM_BACKGROUND`, `HAKMEM_LIMIT`, `HAKMEM_SAMPLE` and `HAKMEM_STATS` |
//! | `amount` | none: reads a number with a unit |
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
mod amount;
mod cxx;
mod environment;
mod errno;
mod malloc;
mod options;
mod text;
#[cfg(all(panic = "abort", not(debug_assertions)))]
mod unwind;
mod watch;

use core::arch::global_asm;
use hakmem::Preload;

// The object's name for the C library, which reads it to register fork handlers. The compiler's start files would define
// it, and this library is linked without them (`build.rs`).
global_asm!(
    ".pushsection .data.rel.ro.__dso_handle, \"aw\", @progbits",
    ".balign 8",
    ".globl __dso_handle",
    ".hidden __dso_handle",
    ".type __dso_handle, @object",
    "__dso_handle: .quad __dso_handle",
    ".size __dso_handle, 8",
    ".popsection",
);
