//! Slots that hold a block each, or none.

use crate::WrongAnswer;
use crate::block::Block;
use crate::job::all_right;
use std::alloc::GlobalAlloc;

pub(crate) struct Slots<'a, A: GlobalAlloc> {
    allocator: &'a A,
    slots: Vec<Block>,
    /// Blocks that were not as written, or could not be had.
    wrong: u64,
}

impl<'a, A: GlobalAlloc> Slots<'a, A> {
    pub(crate) fn new(allocator: &'a A, count: usize) -> Self {
        Self { allocator, slots: vec![Block::NONE; count], wrong: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn has_block(&self, index: usize) -> bool {
        !self.slots[index].is_none()
    }

    /// One operation: frees the slot's block, or if it has none allocates one of `size` bytes (at
    /// least 8) and touches it.
    #[inline(always)]
    pub(crate) fn turn(&mut self, index: usize, size: usize) {
        self.turn_with(index, |allocator, _| Block::new(allocator, size, index));
    }

    /// Like [`turn`](Self::turn), with a block of the caller's making, whose tag is `index`. `make`
    /// may count what it finds wrong.
    #[inline(always)]
    pub(crate) fn turn_with(&mut self, index: usize, make: impl FnOnce(&A, &mut u64) -> Block) {
        let slot = &mut self.slots[index];
        if slot.is_none() {
            *slot = make(self.allocator, &mut self.wrong);
            self.wrong += u64::from(slot.is_none());
        } else {
            self.wrong += std::mem::replace(slot, Block::NONE).free(self.allocator, index);
        }
    }

    pub(crate) fn finish(mut self) -> Result<(), WrongAnswer> {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if !slot.is_none() {
                self.wrong += std::mem::replace(slot, Block::NONE).free(self.allocator, index);
            }
        }
        all_right(self.wrong)
    }
}
