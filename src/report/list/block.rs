//! A free block, as a list sees it: its first 8 bytes lead to the next.

/// The head of a free block; the rest of the block is nobody's.
#[repr(C)]
pub(crate) struct Block {
    pub(super) next: *mut Block,
}
