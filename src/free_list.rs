//! A thread's list of free blocks of one class.
//!
//! ```text
//! head ──▶ block ──▶ block ──▶ … ──▶ null      linked through the blocks, last in, first out
//! excess = length − limit                      negative while the list is below its limit
//! ```
//!
//! | the list is | `head` | `excess` | pop | push |
//! |---|---|---|---|---|
//! | empty | null | −limit | slow | fast |
//! | in use | a block | below −1 | fast | fast |
//! | one block below its limit, or more | a block | −1 or more | fast | slow |
//! | closed: its thread has no open cache, or has shut its lists | null | [`CLOSED`] or more | slow | slow |
//!
//! A pop is a null check. A push counts and tests a sign. Neither asks whether the thread has a cache: a closed list
//! fails both tests. *Slow* means that the operation fails and the caller takes its slow path.
//!
//! W1  Every node reachable from `head` is a free block of the list's class, which the list owns.
//! W2  The list has `excess + limit` nodes, unless it is closed: then it has none.
//! W3  Only one thread at a time touches the list. The exception is a closed list, which all threads without a cache
//!     may share: they write only to `excess`, by [`count_up`] or atomically.
//!
//! Never: allocates, locks, or looks at a slab.

use crate::batch::Batch;
use crate::free_block::{self, FreeBlock, Link};
use crate::sys::asm::count_up;
use crate::sys::atomic::{AtomicI32, Ordering};
use crate::sys::fatal::fatal;
use crate::variant::Variant;
use core::cell::Cell;
use core::mem::offset_of;
use core::ptr::{self, NonNull};

/// A list of free blocks. It has 16 bytes, so that four lists share a cache line.
#[repr(C)]
pub(crate) struct FreeList {
    head: Cell<*mut Link>,
    excess: Cell<i32>,
    limit: Cell<u32>,
}

/// The excess of a closed list. It stays positive however many threads push before they undo their counts.
const CLOSED: i32 = 1 << 30;

/// Bytes from a list's start to its `excess`.
pub(crate) const EXCESS_OFFSET: usize = offset_of!(FreeList, excess);

impl FreeList {
    /// A closed list.
    pub(crate) const fn closed() -> Self {
        Self { head: Cell::new(ptr::null_mut()), excess: Cell::new(CLOSED), limit: Cell::new(0) }
    }

    /// An empty list that takes any number of blocks by [`put`](Self::put).
    pub(crate) const fn unbounded() -> Self {
        Self { head: Cell::new(ptr::null_mut()), excess: Cell::new(0), limit: Cell::new(0) }
    }

    /// Opens a closed list with this limit.
    pub(crate) fn open(&self, limit: u32) {
        debug_assert!(self.head.get().is_null());
        self.limit.set(limit);
        self.set_len(0);
    }

    /// Closes an empty list.
    pub(crate) fn close(&self) {
        debug_assert!(self.head.get().is_null(), "Z1");
        self.excess.set(CLOSED);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.shared_excess() >= CLOSED
    }

    /// The count, which other threads may write to if the list is closed (W3).
    fn shared_excess(&self) -> i32 {
        // SAFETY: the count of this list, aligned to 4. While a closed list is shared, every thread writes to the count
        // by `count_up` or atomically (W3).
        let excess = unsafe { AtomicI32::from_ptr(self.excess.as_ptr()) };
        // ORDERING: relaxed; whatever other threads count at once, a closed list's count stays `CLOSED` or more.
        excess.load(Ordering::Relaxed)
    }

    /// Removes the newest block. For an empty or closed list it returns `None`, and writes nothing; so it does if the
    /// block's seal is broken.
    #[inline(always)]
    pub(crate) fn pop<V: Variant>(&self) -> Option<FreeBlock> {
        let node = NonNull::new(self.head.get())?;
        // SAFETY: the list owns the node, and a push or a batch wrote its link (W1). No other thread writes it (W3),
        // and the node is removed below.
        let (block, next) = unsafe { FreeBlock::from_node::<V>(node) }?;
        self.head.set(next);
        self.excess.set(self.excess.get().wrapping_sub(1));
        Some(block)
    }

    /// Removes the newest block, on a slow path. A broken seal ends the process.
    pub(crate) fn pop_checked<V: Variant>(&self) -> Option<FreeBlock> {
        let popped = self.pop::<V>();
        if popped.is_none() && !self.head.get().is_null() {
            fatal("a free block was changed, or freed twice:", self.newest());
        }
        popped
    }

    /// Adds a block that a program freed. If the list is at its limit, or closed, the block comes back as an error; so
    /// does one that was free already, if the variant looks.
    ///
    /// After an error the caller must call [`undo_push`](Self::undo_push). `shared` is true if several threads may
    /// share a closed list of this kind.
    #[inline(always)]
    pub(crate) fn push<V: Variant>(&self, block: FreeBlock, shared: bool) -> Result<(), FreeBlock> {
        let is_slow = if shared {
            // SAFETY: the count of this list. Other threads write to it only by `count_up` or atomically (W3).
            unsafe { count_up::<EXCESS_OFFSET>(ptr::from_ref(self).cast(), 0) }
        } else {
            self.excess.set(self.excess.get().wrapping_add(1));
            self.excess.get() >= 0
        };
        if is_slow || block.was_free::<V>() {
            return Err(block);
        }
        self.push_counted::<V>(block);
        Ok(())
    }

    /// Adds a block that `excess` already counts.
    #[inline(always)]
    pub(crate) fn push_counted<V: Variant>(&self, block: FreeBlock) {
        self.head.set(block.into_node::<V>(self.head.get()));
    }

    /// Undoes the count of a failed push.
    pub(crate) fn undo_push(&self) {
        // SAFETY: the count of this list, aligned to 4. While a closed list is shared, every thread writes to the count
        // by `count_up` or atomically (W3).
        let excess = unsafe { AtomicI32::from_ptr(self.excess.as_ptr()) };
        // ORDERING: relaxed; the exact number does not matter, as long as a closed list stays closed.
        let counted = excess.load(Ordering::Relaxed);
        // Threads that count at once may lose counts of each other, so subtracting could sink below `CLOSED`.
        let before = if counted < CLOSED { counted - 1 } else { CLOSED };
        excess.store(before, Ordering::Relaxed);
    }

    /// Adds a block regardless of the limit.
    pub(crate) fn put<V: Variant>(&self, block: FreeBlock) {
        self.excess.set(self.excess.get() + 1);
        self.push_counted::<V>(block);
    }

    /// Moves all blocks of a batch to the list, regardless of the limit. The batch's first block comes out first.
    pub(crate) fn fill<V: Variant>(&self, batch: &mut Batch) {
        let count = batch.len();
        self.head.set(batch.link::<V>(self.head.get()));
        self.excess.set(self.excess.get().wrapping_add_unsigned(count));
    }

    /// Moves up to `count` of the newest blocks to a batch, as long as the batch has room.
    pub(crate) fn take<V: Variant>(&self, count: u32, batch: &mut Batch) {
        for _ in 0..count {
            if batch.is_full() {
                return;
            }
            let Some(block) = self.pop_checked::<V>() else { return };
            block.seal::<V>();
            batch.push(block);
        }
    }

    /// Moves all blocks of another list of the class to this list, which is empty.
    pub(crate) fn take_over(&self, other: &Self) {
        debug_assert!(self.len() == 0);
        self.set_len(other.len());
        self.head.set(other.head.replace(ptr::null_mut()));
        other.set_len(0);
    }

    /// The number of blocks in the list.
    pub(crate) fn len(&self) -> u32 {
        if self.is_closed() {
            0
        } else {
            self.excess.get().wrapping_add_unsigned(self.limit.get()) as u32
        }
    }

    /// True if the list is closed, and no push is left to undo. A count that sank below `CLOSED`, or rose beyond all
    /// numbers, would open the list. For audits.
    pub(crate) fn counts_nothing(&self) -> bool {
        self.shared_excess() == CLOSED
    }

    /// True if the list is open and below its limit.
    pub(crate) fn has_room(&self) -> bool {
        self.shared_excess() < -1
    }

    fn set_len(&self, len: u32) {
        self.excess.set((len as i32).wrapping_sub_unsigned(self.limit.get()));
    }

    /// The length, in blocks, at which a push fails.
    pub(crate) fn limit(&self) -> u32 {
        self.limit.get()
    }

    /// Changes the limit, in blocks.
    pub(crate) fn set_limit(&self, limit: u32) {
        if self.is_closed() {
            return self.limit.set(limit);
        }
        let len = self.len();
        self.limit.set(limit);
        self.set_len(len);
    }

    /// The address of the newest block, or 0. A change of it shows that the list was used.
    pub(crate) fn newest(&self) -> usize {
        self.head.get().addr()
    }

    /// True if an address is among the newest `most` blocks; for checks.
    pub(crate) fn has(&self, address: usize, most: u32) -> bool {
        self.addresses().take(most as usize).any(|block| block == address)
    }

    /// True if W2 holds and `is_mine` is true of every block; for checks. It asks `is_mine` before it follows a link.
    pub(crate) fn is_sound(&self, is_mine: impl FnMut(usize) -> bool) -> bool {
        if self.is_closed() {
            return self.head.get().is_null();
        }
        let mine = self.addresses().map(is_mine).take_while(|&mine| mine).count();
        mine == self.len() as usize
    }

    /// The addresses of the blocks, newest first. The iterator follows a link only when the next address is asked for.
    fn addresses(&self) -> impl Iterator<Item = usize> {
        let (mut node, mut left) = (self.head.get(), self.len());
        let mut before: Option<NonNull<Link>> = None;
        core::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            if let Some(before) = before {
                // SAFETY: a node of this list: a push or a batch wrote its link (W1), and no other thread writes it
                // (W3).
                node = unsafe { free_block::next_of(before) };
            }
            before = NonNull::new(node);
            before.map(|node| node.addr().get())
        })
    }
}

const _: () = assert!(size_of::<FreeList>() == 16);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Apex;

    fn starts(memory: &mut [u64]) -> Vec<NonNull<u8>> {
        memory.iter_mut().map(|block| NonNull::from(block).cast()).collect()
    }

    fn block(start: NonNull<u8>) -> FreeBlock {
        // SAFETY: eight bytes, aligned to 8, that only the calling test uses.
        unsafe { FreeBlock::new(start) }
    }

    fn at(found: Option<FreeBlock>) -> Option<NonNull<u8>> {
        found.map(FreeBlock::into_start)
    }

    #[test]
    fn a_list_counts_and_orders() {
        let mut memory = [0_u64; 8];
        let starts = starts(&mut memory);
        for shared in [false, true] {
            let list = FreeList::closed();
            assert!(list.pop::<Apex>().is_none() && list.is_sound(|_| false));
            assert!(list.push::<Apex>(block(starts[0]), shared).is_err());
            list.undo_push();
            list.open(4);
            assert!(list.pop::<Apex>().is_none());
            for &start in &starts[..3] {
                assert!(list.push::<Apex>(block(start), shared).is_ok());
            }
            assert!(list.push::<Apex>(block(starts[3]), shared).is_err());
            list.undo_push();
            assert_eq!((list.len(), list.limit(), list.newest()), (3, 4, starts[2].addr().get()));
            assert!(list.has(starts[0].addr().get(), 3) && !list.has(starts[0].addr().get(), 2));
            let mine: Vec<usize> = starts[..3].iter().map(|start| start.addr().get()).collect();
            assert!(list.is_sound(|address| mine.contains(&address)));
            assert!(!list.is_sound(|address| mine[1..].contains(&address)));
            list.set_limit(9);
            assert!(list.push::<Apex>(block(starts[3]), shared).is_ok());
            let mut two = Batch::new();
            list.take::<Apex>(2, &mut two);
            assert_eq!((at(two.pop()), at(two.pop())), (Some(starts[2]), Some(starts[3])));
            assert_eq!(
                (at(list.pop::<Apex>()), at(list.pop::<Apex>())),
                (Some(starts[1]), Some(starts[0]))
            );
            assert!(list.pop::<Apex>().is_none() && list.len() == 0);
            list.close();
        }
    }

    #[test]
    fn a_list_is_filled_and_taken_over() {
        let mut memory = [0_u64; 3];
        let starts = starts(&mut memory);
        let (list, other) = (FreeList::closed(), FreeList::unbounded());
        let mut batch = Batch::new();
        starts.iter().for_each(|&start| batch.push(block(start)));
        list.open(1);
        list.fill::<Apex>(&mut batch);
        assert_eq!(list.len(), 3);
        other.take_over(&list);
        assert_eq!((list.len(), other.len()), (0, 3));
        assert!(list.pop::<Apex>().is_none(), "W1");
        let first = at(other.pop::<Apex>());
        assert_eq!(first, Some(starts[0]));
        other.put::<Apex>(block(starts[0]));
        let mut all = Batch::new();
        other.take::<Apex>(10, &mut all);
        assert_eq!((all.len(), at(all.pop()), other.len()), (3, Some(starts[2]), 0));
    }
}
