//! A free block, as a value that only one owner has.
//!
//! FB1  The owner of a [`FreeBlock`] is the block's only owner: no program, slab, list or batch has it.
//! FB2  A block has at least 8 bytes, and is aligned to 8.
//!
//! A function that takes or returns a `FreeBlock` therefore needs no `unsafe`. Only [`FreeBlock::new`] demands a proof.
//! It is called where a program gives a block up, and where a slab hands one out.

use core::ptr::NonNull;

/// A free block of a size class. It can be moved, but not copied (FB1).
#[repr(transparent)]
pub(crate) struct FreeBlock(NonNull<Link>);

/// The first 8 bytes of a free block in a list: the next block, or null.
#[repr(C)]
pub(crate) struct Link {
    next: *mut Link,
}

impl FreeBlock {
    /// The free block at an address.
    ///
    /// # Safety
    /// A block of a class starts at `start` (FB2). It is free, and the caller is its only owner (FB1).
    #[inline(always)]
    pub(crate) const unsafe fn new(start: NonNull<u8>) -> Self {
        Self(start.cast())
    }

    /// The block's address.
    #[inline(always)]
    pub(crate) fn address(&self) -> usize {
        self.0.addr().get()
    }

    /// Gives the block's bytes to the caller.
    #[inline(always)]
    pub(crate) const fn into_start(self) -> NonNull<u8> {
        self.0.cast()
    }

    /// The address of the block's node, whose link is not written yet.
    #[inline(always)]
    pub(crate) fn node(&self) -> *mut Link {
        self.0.as_ptr()
    }

    /// Writes the block's link and returns its node. The list that holds the node owns the block from now on.
    #[inline(always)]
    pub(crate) fn into_node(self, next: *mut Link) -> *mut Link {
        // SAFETY: this value is the block's only owner (FB1), and the block has 8 bytes, aligned to 8 (FB2).
        unsafe { self.0.write(Link { next }) };
        self.0.as_ptr()
    }

    /// Turns a node back into a block, and returns the node that followed it.
    ///
    /// # Safety
    /// [`into_node`](Self::into_node) wrote the link. The caller owns the node, and removes it from its list.
    #[inline(always)]
    pub(crate) unsafe fn from_node(node: NonNull<Link>) -> (Self, *mut Link) {
        // SAFETY: the link was written, and the caller owns the node, so no other code writes it (caller's conditions).
        let next = unsafe { node.as_ref() }.next;
        (Self(node), next)
    }
}

/// The node that follows a node.
///
/// # Safety
/// The node's link was written, and no thread writes it now.
#[inline(always)]
pub(crate) unsafe fn next_of(node: NonNull<Link>) -> *mut Link {
    // SAFETY: the caller's condition.
    unsafe { node.as_ref() }.next
}
