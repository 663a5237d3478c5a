//! `zeroed`: zeroed blocks of 16 bytes to 64 KiB, every size order as often as the next, written to and freed.
//!
//! What an allocator knows of fresh memory saves it the zeroing; what it forgets of used memory is found out.

use crate::block::{Block, layout};
use crate::job::{Job, all_right};
use crate::xorshift::XorShift;
use crate::{Args, WrongAnswer};
use std::alloc::GlobalAlloc;

pub(crate) struct Zeroed<'a, A: GlobalAlloc> {
    allocator: &'a A,
    args: Args,
    slots: Vec<Block>,
    wrong: u64,
}

impl<'a, A: GlobalAlloc> Zeroed<'a, A> {
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
        // SAFETY: the layout's size is not 0.
        let start = unsafe { self.allocator.alloc_zeroed(layout(size)) };
        if start.is_null() {
            self.wrong += 1;
            return;
        }
        let words = start.cast::<u64>();
        let places = [0, size / 16, size / 8 - 1].map(|at| words.wrapping_add(at));
        for word in places {
            // SAFETY: the places are below the block's `size / 8` words, which are ours.
            self.wrong += u64::from(unsafe { word.read() } != 0);
        }
        for word in places {
            // SAFETY: as above.
            unsafe { word.write(u64::MAX) };
        }
        let block = Block { start, size };
        block.restore(index);
        self.slots[index] = block;
    }
}

impl<A: GlobalAlloc> Job for Zeroed<'_, A> {
    fn run(&mut self) {
        let mut random = XorShift::new(self.args.seed);
        for _ in 0..self.args.cycles {
            let index = random.below(self.slots.len());
            let lg = random.below(12);
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
