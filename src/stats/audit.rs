//! The result of an audit of the whole heap, for every backend.

use crate::sys::fatal::fatal_in;
use core::fmt;

/// The counts of slabs and blocks that an audit took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Audit {
    /// Free slices of the central backend; slots of the report that were never claimed.
    pub unused: usize,
    /// Slabs with blocks out; for the report, slabs claimed for a class.
    pub active: usize,
    /// Slabs with all blocks home, which no thread owns.
    pub empty: usize,
    /// Spans; central backend only.
    pub spans: usize,
    /// Blocks that have left their slabs: those that the program has, `listed` and `waiting`.
    pub used: usize,
    /// Blocks in threads' lists.
    pub listed: usize,
    /// Freed blocks that wait in parked lists, in transfer caches, or for the thread that owns their slab.
    pub waiting: usize,
    /// Threads with lists of their own; central backend only.
    pub threads: usize,
}

impl Audit {
    /// Blocks that the program has.
    pub fn live(&self) -> usize {
        self.used - self.listed - self.waiting
    }
}

/// A broken invariant, by its number in the source, and the address of what breaks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsound {
    invariant: &'static str,
    address: usize,
}

impl Unsound {
    pub(crate) fn because(invariant: &'static str) -> Self {
        Self { invariant, address: 0 }
    }

    /// Ends the process with this as its last line.
    pub(crate) fn end(self) -> ! {
        fatal_in(["audit: ", self.invariant, ":"], self.address)
    }
}

/// An error unless an invariant holds for what is at an address.
#[inline]
pub(crate) fn ensure(holds: bool, invariant: &'static str, address: usize) -> Result<(), Unsound> {
    if holds { Ok(()) } else { Err(Unsound { invariant, address }) }
}

impl fmt::Display for Unsound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the heap is unsound: {}, at {:#x}", self.invariant, self.address)
    }
}

impl std::error::Error for Unsound {}
