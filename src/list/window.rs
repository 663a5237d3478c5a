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
//! | `CLOSED` | of a thread that has no lists yet, or no more; or closed over its blocks for a while | slow | slow |
//!
//! Where a block's class comes from a table at run time, and its step would from another, a list is *counted
//! plainly* ([`Step::Plain`]): `window` is the number of blocks in the window less its size. A push that makes it
//! 0 goes the slow way; a pop does where `head` is null, having gone on beyond the window by itself, which then
//! has less than no blocks, and beyond that many fewer than it says.
//!
//! W1  Every node reachable from `head` is a free block of the list's class, and in this list only.
//! W2  The chain has `window / step + beyond` nodes, unless the list is closed: then none.
//! W3  Only one thread at a time touches the list and its nodes.
//!
//! Never: allocates, locks, or looks at a slab.

use super::block::Block;
use super::chain::Chain;
use crate::sys::atomic::{AtomicI32, Ordering};
use crate::sys::single::count_up;
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
/// The same where it is counted plainly: not negative, however often it is pushed to before it is undone.
const CLOSED_PLAIN: i32 = 1 << 30;

const fn closed_window(step: Step) -> i32 {
    match step {
        Step::Signed(_) => CLOSED,
        Step::Plain(_) => CLOSED_PLAIN,
    }
}

/// How a list's `window` counts its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// So much for each block, up to 2^31.
    Signed(i32),
    /// One for each, up to 0 from this many below.
    Plain(u32),
}

/// Bytes from a list's start to its count.
pub(crate) const WINDOW_OFFSET: usize = core::mem::offset_of!(WindowList, window);

impl WindowList {
    /// A closed list.
    pub(crate) const fn closed(counted: bool) -> Self {
        let window = if counted { CLOSED_PLAIN } else { CLOSED };
        Self { head: Cell::new(ptr::null_mut()), window: Cell::new(window), beyond: Cell::new(0) }
    }

    /// An open list without blocks.
    pub(crate) const fn empty() -> Self {
        Self { head: Cell::new(ptr::null_mut()), window: Cell::new(0), beyond: Cell::new(0) }
    }

    /// Opens a closed list, which is empty then.
    pub(crate) fn open(&self, step: Step) {
        debug_assert!(self.head.get().is_null());
        self.set_blocks(0, step);
        self.beyond.set(0);
    }

    /// Closes a list that is empty.
    pub(crate) fn close(&self, step: Step) {
        debug_assert!(self.window.get() <= 0 && self.len(step) == 0);
        self.head.set(ptr::null_mut());
        self.beyond.set(0);
        self.window.set(closed_window(step));
    }

    /// Closes a list over its blocks: returns the newest, through which the others are reached.
    pub(crate) fn shut(&self, step: Step) -> *mut Block {
        let len = self.len(step);
        let head = self.head.replace(ptr::null_mut());
        self.window.set(closed_window(step));
        self.beyond.set(len);
        head
    }

    /// Blocks that a list was closed over.
    pub(crate) fn aside_len(&self) -> u32 {
        self.beyond.get()
    }

    /// Notes how many they are.
    pub(crate) fn set_aside_len(&self, count: u32) {
        self.beyond.set(count);
    }

    /// Opens a list that was closed over its blocks, with up to `most` of them in the window.
    ///
    /// # Safety
    /// From `head` there are as many free blocks as [`aside_len`](Self::aside_len) says, of the list's class, and in no
    /// other list.
    pub(crate) unsafe fn reopen(&self, head: *mut Block, most: u32, step: Step) {
        let len = self.beyond.get();
        let window = len.min(most);
        self.head.set(if len == 0 { ptr::null_mut() } else { head });
        self.beyond.set(len - window);
        self.set_blocks(window as i32, step);
    }

    /// Takes the newest block, which is the caller's alone; `None` where the list needs a look.
    ///
    /// With `keeps`, or counted plainly, the list is not written to when it says `None`: it may be shared then.
    #[inline(always)]
    pub(crate) fn pop(&self, step: Step, keeps: bool) -> Option<NonNull<Block>> {
        let Step::Signed(step) = step else { return self.pop_counted() };
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

    /// Takes the newest block of a list that is counted plainly, as [`pop`](Self::pop) does.
    #[inline(always)]
    pub(crate) fn pop_counted(&self) -> Option<NonNull<Block>> {
        let block = NonNull::new(self.head.get())?;
        // SAFETY: a node of the chain is a free block whose link its push has written (W1), and no
        // other thread writes it now (W3).
        self.head.set(unsafe { block.as_ref() }.next);
        self.window.set(self.window.get().wrapping_sub(1));
        Some(block)
    }

    /// Undoes what a pop without `keeps` that said `None` did.
    pub(crate) fn undo_pop(&self, step: Step) {
        if let Step::Signed(step) = step {
            self.window.set(self.window.get().wrapping_add(step));
        }
    }

    /// The newest block, taken off the chain, which is not empty.
    #[inline(always)]
    fn unlink(&self) -> NonNull<Block> {
        // SAFETY: the window held a block, so the chain has one (W2), which `head` names.
        let block = unsafe { NonNull::new_unchecked(self.head.get()) };
        // SAFETY: a node of the chain is a free block whose link its push has written (W1), and no
        // other thread writes it now (W3).
        self.head.set(unsafe { block.as_ref() }.next);
        block
    }

    /// Puts a free block, the caller's alone, on top.
    ///
    /// # Safety
    /// As for [`push`](Self::push); and it has been counted.
    #[inline(always)]
    pub(crate) unsafe fn link(&self, block: NonNull<Block>) {
        let head = self.head.get();
        // SAFETY: the block is free and the caller's alone, so nobody reads its first 8 bytes, and
        // every block has 8 bytes, aligned to 8 (C1, C3).
        unsafe { block.write(Block { next: head }) };
        self.head.set(block.as_ptr());
    }

    /// Where the newest block is, for telling whether the list has moved.
    pub(crate) fn newest(&self) -> *const Block {
        self.head.get()
    }

    /// Adds a block; false, and not added, where the list needs a look. `keeps` as for [`pop`](Self::pop); one that
    /// is counted plainly is to be undone.
    ///
    /// # Safety
    /// `block` is a free block of this list's class, in the caller's hands alone and in no list.
    #[inline(always)]
    pub(crate) unsafe fn push(&self, block: NonNull<Block>, step: Step, keeps: bool) -> bool {
        match step {
            Step::Signed(step) => {
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
            }
            Step::Plain(_) => {
                // SAFETY: the count of this list.
                if unsafe { count_up::<WINDOW_OFFSET>(ptr::from_ref(self).cast(), 0) } {
                    return false;
                }
            }
        }
        // SAFETY: the caller's conditions; it has been counted.
        unsafe { self.link(block) };
        true
    }

    /// Undoes what a push that said false did, without `keeps` or counted plainly.
    pub(crate) fn undo_push(&self, step: Step) {
        match step {
            Step::Signed(step) => self.window.set(self.window.get().wrapping_sub(step)),
            Step::Plain(_) => {
                // SAFETY: a closed list may be shared, and then whoever writes to it does so atomically.
                let window = unsafe { AtomicI32::from_ptr(self.window.as_ptr()) };
                // ORDERING: relaxed; which number it is does not matter, as long as the list stays closed.
                let counted = window.load(Ordering::Relaxed);
                let before = if counted < CLOSED_PLAIN { counted - 1 } else { CLOSED_PLAIN };
                window.store(before, Ordering::Relaxed);
            }
        }
    }

    /// Blocks in the window, which has less than none where pops have gone beyond it.
    fn blocks(&self, step: Step) -> i32 {
        match step {
            Step::Signed(step) => self.window.get() / step,
            Step::Plain(size) => self.window.get() + size as i32,
        }
    }

    fn set_blocks(&self, count: i32, step: Step) {
        self.window.set(match step {
            Step::Signed(step) => count * step,
            Step::Plain(size) => count - size as i32,
        });
    }

    /// Whether nothing is to be read from the counts: one that is counted plainly says so by its head alone.
    fn is_bare(&self, step: Step) -> bool {
        matches!(step, Step::Plain(_)) && self.head.get().is_null()
    }

    /// Blocks in the list.
    pub(crate) fn len(&self, step: Step) -> u32 {
        if self.is_bare(step) {
            return 0;
        }
        (self.blocks(step) as u32).wrapping_add(self.beyond.get())
    }

    /// Blocks in the window.
    pub(crate) fn window_len(&self, step: Step) -> u32 {
        if self.is_bare(step) {
            return 0;
        }
        match step {
            Step::Signed(_) => self.blocks(step) as u32,
            Step::Plain(_) => self.blocks(step).max(0) as u32,
        }
    }

    /// Moves blocks into the window from beyond it, up to `count`; returns how many.
    pub(crate) fn draw(&self, count: u32, step: Step) -> u32 {
        debug_assert!(
            matches!(step, Step::Signed(_)),
            "where pops go beyond the window, none is due"
        );
        let count = count.min(self.beyond.get());
        self.beyond.set(self.beyond.get() - count);
        self.set_blocks(self.blocks(step) + count as i32, step);
        count
    }

    /// Lets `count` blocks of the window lie beyond it.
    pub(crate) fn set_aside(&self, count: u32, step: Step) {
        debug_assert!(count <= self.window_len(step));
        self.beyond.set(self.beyond.get() + count);
        self.set_blocks(self.blocks(step) - count as i32, step);
    }

    /// Fills an empty list with a chain, all of it in the window.
    pub(crate) fn fill(&self, chain: &Chain, step: Step) {
        debug_assert!(self.len(step) == 0);
        self.beyond.set(0);
        self.set_blocks(chain.len() as i32, step);
        self.head.set(chain.head().map_or(ptr::null_mut(), NonNull::as_ptr));
    }

    /// Takes the `count` newest blocks of the window, in order.
    pub(crate) fn split(&self, count: u32, step: Step) -> Chain {
        debug_assert!(count <= self.window_len(step));
        let mut chain = Chain::new();
        self.set_blocks(self.blocks(step) - count as i32, step);
        for _ in 0..count {
            // SAFETY: just taken off this list, so it is in no other, free and the caller's alone.
            unsafe { chain.append(self.unlink()) };
        }
        chain
    }

    /// Takes every block.
    pub(crate) fn take_all(&self, step: Step) -> Chain {
        let len = self.len(step);
        let head = self.head.replace(ptr::null_mut());
        // SAFETY: by W1 and W2 the chain has `len` nodes, which are the caller's from here on.
        let chain = unsafe { Chain::adopt(NonNull::new(head), len) };
        self.set_blocks(0, step);
        self.beyond.set(0);
        chain
    }

    /// Takes over all that another list holds, of the same class; this one is empty.
    pub(crate) fn take_over(&self, other: &Self, step: Step) {
        debug_assert!(self.len(step) == 0);
        self.head.set(other.head.replace(ptr::null_mut()));
        self.window.set(other.window.get());
        self.beyond.set(other.beyond.replace(0));
        other.set_blocks(0, step);
        if self.is_bare(step) {
            // Whatever it counted: a place that was never used has counted nothing yet.
            self.set_blocks(0, step);
            self.beyond.set(0);
        }
    }

    /// The blocks, the newest first; nothing is taken.
    fn iter(&self, step: Step) -> impl Iterator<Item = NonNull<Block>> {
        // SAFETY: the chain has that many nodes (W2), and is left as it is: nothing is written.
        let mut chain = unsafe { Chain::adopt(NonNull::new(self.head.get()), self.len(step)) };
        core::iter::from_fn(move || chain.pop())
    }

    /// Whether an address is among the first `most` nodes; for checks.
    pub(crate) fn has(&self, address: usize, most: u32, step: Step) -> bool {
        self.iter(step).take(most as usize).any(|block| block.addr().get() == address)
    }

    /// Checks W2, and that `is_mine` holds for every node, before its link is followed.
    pub(crate) fn is_sound(&self, step: Step, is_mine: impl FnMut(NonNull<Block>) -> bool) -> bool {
        if self.window.get() == closed_window(step) {
            return self.head.get().is_null() && self.beyond.get() == 0;
        }
        self.iter(step).map(is_mine).take_while(|&mine| mine).count() == self.len(step) as usize
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
