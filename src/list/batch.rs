//! A batch: blocks of one class that move together between a thread and its arena.
//!
//! An array of addresses, so that moving blocks touches none of them: on the way home a block's line may be in no cache
//! (after tcmalloc's transfer cache).
//!
//! BA1  The first `len` places hold blocks, which the batch owns.
//!
//! Never: allocates, locks, or looks at a slab or a block.

use super::free_block::FreeBlock;
use crate::base::BATCH_MOST;
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

    /// How many blocks it has.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.len as u32
    }

    /// True if there is no room for one more block.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.len >= BATCH_MOST
    }

    /// Adds a block as the last one. The batch has room.
    #[inline]
    pub(crate) fn push(&mut self, block: FreeBlock) {
        debug_assert!(!self.is_full());
        if let Some(place) = self.blocks.get_mut(self.len) {
            place.write(block);
            self.len += 1;
        }
    }

    /// Takes the last block.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<FreeBlock> {
        let len = self.len.checked_sub(1)?;
        let place = self.blocks.get(len)?;
        self.len = len;
        // SAFETY: the place held a block (BA1), and is none of the first `len` any more: it is read once.
        Some(unsafe { place.assume_init_read() })
    }

    /// Offers each block to `take`, the first one first, and keeps those that it gives back.
    #[inline]
    pub(crate) fn offer(&mut self, mut take: impl FnMut(FreeBlock) -> Result<(), FreeBlock>) {
        let (len, mut kept) = (core::mem::take(&mut self.len), 0);
        for at in 0..len.min(BATCH_MOST) {
            // SAFETY: one of the first `len` places, which held blocks (BA1). `len` is 0 meanwhile, and each is read once.
            let block = unsafe { self.blocks[at].assume_init_read() };
            if let Err(block) = take(block) {
                self.blocks[kept % BATCH_MOST].write(block);
                kept += 1;
            }
        }
        self.len = kept;
    }

    /// The first block.
    pub(crate) fn first(&self) -> Option<&FreeBlock> {
        self.iter().next()
    }

    /// The blocks, the first one first.
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
            // SAFETY: 16 bytes, aligned to 8, which nothing else has.
            batch.push(unsafe { FreeBlock::new(start) });
        }
        assert!(batch.len() == 5 && !batch.is_full());
        let mut taken = Vec::new();
        batch.offer(|block| {
            if block.address() == starts[1].addr().get() {
                return Err(block);
            }
            taken.push(block.into_start());
            Ok(())
        });
        assert_eq!(taken, [starts[0], starts[2], starts[3], starts[4]]);
        assert_eq!(
            batch.iter().map(FreeBlock::address).collect::<Vec<_>>(),
            [starts[1].addr().get()]
        );
        assert_eq!(batch.pop().map(FreeBlock::into_start), Some(starts[1]));
        assert!(batch.pop().is_none() && batch.len() == 0);
    }
}
