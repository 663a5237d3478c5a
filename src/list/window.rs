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
//! With `thread_list = "magazine"` the blocks are not linked: `head` is where the next one's address goes in an
//! array of them, the newest lies below it, and beyond are the lowest. All that is counted is the same.
//!
//! W1  Every node reachable from `head` is a free block of the list's class, and in this list only.
//! W2  The chain has `window / step + beyond` nodes, unless the list is closed: then none.
//! W3  Only one thread at a time touches the list and its nodes.
//! W4  A magazine's array has room for all blocks that its list may hold: `head` stays inside.
//!
//! Never: allocates, locks, or looks at a slab.

use super::chain::Chain;
use super::local::Block;
use crate::variant::ThreadList;
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

    /// An open list without blocks; a linked one.
    pub(crate) const fn empty() -> Self {
        Self { head: Cell::new(ptr::null_mut()), window: Cell::new(0), beyond: Cell::new(0) }
    }

    /// Opens a closed list, which is empty then; a magazine's array is at `place`, which is null for a linked one.
    pub(crate) fn open(&self, place: *mut Block) {
        self.head.set(place);
        self.window.set(0);
    }

    /// Closes a list that is empty.
    pub(crate) fn close(&self) {
        debug_assert!(self.window.get() <= 0 && self.beyond.get() == 0);
        self.head.set(ptr::null_mut());
        self.window.set(CLOSED);
    }

    /// Takes the newest block, which is the caller's alone; `None` where the list needs a look.
    ///
    /// With `keeps` the list is not written to when it says `None`: it may be shared then.
    #[inline(always)]
    pub(crate) fn pop(&self, step: i32, keeps: bool, links: ThreadList) -> Option<NonNull<Block>> {
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
        Some(self.unlink(links))
    }

    /// Undoes what a pop without `keeps` that said `None` did.
    pub(crate) fn undo_pop(&self, step: i32) {
        self.window.set(self.window.get().wrapping_add(step));
    }

    /// The newest block, taken off the chain, which is not empty.
    #[inline(always)]
    fn unlink(&self, links: ThreadList) -> NonNull<Block> {
        let head = self.head.get();
        if links == ThreadList::Magazine {
            let newest = head.cast::<NonNull<Block>>().wrapping_sub(1);
            self.head.set(newest.cast());
            // SAFETY: the list holds a block (W2), whose address lies below `head`, in the array (W4).
            return unsafe { newest.read() };
        }
        // SAFETY: the window held a block, so the chain has one (W2), which `head` names.
        let block = unsafe { NonNull::new_unchecked(head) };
        // SAFETY: a node of the chain is a free block whose link its push has written (W1), and no
        // other thread writes it now (W3).
        self.head.set(unsafe { block.as_ref() }.next);
        block
    }

    /// Puts a free block, the caller's alone, on top.
    ///
    /// # Safety
    /// As for [`push`](Self::push); and there is room for it.
    #[inline(always)]
    unsafe fn link(&self, block: NonNull<Block>, links: ThreadList) {
        let head = self.head.get();
        if links == ThreadList::Magazine {
            let place = head.cast::<NonNull<Block>>();
            // SAFETY: by the caller's condition `head` is inside the array (W4), which is this list's.
            unsafe { place.write(block) };
            return self.head.set(place.wrapping_add(1).cast());
        }
        // SAFETY: the block is free and the caller's alone, so nobody reads its first 8 bytes, and
        // every block has 8 bytes, aligned to 8 (C1, C3).
        unsafe { block.write(Block { next: head }) };
        self.head.set(block.as_ptr());
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
    pub(crate) unsafe fn push(
        &self,
        block: NonNull<Block>,
        step: i32,
        keeps: bool,
        links: ThreadList,
    ) -> bool {
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
        // SAFETY: the caller's conditions; a window that is not full has room for one more (W4).
        unsafe { self.link(block, links) };
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
    pub(crate) fn fill(&self, chain: &Chain, step: i32, links: ThreadList) {
        debug_assert!(self.len(step) == 0);
        self.window.set(chain.len() as i32 * step);
        if links == ThreadList::Linked {
            return self.head.set(chain.head().map_or(ptr::null_mut(), NonNull::as_ptr));
        }
        // From the top down, so that the first comes out first.
        let top = self.head.get().cast::<NonNull<Block>>().wrapping_add(chain.len() as usize);
        self.head.set(top.cast());
        for (n, block) in chain.iter().enumerate() {
            let place = top.wrapping_sub(n + 1);
            // SAFETY: a batch has room in an empty list's array (W4).
            unsafe { place.write(block) };
        }
    }

    /// Takes the `count` newest blocks of the window, in order.
    pub(crate) fn split(&self, count: u32, step: i32, links: ThreadList) -> Chain {
        debug_assert!(count <= self.window_len(step));
        let mut chain = Chain::new();
        for _ in 0..count {
            self.window.set(self.window.get() - step);
            // SAFETY: just taken off this list, so it is in no other, free and the caller's alone.
            unsafe { chain.append(self.unlink(links)) };
        }
        chain
    }

    /// Takes every block.
    pub(crate) fn take_all(&self, step: i32, links: ThreadList) -> Chain {
        let len = self.len(step);
        let chain = match links {
            ThreadList::Linked => {
                let head = self.head.replace(ptr::null_mut());
                // SAFETY: by W1 and W2 the chain has `len` nodes, which are the caller's from here on.
                unsafe { Chain::adopt(NonNull::new(head), len) }
            }
            ThreadList::Magazine => {
                let mut chain = Chain::new();
                for block in self.iter(step, links) {
                    // SAFETY: a free block of this list (W1), which is emptied below.
                    unsafe { chain.append(block) };
                }
                let addresses = self.head.get().cast::<NonNull<Block>>();
                self.head.set(addresses.wrapping_sub(len as usize).cast());
                chain
            }
        };
        self.window.set(0);
        self.beyond.set(0);
        chain
    }

    /// Takes over all that another list holds, of the same class; both are linked, and this one is empty.
    pub(crate) fn take_over(&self, other: &Self) {
        debug_assert!(self.window.get() == 0 && self.beyond.get() == 0);
        self.head.set(other.head.replace(ptr::null_mut()));
        self.window.set(other.window.replace(0));
        self.beyond.set(other.beyond.replace(0));
    }

    /// The blocks, the newest first; nothing is taken.
    fn iter(&self, step: i32, links: ThreadList) -> impl Iterator<Item = NonNull<Block>> {
        let head = self.head.get();
        let (mut chain, array) = match links {
            // SAFETY: the chain has that many nodes (W2), and is left as it is: nothing is written.
            ThreadList::Linked => (unsafe { Chain::adopt(NonNull::new(head), self.len(step)) }, 0),
            ThreadList::Magazine => (Chain::new(), self.len(step) as usize),
        };
        let in_array = (1..=array).map(move |n| {
            let place = head.cast::<NonNull<Block>>().wrapping_sub(n);
            // SAFETY: the array has that many addresses below `head` (W2, W4).
            unsafe { place.read() }
        });
        core::iter::from_fn(move || chain.pop()).chain(in_array)
    }

    /// Whether an address is among the first `most` nodes; for checks.
    pub(crate) fn has(&self, address: usize, most: u32, step: i32, links: ThreadList) -> bool {
        self.iter(step, links).take(most as usize).any(|block| block.addr().get() == address)
    }

    /// Checks W2, and that `is_mine` holds for every node, before its link is followed.
    pub(crate) fn is_sound(
        &self,
        step: i32,
        links: ThreadList,
        is_mine: impl FnMut(NonNull<Block>) -> bool,
    ) -> bool {
        if self.window.get() == CLOSED {
            return self.head.get().is_null() && self.beyond.get() == 0;
        }
        self.iter(step, links).map(is_mine).take_while(|&mine| mine).count()
            == self.len(step) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: i32 = 1 << 29;

    #[test]
    fn linked_or_not_a_list_counts_and_orders_alike() {
        for links in [ThreadList::Linked, ThreadList::Magazine] {
            let mut blocks = [0_u64; 8];
            let mut array = [ptr::null_mut::<Block>(); 8];
            let blocks: Vec<NonNull<Block>> =
                blocks.iter_mut().map(|block| NonNull::from(block).cast()).collect();
            let list = WindowList::closed();
            assert!(list.pop(STEP, true, links).is_none() && list.is_sound(STEP, links, |_| false));
            // SAFETY: free, and in no list; a closed one does not take it.
            assert!(!unsafe { list.push(blocks[0], STEP, true, links) });
            list.open(match links {
                ThreadList::Linked => ptr::null_mut(),
                ThreadList::Magazine => array.as_mut_ptr().cast(),
            });
            assert!(list.pop(STEP, true, links).is_none());

            let mut chain = Chain::new();
            for &block in &blocks[..3] {
                // SAFETY: eight bytes, aligned so, free, and appended once.
                unsafe { chain.append(block) };
            }
            list.fill(&chain, STEP, links);
            assert_eq!(list.pop(STEP, true, links), Some(blocks[0]));
            for &block in [blocks[0], blocks[3]].iter() {
                list.set_aside(1, STEP);
                // SAFETY: free, and in no list; there is room for eight.
                assert!(unsafe { list.push(block, STEP, true, links) });
            }
            assert_eq!((list.len(STEP), list.window_len(STEP)), (4, 2));
            let newest_first = [blocks[3], blocks[0], blocks[1], blocks[2]];
            assert_eq!(list.iter(STEP, links).collect::<Vec<_>>(), newest_first);
            assert!(list.has(blocks[2].addr().get(), 4, STEP, links));
            assert!(!list.has(blocks[2].addr().get(), 3, STEP, links));
            assert!(list.is_sound(STEP, links, |block| newest_first.contains(&block)));
            assert!(!list.is_sound(STEP, links, |block| block != blocks[2]));

            let newest = list.split(1, STEP, links);
            assert_eq!(newest.iter().collect::<Vec<_>>(), [blocks[3]]);
            let rest = list.take_all(STEP, links);
            assert_eq!(rest.iter().collect::<Vec<_>>(), newest_first[1..]);
            assert_eq!(list.len(STEP), 0);
            list.close();
        }
    }

    #[test]
    fn a_list_is_taken_over_whole() {
        let mut block = 0_u64;
        let block = NonNull::from(&mut block).cast();
        let (from, to) = (WindowList::empty(), WindowList::empty());
        // SAFETY: eight bytes, aligned so, free, and in no list.
        assert!(unsafe { from.push(block, STEP, true, ThreadList::Linked) });
        from.set_aside(1, STEP);
        to.take_over(&from);
        assert_eq!((from.len(STEP), to.len(STEP), to.window_len(STEP)), (0, 1, 0));
        assert_eq!(to.draw(1, STEP), 1);
        assert_eq!(to.pop(STEP, true, ThreadList::Linked), Some(block));
        from.close();
    }
}
