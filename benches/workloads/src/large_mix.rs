//! `large_mix`: 16 bytes to 4 MiB, every size order as often as the next; each page of a block is touched.
//!
//! Most of the time goes into the large ones: whether their memory is kept and reused, or given back
//! and faulted in again.

use crate::block::Block;
use crate::job::{Job, all_right};
use crate::xorshift::XorShift;
use crate::{Args, WrongAnswer};
use std::alloc::GlobalAlloc;

const PAGE: usize = 4096;

pub(crate) struct LargeMix<'a, A: GlobalAlloc> {
    allocator: &'a A,
    args: Args,
    slots: Vec<Block>,
    wrong: u64,
}

impl<'a, A: GlobalAlloc> LargeMix<'a, A> {
    pub(crate) fn new(allocator: &'a A, args: Args) -> Self {
        Self { allocator, args, slots: vec![Block::NONE; args.ws], wrong: 0 }
    }

    fn turn(&mut self, index: usize, size: usize) {
        let block = self.slots[index];
        if !block.is_none() {
            self.slots[index] = Block::NONE;
            self.wrong += block.free(self.allocator, index);
            return;
        }
        let block = Block::new(self.allocator, size, index);
        self.wrong += u64::from(block.is_none());
        if !block.is_none() {
            for offset in (PAGE..size).step_by(PAGE) {
                // SAFETY: `offset` is inside the block, which is ours.
                unsafe { block.start.wrapping_add(offset).write_volatile(1) };
            }
        }
        self.slots[index] = block;
    }
}

impl<A: GlobalAlloc> Job for LargeMix<'_, A> {
    fn run(&mut self) {
        let mut random = XorShift::new(self.args.seed);
        for _ in 0..self.args.cycles {
            let index = random.below(self.slots.len());
            let lg = random.below(18);
            let size = (16 << lg) + random.below(16 << lg);
            self.turn(index, size);
        }
    }

    fn finish(mut self: Box<Self>) -> Result<(), WrongAnswer> {
        for (tag, block) in self.slots.iter().enumerate() {
            self.wrong += block.free_if_any(self.allocator, tag);
        }
        all_right(self.wrong)
    }
}
