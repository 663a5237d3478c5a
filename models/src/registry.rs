//! The report's registry, for a few SuperSlabs.

/// SuperSlabs that there can be.
pub(crate) const CAPACITY: usize = 2;

#[path = "../../src/report/registry/directory.rs"]
mod directory;
#[path = "../../src/report/registry/hash.rs"]
mod hash;

pub(crate) use directory::Directory;
pub(crate) use hash::{ENTRIES, HashTable};
