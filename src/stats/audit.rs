//! What an audit of a whole heap says, whichever the backend.

use core::fmt;

/// What an audit counted, in slabs and blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Audit {
    /// Slots never claimed.
    pub unused: usize,
    /// Slabs claimed for a class.
    pub active: usize,
    /// Slabs with all blocks home that nobody owns.
    pub empty: usize,
    /// Large blocks in spans of slices; central backend only.
    pub spans: usize,
    /// Blocks that have left their slabs: in the program's hands, in threads' lists, or freed by
    /// other threads and waiting in a slab.
    pub used: usize,
    /// Of these, blocks in threads' lists.
    pub listed: usize,
    /// Of these, blocks that other threads freed and that wait in their slab, or in a batch.
    pub waiting: usize,
}

impl Audit {
    /// Blocks in the program's hands.
    pub fn live(&self) -> usize {
        self.used - self.listed - self.waiting
    }
}

/// The invariant that does not hold, by its number in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsound(&'static str);

impl Unsound {
    pub(crate) fn because(invariant: &'static str) -> Self {
        Self(invariant)
    }
}

impl fmt::Display for Unsound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the heap is unsound: {}", self.0)
    }
}

impl std::error::Error for Unsound {}
