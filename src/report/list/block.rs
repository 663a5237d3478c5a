//! A free block, as a list sees it: its first 8 bytes lead to the next.

/// The head of a free block. The rest of the block is unused.
#[repr(C)]
pub(crate) struct Block {
    pub(super) next: *mut Block,
}
