//! A free block in somebody's hands.
//!
//! FB1  Whoever has a [`FreeBlock`] is the only one to have the block: no program, slab, list or batch has it.
//! FB2  A block has 8 bytes at least, aligned to 8.
//!
//! So whatever takes a block by value needs no promise of its caller, and what returns one makes none. Only
//! [`FreeBlock::new`] asks for the proof: where a program gives a block up, and where a slab hands one out.

use core::ptr::NonNull;

/// A free block of a size class. Nobody else has it, so it can be handed on, but not copied.
#[repr(transparent)]
pub(crate) struct FreeBlock(NonNull<Link>);

/// The first 8 bytes of a free block in a list: the next block, or null.
#[repr(C)]
pub(super) struct Link {
    next: *mut Link,
}

impl FreeBlock {
    /// Takes a block in hand.
    ///
    /// # Safety
    /// A block of a class starts there (FB2). It is free, and nobody else has it (FB1).
    #[inline(always)]
    pub(crate) const unsafe fn new(start: NonNull<u8>) -> Self {
        Self(start.cast())
    }

    /// Where the block is.
    #[inline(always)]
    pub(crate) fn address(&self) -> usize {
        self.0.addr().get()
    }

    /// Hands the block out: its bytes are the caller's.
    #[inline(always)]
    pub(crate) const fn into_start(self) -> NonNull<u8> {
        self.0.cast()
    }

    /// The node that the block is going to be.
    #[inline(always)]
    pub(super) fn node(&self) -> *mut Link {
        self.0.as_ptr()
    }

    /// Writes the link of the block, which is a node from here on: whoever finds its address owns it.
    #[inline(always)]
    pub(super) fn into_node(self, next: *mut Link) -> *mut Link {
        // SAFETY: nobody else has the block (FB1), and it has 8 bytes, aligned so (FB2).
        unsafe { self.0.write(Link { next }) };
        self.0.as_ptr()
    }

    /// Takes a node in hand, and returns what it was linked to.
    ///
    /// # Safety
    /// [`into_node`](Self::into_node) wrote the link, and the caller owns the node and takes it out of what
    /// it was in.
    #[inline(always)]
    pub(super) unsafe fn from_node(node: NonNull<Link>) -> (Self, *mut Link) {
        // SAFETY: the link was written, and nobody else writes it, by the caller's condition.
        let next = unsafe { node.as_ref() }.next;
        (Self(node), next)
    }
}

/// The link of a node.
///
/// # Safety
/// It was written, and nobody writes it now.
#[inline(always)]
pub(super) unsafe fn next_of(node: NonNull<Link>) -> *mut Link {
    // SAFETY: the caller's condition.
    unsafe { node.as_ref() }.next
}
