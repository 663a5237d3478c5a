//! A batch: blocks of one class that move together between a thread's list and a central one.
//!
//! BA1  From `head` there are `len` nodes, which the batch owns.
//! BA2  `last` is the last node, whose link is open: nobody reads it. Where `last` is null, that link is null.
//!
//! Never: allocates, locks, or looks at a slab.

use super::free_block::{self, FreeBlock, Link};
use core::ptr::{self, NonNull};

/// Blocks in the order in which they come out: the first one first.
pub(crate) struct Batch {
    head: *mut Link,
    last: *mut Link,
    len: u32,
}

/// The first block of a batch that waits: its link, and the batch below. 16 bytes.
#[repr(C)]
struct Waiting {
    link: *mut Link,
    below: *mut Link,
}

/// Batches that wait, the newest on top. All of them have the same length, which their owner knows.
pub(crate) struct BatchStack(core::cell::Cell<*mut Link>);

impl Batch {
    pub(crate) const fn new() -> Self {
        Self { head: ptr::null_mut(), last: ptr::null_mut(), len: 0 }
    }

    /// The batch of a list's nodes, up to the last one. That may be null where its link is.
    ///
    /// # Safety
    /// From `head` there are `len` nodes, linked, which the caller owns and takes out of their list.
    pub(super) unsafe fn cut_out(head: *mut Link, last: *mut Link, len: u32) -> Self {
        Self { head, last, len }
    }

    /// How many blocks it has.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// The address of the first block.
    pub(crate) fn first(&self) -> Option<usize> {
        (self.len > 0).then(|| self.head.addr())
    }

    /// Adds a block at the end of a batch that [`new`](Self::new) made.
    #[inline]
    pub(crate) fn append(&mut self, block: FreeBlock) {
        debug_assert!(self.len == 0 || !self.last.is_null(), "BA2");
        let node = block.into_open_node();
        match NonNull::new(self.last) {
            // SAFETY: the batch owns its last node (BA1, BA2).
            Some(last) => unsafe { free_block::close(last, node.as_ptr()) },
            None => self.head = node.as_ptr(),
        }
        self.last = node.as_ptr();
        self.len += 1;
    }

    /// Takes the first block.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<FreeBlock> {
        self.len = self.len.checked_sub(1)?;
        let node = NonNull::new(self.head)?;
        if self.len == 0 {
            self.last = ptr::null_mut();
            // SAFETY: the batch owned the node (BA1), which it gives up here.
            return Some(unsafe { FreeBlock::from_open_node(node) });
        }
        // SAFETY: as above; another node follows, so the link was written (BA1).
        let (block, next) = unsafe { FreeBlock::from_node(node) };
        self.head = next;
        Some(block)
    }

    /// The nodes, as a list has them: the last one's link is null.
    pub(super) fn into_nodes(self) -> *mut Link {
        if let Some(last) = NonNull::new(self.last) {
            // SAFETY: the batch owns its last node (BA1, BA2).
            unsafe { free_block::close(last, ptr::null_mut()) };
        }
        if self.len == 0 { ptr::null_mut() } else { self.head }
    }

    /// The addresses of the blocks, the first one first. Nothing is taken.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = usize> {
        let (mut at, mut left) = (self.head, self.len);
        core::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let node = NonNull::new(at)?;
            if left > 0 {
                // SAFETY: another node follows, so the link was written; the batch owns it (BA1).
                at = unsafe { free_block::next_of(node) };
            }
            Some(node.addr().get())
        })
    }
}

impl BatchStack {
    /// No batches. All bytes zero.
    pub(crate) const fn new() -> Self {
        Self(core::cell::Cell::new(ptr::null_mut()))
    }

    /// Puts a batch on top. It is not empty, and its blocks have 16 bytes.
    ///
    /// # Safety
    /// Both are so.
    pub(crate) unsafe fn push(&self, batch: Batch) {
        let first = batch.into_nodes();
        let top = self.0.replace(first);
        // SAFETY: the batch's first block has 16 bytes, by the caller's condition.
        let below = unsafe { &raw mut (*first.cast::<Waiting>()).below };
        // SAFETY: the batch owns the block (BA1); a block is aligned to 8.
        unsafe { below.write(top) };
    }

    /// Takes the top, which has `len` blocks.
    ///
    /// # Safety
    /// Each batch that was pushed has as many.
    pub(crate) unsafe fn pop(&self, len: u32) -> Option<Batch> {
        let top = NonNull::new(self.0.get())?;
        // SAFETY: `push` wrote it, and the stack owns the block.
        self.0.set(unsafe { top.cast::<Waiting>().as_ref() }.below);
        // SAFETY: the stack owned the nodes; there are as many, by the caller's condition.
        Some(unsafe { Batch::cut_out(top.as_ptr(), ptr::null_mut(), len) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_in_first_out_and_stacked() {
        let mut memory = [[0_u64; 2]; 6];
        let starts: Vec<NonNull<u8>> =
            memory.iter_mut().map(|block| NonNull::from(block).cast()).collect();
        let batch = |starts: &[NonNull<u8>]| {
            let mut batch = Batch::new();
            for &start in starts {
                // SAFETY: 16 bytes, aligned to 8, which nothing else has.
                batch.append(unsafe { FreeBlock::new(start) });
            }
            batch
        };
        let stack = BatchStack::new();
        for blocks in [&starts[..3], &starts[3..]] {
            // SAFETY: blocks of 16 bytes, and both batches have some.
            unsafe { stack.push(batch(blocks)) };
        }
        for blocks in [&starts[3..], &starts[..3]] {
            // SAFETY: both have three.
            let mut batch = unsafe { stack.pop(3) }.expect("a batch");
            assert_eq!((batch.len(), batch.first()), (3, Some(blocks[0].addr().get())));
            let addresses: Vec<usize> = batch.addresses().collect();
            let taken: Vec<_> =
                std::iter::from_fn(|| batch.pop().map(FreeBlock::into_start)).collect();
            assert_eq!(taken, blocks);
            assert_eq!(
                addresses,
                blocks.iter().map(|start| start.addr().get()).collect::<Vec<_>>()
            );
        }
        // SAFETY: there is none.
        assert!(unsafe { stack.pop(3) }.is_none());
    }
}
