//! The state of a slot.
//!
//! | from | event | to | by |
//! |---|---|---|---|
//! | UNUSED | claim (stage 2 or 3) | ACTIVE | the thread that won its bit in `unused` |
//! | ACTIVE | retire: no block is in use | EMPTY | the owner |
//! | EMPTY | claim (stage 0.5 or 1) | ACTIVE | the thread that won its bit in `empty`, or popped it |
//!
//! Never: back to UNUSED.

/// The state of a slot. UNUSED is 0, the value of a byte in fresh pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// Never claimed.
    Unused = 0,
    /// Claimed for a class. A thread owns the slab, or the slab waits for a thread that adopts it.
    Active = 1,
    /// Every block is home, and no thread owns the slab.
    Empty = 2,
}

impl State {
    /// The table above.
    pub(crate) const fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Unused | Self::Empty, Self::Active) | (Self::Active, Self::Empty)
        )
    }

    /// The state that a byte stands for.
    pub(crate) const fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Unused,
            1 => Self::Active,
            _ => Self::Empty,
        }
    }
}
