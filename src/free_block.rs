//! A free block, as a value that only one owner has.
//!
//! FB1  The owner of a [`FreeBlock`] is the block's only owner: no program, slab, list or batch has it.
//! FB2  A block has at least 8 bytes, and is aligned to 8.
//!
//! With `freed = "marked"` a block that a program frees gets a *mark* in its second 8 bytes, and loses it when it is handed
//! out. So a block that has its mark when a program frees it was freed before.
//!
//! | event | mark |
//! |---|---|
//! | a program frees the block to a list | set; the process ends if it is there already |
//! | the block moves between lists, batches and slabs, or its page is purged | stays, or is lost with the page |
//! | the block is handed out | cleared |
//!
//! FB3  No block that a program has holds its mark: the mark is a number that is made from the address, and that is no
//!      address. A program could write it only if it had read it from this very block after freeing it.
//!
//! A function that takes or returns a `FreeBlock` therefore needs no `unsafe`. Only [`FreeBlock::new`] demands a proof.
//! It is called where a program gives a block up, and where a slab hands one out.

use crate::sys::asm::holds;
use crate::variant::{Freed, Variant};
use core::ptr::NonNull;

/// Makes marks odd and different from doubled addresses.
const MARK: u64 = 0x2F6E_2B1D;
/// Bytes from a block's start to its mark.
const MARK_OFFSET: usize = 8;

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

    /// True if the block is marked as free, although a program just gave it up.
    #[inline(always)]
    pub(crate) fn is_marked<V: Variant>(&self) -> bool {
        // SAFETY: a block of a class.
        unsafe { is_marked::<V>(self.0.cast()) }
    }

    /// Marks a block that a program gave up.
    #[inline(always)]
    pub(crate) fn marked<V: Variant>(self) -> Self {
        if matches!(V::FREED, Freed::Marked) {
            self.set_mark(mark_of(self.address()));
        }
        self
    }

    /// Gives the block's bytes to the program.
    #[inline(always)]
    pub(crate) fn hand_out<V: Variant>(self) -> NonNull<u8> {
        if matches!(V::FREED, Freed::Marked) {
            self.set_mark(0);
        }
        self.into_start()
    }

    #[inline(always)]
    fn set_mark(&self, mark: u64) {
        // SAFETY: inside the block, which has 16 bytes where blocks are marked.
        let place = unsafe { self.0.as_ptr().byte_add(MARK_OFFSET) };
        // SAFETY: this value is the block's only owner (FB1), and the place is aligned to 8 (FB2).
        unsafe { place.cast::<u64>().write(mark) };
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

#[inline(always)]
const fn mark_of(address: usize) -> u64 {
    (address as u64).wrapping_mul(2).wrapping_add(MARK)
}

/// True if the block at an address is marked as free.
///
/// # Safety
/// A block of a class starts there.
#[inline(always)]
pub(crate) unsafe fn is_marked<V: Variant>(block: NonNull<u8>) -> bool {
    // SAFETY: the caller's condition; blocks have 16 bytes where they are marked.
    matches!(V::FREED, Freed::Marked)
        && unsafe { holds::<MARK_OFFSET>(block.as_ptr(), mark_of(block.addr().get())) }
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
