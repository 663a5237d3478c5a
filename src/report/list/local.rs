//! A thread's list of free blocks, linked through the blocks themselves.
//!
//! ```text
//! head ──▶ block ──▶ block ──▶ null      the first 8 bytes of a free block are its link
//! ```
//!
//! I1  Every node reachable from `head` is a free block of one class, and in this list only.
//! I2  `len` is the number of nodes.
//! I3  Only one thread at a time touches the list and its nodes.
//!
//! Never: allocates, locks, or looks at a slab.

use super::Block;
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// A singly linked list of free blocks; the newest comes out first.
pub(crate) struct LocalList {
    head: Cell<*mut Block>,
    len: Cell<u32>,
}

impl LocalList {
    /// The empty list. All bytes zero, so fresh pages hold empty lists.
    pub(crate) const fn new() -> Self {
        Self { head: Cell::new(ptr::null_mut()), len: Cell::new(0) }
    }

    /// Blocks in the list.
    #[inline(always)]
    pub(crate) fn len(&self) -> u32 {
        self.len.get()
    }

    /// The address of the newest block. A change of it shows that the list was used.
    #[inline]
    pub(crate) fn newest(&self) -> *const Block {
        self.head.get()
    }

    /// Removes the newest block. The caller is then its only owner.
    #[inline(always)]
    pub(crate) fn pop(&self) -> Option<NonNull<Block>> {
        let block = NonNull::new(self.head.get())?;
        // SAFETY: `block` is reachable from `head`, so by I1 it is a free block, whose first 8 bytes
        // `push` has written, and by I3 no other thread writes them now.
        let next = unsafe { block.as_ref() }.next;
        self.head.set(next);
        self.len.set(self.len.get() - 1);
        Some(block)
    }

    /// Adds a block, and returns the length with it.
    ///
    /// # Safety
    /// `block` is a free block of this list's class, in the caller's hands alone and in no list.
    #[inline(always)]
    pub(crate) unsafe fn push(&self, block: NonNull<Block>) -> u32 {
        // SAFETY: the block is free and the caller's alone, by the caller's condition, so no other
        // code reads its first 8 bytes. Every block has 8 bytes, aligned to 8 (C1, C3).
        unsafe { block.write(Block { next: self.head.get() }) };
        self.head.set(block.as_ptr());
        let len = self.len.get() + 1;
        self.len.set(len);
        len
    }

    /// Moves up to `count` of the newest blocks to an empty list, in order; returns how many.
    pub(crate) fn split_into(&self, target: &Self, count: u32) -> u32 {
        debug_assert_eq!(target.len(), 0);
        let count = count.min(self.len());
        let Some(first) = NonNull::new(self.head.get()).filter(|_| count > 0) else { return 0 };
        let mut last = first;
        for _ in 1..count {
            // SAFETY: by I2 there are `count` nodes; each but the last links to the next (I1, I3).
            let next = unsafe { last.as_ref() }.next;
            // SAFETY: the link of a node that is not the last is not null (I2).
            last = unsafe { NonNull::new_unchecked(next) };
        }
        // SAFETY: `last` is a node of this list (I1), and only this thread touches its link (I3).
        self.head.set(unsafe { last.as_ref() }.next);
        // SAFETY: `last` is a node of this list (I1), and only this thread touches it (I3). The chain now ends there.
        unsafe { last.write(Block { next: ptr::null_mut() }) };
        self.len.set(self.len.get() - count);
        target.head.set(first.as_ptr());
        target.len.set(count);
        count
    }

    /// True if an address is among the first `most` nodes; for checks.
    pub(crate) fn has(&self, address: usize, most: u32) -> bool {
        let mut found = false;
        self.walk(most.min(self.len()), |block| {
            found |= block.addr().get() == address;
            !found
        });
        found
    }

    /// Checks I2 and that `is_mine` holds for every node. A block that was pushed twice closes a
    /// cycle, so a list that ends after `len` nodes has none: all its blocks are different.
    pub(crate) fn is_sound(&self, is_mine: impl FnMut(NonNull<Block>) -> bool) -> bool {
        self.walk(self.len(), is_mine).is_some_and(<*mut Block>::is_null)
    }

    /// Goes over up to `count` nodes while `go_on` says so, before it follows their links; returns
    /// the last link, or `None` if it was stopped.
    fn walk(
        &self,
        count: u32,
        mut go_on: impl FnMut(NonNull<Block>) -> bool,
    ) -> Option<*mut Block> {
        let mut at = self.head.get();
        for _ in 0..count {
            let block = NonNull::new(at).filter(|block| go_on(*block))?;
            // SAFETY: the block is reachable from `head` (I1), and no other thread writes its link
            // (I3). Where a misused list may break I1, `go_on` is what vouches for it.
            at = unsafe { block.as_ref() }.next;
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list over the blocks of an array, which must outlive it.
    fn list_over(memory: &mut [[u64; 2]; 8]) -> (LocalList, Vec<NonNull<Block>>) {
        let list = LocalList::new();
        let blocks: Vec<NonNull<Block>> =
            memory.iter_mut().map(|block| NonNull::from(block).cast()).collect();
        for (index, &block) in blocks.iter().enumerate() {
            // SAFETY: each element is 16 bytes, aligned to 8, free, and pushed once.
            assert_eq!(unsafe { list.push(block) }, index as u32 + 1);
        }
        (list, blocks)
    }

    #[test]
    fn the_newest_comes_out_first() {
        let mut memory = [[0; 2]; 8];
        let (list, blocks) = list_over(&mut memory);
        for block in blocks.iter().rev() {
            assert_eq!(list.pop(), Some(*block));
        }
        assert_eq!((list.pop(), list.len()), (None, 0));
    }

    #[test]
    fn split_takes_what_is_there_and_no_more() {
        let mut memory = [[0; 2]; 8];
        let (list, blocks) = list_over(&mut memory);
        let target = LocalList::new();
        assert_eq!(list.split_into(&target, 3), 3);
        assert_eq!((list.len(), target.len()), (5, 3));
        assert!(list.is_sound(|block| blocks[..5].contains(&block)));
        assert!(target.is_sound(|block| blocks[5..].contains(&block)));
        let rest = LocalList::new();
        assert_eq!(list.split_into(&rest, 100), 5);
        assert_eq!(list.split_into(&LocalList::new(), 1), 0);
    }

    #[test]
    fn a_block_pushed_twice_is_not_sound() {
        let mut memory = [[0; 2]; 8];
        let (list, blocks) = list_over(&mut memory);
        // SAFETY: not kept: the block is in the list already. It makes a cycle, and no more.
        unsafe { list.push(blocks[2]) };
        assert!(!list.is_sound(|block| blocks.contains(&block)));
    }
}
