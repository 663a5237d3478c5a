//! Memory layout and slot states.
//!
//! ```text
//! SuperSlab, 2^lg bytes, aligned to its size
//! ┌────────┬──────┬──────┬───┬─────────────┬──────────────────┬──────────────────┬───
//! │ header │ slab │ slab │ … │ blocks of   │ slot 1: blocks   │ slot 2: blocks   │ …
//! │ 64 B   │ 0    │ 1    │   │ slot 0      │ 64 KiB           │ 64 KiB           │
//! └────────┴──────┴──────┴───┴─────────────┴──────────────────┴──────────────────┴───
//!           └─ metadata, 64 B each ─┘ slot 0 gives up its first bytes to all this
//! ```
//!
//! A *slot* is 64 KiB of a SuperSlab; a *slab* is a slot's metadata and, once it is claimed for a
//! class and carved, its blocks. Block `n` of a slot starts at `n` times the block size from the
//! slot's start, so block numbers in slot 0 do not start at 0.
//!
//! L1  SuperSlabs are never unmapped, so `&'static` is what a reference to one is.
//! L2  A slab is in the hands of one thread at a time: its owner (`remote` names it), or the thread
//!     that won it from the pool's freelist or a claim mask. Only that thread touches its [owner] fields.
//!
//! Never: decides when a slab changes hands. That is the pool's and the heap's.

mod meta;
mod state;
mod superslab;

pub(crate) use meta::Slab;
pub(crate) use state::State;
pub(crate) use superslab::SuperSlab;
