//! Layer 5: the memory layout of the central backend.
//!
//! ```text
//! segment, 2 MiB, aligned to its size: the SuperSlab of the central backend
//! ┌───────────────────────────────────────────┬─────────────────┬─────────────────┬───
//! │ slice 0: header │ 32 slabs, their bitmaps │ slice 1: blocks │ slice 2: blocks │ …
//! └───────────────────────────────────────────┴─────────────────┴─────────────────┴───
//!    each page of it touched when needed       a slab, or a part of a span
//! ```
//!
//! A slice is free, a slab of one class, or one of the slices of a *span*, which is a large block. All
//! metadata lies in slice 0, away from the blocks: looking at a slab touches none of its pages.
//!
//! X1  A slice is in exactly one of: the segment's `free`, a slab, a span.
//! X2  What a slice's bit in `dirty` is: free, and perhaps not zero. A free slice without it is zero, and
//!     has no memory.
//! X3  A segment's own fields are touched with the lock of the page heap held; a slab's with the lock of its
//!     home's list of the class (HM1), and where the slice is free or changes hands, with that of the page heap. A slab without a
//!     home is touched by nobody but who makes it his own.
//! X4  A reference to a segment or a slab is not kept past the lock it was found under, unless a slice or a
//!     block of it is out: so nobody has one when the segment is unmapped.
//!
//! Never: locks, or decides who gets a slice.

mod bitmap;
mod home;
mod segment;

pub(crate) use bitmap::{BINNED, PURGEABLE, Slab};
pub(crate) use segment::{ALL, ALL_SLICES, AVAILABLE, DIRTY, Run, Segment, Wanted};
