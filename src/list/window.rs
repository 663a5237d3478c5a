//! A thread's list of free blocks of one class, which tells by a sign that it needs a look.
//!
//! ```text
//! head ──▶ block ──▶ block ──▶ … ──▶ block ──▶ …      a chain through the blocks
//!          └─────── window ──────┘   └ beyond ┘
//! ```
//!
//! The counter `window` holds `step` for each block that may be popped without a look. A pop subtracts
//! `step`, a push adds it, and where the result is negative (below zero, or past 2^31) the operation does
//! not happen and its caller takes the slow way, which moves blocks between the window and what lies
//! beyond it, by arithmetic alone, or between the list and the central one. So one addition counts the
//! blocks, bounds them, and finds the empty list and the closed one.
//!
//! | `window` | list | pop | push |
//! |---|---|---|---|
//! | 0 | window empty | slow | fine |
//! | n × step | n blocks | fine | fine, or slow where n + 1 fill the window |
//! | `CLOSED` | of a thread that has no lists yet, or no more | slow | slow |
//!
//! W1  Every node reachable from `head` is a free block of the list's class, and in this list only.
//! W2  The chain has `window / step + beyond` nodes, unless the list is closed: then none.
//! W3  Only one thread at a time touches the list and its nodes.
//!
//! Never: allocates, locks, or looks at a slab.

use super::chain::Chain;
use super::local::Block;
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// See the module. 16 bytes, so that four share a cache line.
#[repr(C)]
pub(crate) struct WindowList {
    head: Cell<*mut Block>,
    window: Cell<i32>,
    beyond: Cell<u32>,
}

/// The window of a closed list: negative with any step added or taken, since a step is at most 2^29.
const CLOSED: i32 = -(1 << 30);

impl WindowList {
    /// A closed list.
    pub(crate) const fn closed() -> Self {
        Self { head: Cell::new(ptr::null_mut()), window: Cell::new(CLOSED), beyond: Cell::new(0) }
    }

    /// Opens a closed list, which is empty then.
    pub(crate) fn open(&self) {
        self.window.set(0);
    }

    /// Closes a list that is empty.
    pub(crate) fn close(&self) {
        debug_assert!(self.head.get().is_null());
        self.window.set(CLOSED);
    }

    /// Takes the newest block, which is the caller's alone; `None` where the list needs a look.
    ///
    /// With `keeps` the list is not written to when it says `None`: it may be shared then.
    #[inline(always)]
    pub(crate) fn pop(&self, step: i32, keeps: bool) -> Option<NonNull<Block>> {
        let window = self.window.get().wrapping_sub(step);
        if !keeps {
            self.window.set(window);
        }
        if window < 0 {
            return None;
        }
        if keeps {
            self.window.set(window);
        }
        Some(self.unlink())
    }

    /// Undoes what a pop without `keeps` that said `None` did.
    pub(crate) fn undo_pop(&self, step: i32) {
        self.window.set(self.window.get().wrapping_add(step));
    }

    /// The newest block, taken off the chain, which is not empty.
    #[inline(always)]
    fn unlink(&self) -> NonNull<Block> {
        let head = self.head.get();
        // SAFETY: the window held a block, so the chain has one (W2), which `head` names.
        let block = unsafe { NonNull::new_unchecked(head) };
        // SAFETY: a node of the chain is a free block whose link its push has written (W1), and no
        // other thread writes it now (W3).
        self.head.set(unsafe { block.as_ref() }.next);
        block
    }

    /// Where the newest block is, for prefetching and for telling whether the list has moved.
    #[inline(always)]
    pub(crate) fn newest(&self) -> *const Block {
        self.head.get()
    }

    /// Adds a block; false, and not added, where the list needs a look. `keeps` as for [`pop`](Self::pop).
    ///
    /// # Safety
    /// `block` is a free block of this list's class, in the caller's hands alone and in no list.
    #[inline(always)]
    pub(crate) unsafe fn push(&self, block: NonNull<Block>, step: i32, keeps: bool) -> bool {
        let window = self.window.get().wrapping_add(step);
        if !keeps {
            self.window.set(window);
        }
        if window < 0 {
            return false;
        }
        if keeps {
            self.window.set(window);
        }
        // SAFETY: the block is free and the caller's alone, so nobody reads its first 8 bytes, and
        // every block has 8 bytes, aligned to 8 (C1, C3).
        unsafe { block.write(Block { next: self.head.get() }) };
        self.head.set(block.as_ptr());
        true
    }

    /// Undoes what a push without `keeps` that said false did.
    pub(crate) fn undo_push(&self, step: i32) {
        self.window.set(self.window.get().wrapping_sub(step));
    }

    /// Blocks in the list.
    pub(crate) fn len(&self, step: i32) -> u32 {
        (self.window.get() / step) as u32 + self.beyond.get()
    }

    /// Blocks in the window.
    pub(crate) fn window_len(&self, step: i32) -> u32 {
        (self.window.get() / step) as u32
    }

    /// Moves blocks into the window from beyond it, up to `count`; returns how many.
    pub(crate) fn draw(&self, count: u32, step: i32) -> u32 {
        let count = count.min(self.beyond.get());
        self.beyond.set(self.beyond.get() - count);
        self.window.set(self.window.get() + count as i32 * step);
        count
    }

    /// Lets `count` blocks of the window lie beyond it.
    pub(crate) fn set_aside(&self, count: u32, step: i32) {
        debug_assert!(count <= self.window_len(step));
        self.beyond.set(self.beyond.get() + count);
        self.window.set(self.window.get() - count as i32 * step);
    }

    /// Fills an empty list with a chain, all of it in the window.
    pub(crate) fn fill(&self, chain: &Chain, step: i32) {
        debug_assert!(self.head.get().is_null() && self.len(step) == 0);
        self.head.set(chain.head().map_or(ptr::null_mut(), NonNull::as_ptr));
        self.window.set(chain.len() as i32 * step);
    }

    /// Takes the `count` newest blocks of the window, in order.
    pub(crate) fn split(&self, count: u32, step: i32) -> Chain {
        debug_assert!(count <= self.window_len(step));
        let mut chain = Chain::new();
        for _ in 0..count {
            self.window.set(self.window.get() - step);
            // SAFETY: just taken off this list, so it is in no other, free and the caller's alone.
            unsafe { chain.append(self.unlink()) };
        }
        chain
    }

    /// Takes every block.
    pub(crate) fn take_all(&self, step: i32) -> Chain {
        let len = self.len(step);
        self.window.set(0);
        self.beyond.set(0);
        let head = self.head.replace(ptr::null_mut());
        // SAFETY: by W1 and W2 the chain has `len` nodes, which are the caller's from here on.
        unsafe { Chain::adopt(NonNull::new(head), len) }
    }

    /// Whether an address is among the first `most` nodes; for checks.
    pub(crate) fn has(&self, address: usize, most: u32, step: i32) -> bool {
        // SAFETY: the chain has that many nodes (W2), and is put back whole: nothing is written.
        let chain =
            unsafe { Chain::adopt(NonNull::new(self.head.get()), self.len(step).min(most)) };
        chain.iter().any(|block| block.addr().get() == address)
    }

    /// Checks W2, and that `is_mine` holds for every node, before its link is followed.
    pub(crate) fn is_sound(
        &self,
        step: i32,
        mut is_mine: impl FnMut(NonNull<Block>) -> bool,
    ) -> bool {
        if self.window.get() == CLOSED {
            return self.head.get().is_null() && self.beyond.get() == 0;
        }
        // SAFETY: as in `has`; `is_mine` vouches for a node before the next one is read.
        let chain = unsafe { Chain::adopt(NonNull::new(self.head.get()), self.len(step)) };
        let mut nodes = 0;
        for block in chain.iter() {
            if !is_mine(block) {
                return false;
            }
            nodes += 1;
        }
        nodes == self.len(step)
    }
}
