//! Layer 5, beside the central backend: the founding report's allocator, the baseline that the variants' ledger starts
//! from.
//!
//! ```text
//! heap      a thread's lists, over slabs that the thread owns
//!   │ acquires, retires
//! pool      slabs for all threads, in stages: 0.5 → 1 → 2 → 3 → the system's malloc
//!   │ maps                 │ looks up
//! slab      SuperSlabs     registry   address → SuperSlab
//!   └───────── list ───────┘
//! ```
//!
//! It uses the layers below both backends, and nothing of the central backend. Only `face` uses it. A module imports
//! only from the modules before it in this order: `list`, `slab`, `registry`, `pool`, `heap`, `backend`. `README.md`
//! lists the differences to the central backend.
//!
//! Never: is part of a program whose variants are all of the central backend.

mod backend;
pub(crate) mod heap;
pub(crate) mod list;
pub(crate) mod pool;
pub(crate) mod registry;
pub(crate) mod slab;
