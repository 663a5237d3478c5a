//! A batch: blocks of one class that move together between a thread cache and a central list.
//!
//! It is an array of addresses, as in tcmalloc's transfer cache. Moving a block does not touch the block, whose cache
//! line may be in no cache when it goes home.
//!
//! BA1  The first `len` places hold blocks, which the batch owns.
//!
//! Never: allocates, locks, or looks at a slab or a block.

use crate::base::BATCH_MOST;
use crate::free_block::{FreeBlock, Link};
use crate::sys::secret::Random;
use crate::variant::Variant;
use core::mem::MaybeUninit;

/// Up to [`BATCH_MOST`] blocks.
pub(crate) struct Batch {
    len: usize,
    blocks: [MaybeUninit<FreeBlock>; BATCH_MOST],
}

impl Batch {
    pub(crate) const fn new() -> Self {
        Self { len: 0, blocks: [const { MaybeUninit::uninit() }; BATCH_MOST] }
    }

    /// The number of blocks in the batch.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.len as u32
    }

    /// True if the batch has no room for another block.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.len >= BATCH_MOST
    }

    /// Adds a block at the end. The batch must have room.
    #[inline]
    pub(crate) fn push(&mut self, block: FreeBlock) {
        debug_assert!(!self.is_full());
        if let Some(place) = self.blocks.get_mut(self.len) {
            place.write(block);
            self.len += 1;
        }
    }

    /// Removes the last block.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<FreeBlock> {
        let len = self.len.checked_sub(1)?;
        let place = self.blocks.get(len)?;
        self.len = len;
        // SAFETY: the place held a block (BA1). `len` no longer counts it, so it is read once.
        Some(unsafe { place.assume_init_read() })
    }

    /// Offers the blocks to `take` in runs of equal `key`, in order.
    ///
    /// If `take` returns true it owns the blocks of the run. Otherwise the batch keeps them.
    #[inline]
    pub(crate) fn offer_runs(
        &mut self,
        key: impl Fn(usize) -> usize,
        mut take: impl FnMut(&[FreeBlock]) -> bool,
    ) {
        let (mut from, mut kept) = (0, 0);
        let len = core::mem::take(&mut self.len).min(BATCH_MOST);
        while from < len {
            // SAFETY: the first `len` places hold blocks (BA1), and `MaybeUninit<FreeBlock>` has the layout of a block.
            let rest = unsafe { &*(&raw const self.blocks[from..len] as *const [FreeBlock]) };
            let first = rest.first().map_or(0, |block| key(block.address()));
            let count = rest.iter().take_while(|block| key(block.address()) == first).count();
            if !take(rest.get(..count).unwrap_or_default()) {
                for at in from..from + count {
                    self.blocks.swap(at % BATCH_MOST, kept % BATCH_MOST);
                    kept += 1;
                }
            }
            from += count;
        }
        self.len = kept;
    }

    /// Puts the blocks in a random order: each order is as likely (Fisher and Yates).
    pub(crate) fn shuffle(&mut self, random: &Random) {
        for last in (1..self.len.min(BATCH_MOST)).rev() {
            self.blocks.swap(last, random.below(last + 1) % BATCH_MOST);
        }
    }

    /// Empties the batch into a chain of nodes that ends in `below`, and returns the first block's node.
    ///
    /// It writes to each block once, in order. The blocks may be in no cache, and processors prefetch upwards.
    #[inline]
    pub(crate) fn link<V: Variant>(&mut self, below: *mut Link) -> *mut Link {
        let len = core::mem::take(&mut self.len).min(BATCH_MOST);
        let mut nodes = self.blocks.iter().take(len).map(|place| {
            // SAFETY: one of the first `len` places, which held blocks (BA1). `len` is 0 now, so each is read once.
            unsafe { place.assume_init_read() }
        });
        let Some(mut block) = nodes.next() else { return below };
        let first = block.node();
        for next in nodes {
            block.into_node::<V>(next.node());
            block = next;
        }
        block.into_node::<V>(below);
        first
    }

    /// The first block, if there is one.
    pub(crate) fn first(&self) -> Option<&FreeBlock> {
        self.iter().next()
    }

    /// The blocks, in order.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &FreeBlock> {
        // SAFETY: the first `len` places hold blocks (BA1).
        self.blocks.iter().take(self.len).map(|place| unsafe { place.assume_init_ref() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ptr::NonNull;

    #[test]
    fn blocks_come_and_go() {
        let mut memory = [[0_u64; 2]; 5];
        let starts: Vec<NonNull<u8>> =
            memory.iter_mut().map(|block| NonNull::from(block).cast()).collect();
        let mut batch = Batch::new();
        for &start in &starts {
            // SAFETY: 16 bytes, aligned to 8, that only this test uses.
            batch.push(unsafe { FreeBlock::new(start) });
        }
        assert!(batch.len() == 5 && !batch.is_full());
        let mut taken = Vec::new();
        let is_second = |address| usize::from(address == starts[1].addr().get());
        batch.offer_runs(is_second, |run| {
            if is_second(run[0].address()) == 1 {
                return false;
            }
            taken.push(run.iter().map(FreeBlock::address).collect::<Vec<_>>());
            true
        });
        let at = |n: usize| starts[n].addr().get();
        assert_eq!(taken, [vec![at(0)], vec![at(2), at(3), at(4)]]);
        assert_eq!(
            batch.iter().map(FreeBlock::address).collect::<Vec<_>>(),
            [starts[1].addr().get()]
        );
        assert_eq!(batch.pop().map(FreeBlock::into_start), Some(starts[1]));
        assert!(batch.pop().is_none() && batch.len() == 0);
        // What is refused stays, however long its run is.
        for &start in &starts {
            // SAFETY: 16 bytes, aligned to 8, that only this test uses.
            batch.push(unsafe { FreeBlock::new(start) });
        }
        batch.offer_runs(|address| usize::from(address > at(0)), |run| run.len() == 1);
        assert_eq!(
            batch.iter().map(FreeBlock::address).collect::<Vec<_>>(),
            [at(1), at(2), at(3), at(4)]
        );
    }
}
