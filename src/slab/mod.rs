//! Layer 5: the memory layout of the central backend.
//!
//! ```text
//! segment, 2 MiB, aligned to its size
//! ┌───────────────────────────────────────────┬─────────────────┬─────────────────┬───
//! │ slice 0: header │ 32 slabs, their bitmaps │ slice 1: blocks │ slice 2: blocks │ …
//! └───────────────────────────────────────────┴─────────────────┴─────────────────┴───
//!    each page of it touched when needed       a slab, or a part of a span
//! ```
//!
//! A slice is free, a slab of one class, or a part of a *span*, which is one large block. All metadata lies in slice 0,
//! away from the blocks. Reading a slab's metadata therefore touches none of its blocks' pages.
//!
//! X1  A slice is in exactly one of: the segment's `free`, a slab, a span.
//! X2  A slice whose bit in `dirty` is set is free, and may hold bytes that are not zero. A free slice whose bit is
//!     clear is zero, and has no memory.
//! X3  A thread that touches a segment's own fields holds the lock of the page heap. A thread that touches a slab holds
//!     the lock of the central list that is the slab's home (HM1). While the slice is free, or changes hands, it holds
//!     the lock of the page heap. Only a thread that makes its arena the home of a homeless slab touches that slab.
//! X4  A thread keeps a reference to a segment or a slab no longer than it holds the lock that it was found under. It
//!     may keep it longer while a slice or a block of it is out. So no reference is left when the segment is unmapped.
//! X5  A slice that is in use, or dirty, is one of the segment's first `open` slices. These have access, but what is a
//!     fence. The count only rises.
//!
//! Never: locks, or decides which thread gets a slice.

mod bitmap;
mod home;
mod segment;

pub(crate) use bitmap::{BINNED, PURGEABLE, Slab};
pub(crate) use segment::{ALL, AVAILABLE, DIRTY, Run, Segment, Wanted, step_end, usable_slices};
