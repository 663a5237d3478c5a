//! Free blocks on their way between two lists: a chain through the blocks, first in, first out.
//!
//! J1  From `head` there are `len` nodes, all free blocks of one class in this chain only, in one
//!     thread's hands. The link of the last is null, or of no meaning where the chain was adopted.
//!
//! Never: allocates, locks, or looks at a slab.

use super::block::Block;
use core::ptr::{self, NonNull};

pub(crate) struct Chain {
    head: Option<NonNull<Block>>,
    last: Option<NonNull<Block>>,
    len: u32,
}

/// What the first block of a waiting chain holds: its link, and the next chain. 16 bytes.
#[repr(C)]
struct Waiting {
    block: Block,
    next_chain: *mut Block,
}

impl Chain {
    pub(crate) const fn new() -> Self {
        Self { head: None, last: None, len: 0 }
    }

    /// A chain of which the caller knows the length, to be taken apart only.
    ///
    /// # Safety
    /// From `head` there are at least `len` nodes, as in J1.
    pub(crate) unsafe fn adopt(head: Option<NonNull<Block>>, len: u32) -> Self {
        Self { head: head.filter(|_| len > 0), last: None, len }
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    pub(crate) fn head(&self) -> Option<NonNull<Block>> {
        self.head
    }

    /// Adds a block at the end.
    ///
    /// # Safety
    /// The block is free, in the caller's hands alone and in no list; and the chain was not adopted.
    pub(crate) unsafe fn append(&mut self, block: NonNull<Block>) {
        // SAFETY: the block is free and the caller's; it has 8 bytes, aligned to 8.
        unsafe { block.write(Block { next: ptr::null_mut() }) };
        match self.last {
            // SAFETY: the last node is in this chain, so its link is the caller's to write (J1).
            Some(last) => unsafe { last.write(Block { next: block.as_ptr() }) },
            None => self.head = Some(block),
        }
        self.last = Some(block);
        self.len += 1;
    }

    /// Where the blocks are, the first one first; nothing is taken.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = usize> {
        let (mut at, mut left) = (self.head, self.len);
        core::iter::from_fn(move || {
            let block = at?;
            left = left.checked_sub(1)?;
            // SAFETY: a node of this chain, whose link was written when it was linked (J1); the last one's is not read.
            at = if left > 0 { NonNull::new(unsafe { block.as_ref() }.next) } else { None };
            Some(block.addr().get())
        })
    }

    /// Takes the first block.
    pub(crate) fn pop(&mut self) -> Option<NonNull<Block>> {
        let block = self.head?;
        self.len -= 1;
        // SAFETY: a node of this chain, whose link was written when it was linked (J1).
        let next = unsafe { block.as_ref() }.next;
        self.head = NonNull::new(next).filter(|_| self.len > 0);
        Some(block)
    }

    /// Puts the chain on top of a stack of chains whose top is `below`, linked through their first
    /// blocks; returns the new top. The length is the stack's owner's to know.
    ///
    /// # Safety
    /// Blocks of this class have 16 bytes, and the chain is not empty.
    pub(crate) unsafe fn stack_on(self, below: *mut Block) -> *mut Block {
        let top = self.head.map_or(ptr::null_mut(), NonNull::as_ptr);
        let second = top.cast::<Waiting>();
        // SAFETY: the chain's first block is free and the caller's (J1), and has 16 bytes.
        let second = unsafe { &raw mut (*second).next_chain };
        // SAFETY: as above; aligned to 8.
        unsafe { second.write(below) };
        top
    }

    /// Takes the top of a stack of chains, which has `len` blocks; returns it with what was below.
    ///
    /// # Safety
    /// `top` came from [`stack_on`](Self::stack_on) for a chain of `len` blocks.
    pub(crate) unsafe fn unstack(top: NonNull<Block>, len: u32) -> (Self, *mut Block) {
        // SAFETY: `stack_on` wrote it, and the stack is the caller's.
        let below = unsafe { top.cast::<Waiting>().as_ref() }.next_chain;
        // SAFETY: the caller's condition.
        (unsafe { Self::adopt(Some(top), len) }, below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_in_first_out_and_stacked() {
        let mut memory = [[0_u64; 2]; 6];
        let blocks: Vec<NonNull<Block>> =
            memory.iter_mut().map(|block| NonNull::from(block).cast()).collect();
        let chain = |blocks: &[NonNull<Block>]| {
            let mut chain = Chain::new();
            for &block in blocks {
                // SAFETY: each element is 16 bytes, aligned to 8, free, and appended once.
                unsafe { chain.append(block) };
            }
            chain
        };
        let (first, second) = (chain(&blocks[..2]), chain(&blocks[2..]));
        // SAFETY: blocks of 16 bytes, and both chains have some.
        let top = unsafe { first.stack_on(ptr::null_mut()) };
        // SAFETY: as above.
        let top = unsafe { second.stack_on(top) };
        // SAFETY: the top is the second chain, of four.
        let (mut chain, below) = unsafe { Chain::unstack(NonNull::new(top).expect("a top"), 4) };
        assert_eq!((chain.len(), below), (4, blocks[0].as_ptr()));
        assert_eq!(std::iter::from_fn(|| chain.pop()).collect::<Vec<_>>(), blocks[2..]);
    }
}
