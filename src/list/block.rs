//! A free block, as a list sees it: its first 8 bytes lead to the next.

use core::ptr::NonNull;

/// The head of a free block; the rest of the block is nobody's.
#[repr(C)]
pub(crate) struct Block {
    pub(crate) next: *mut Block,
}

impl Block {
    /// Links a block before another, or before none; returns it.
    ///
    /// # Safety
    /// `block` is free, and in the caller's hands alone.
    pub(crate) unsafe fn before(block: NonNull<Self>, next: *mut Self) -> *mut Self {
        // SAFETY: nobody else reads its first 8 bytes, by the caller's condition, and every block has 8 bytes, aligned
        // to 8 (C1, C3).
        unsafe { block.write(Self { next }) };
        block.as_ptr()
    }
}
