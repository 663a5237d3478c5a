//! `lifo` and `fifo`: allocate a batch of `ws` blocks, free it, newest first or oldest first; again.
//!
//! Newest first is a thread's list at its best. Oldest first asks for blocks in the order in which they
//! were freed, the worst for a stack, and for the cache.

use crate::block::Block;
use crate::job::{Job, all_right};
use crate::xorshift::XorShift;
use crate::{Args, WrongAnswer};
use std::alloc::GlobalAlloc;

pub(crate) struct Batches<'a, A: GlobalAlloc> {
    allocator: &'a A,
    args: Args,
    newest_first: bool,
    batch: Vec<Block>,
    wrong: u64,
}

impl<'a, A: GlobalAlloc> Batches<'a, A> {
    pub(crate) fn new(allocator: &'a A, args: Args, newest_first: bool) -> Self {
        Self { allocator, args, newest_first, batch: Vec::with_capacity(args.ws), wrong: 0 }
    }
}

impl<A: GlobalAlloc> Job for Batches<'_, A> {
    fn run(&mut self) {
        let mut random = XorShift::new(self.args.seed);
        for _ in 0..self.args.cycles / 2 / self.args.ws as u64 {
            for tag in 0..self.args.ws {
                self.batch.push(Block::new(self.allocator, 16 + random.below(1024), tag));
            }
            if self.newest_first {
                while let Some(block) = self.batch.pop() {
                    self.wrong += block.free_or_wrong(self.allocator, self.batch.len());
                }
            } else {
                for (tag, block) in self.batch.drain(..).enumerate() {
                    self.wrong += block.free_or_wrong(self.allocator, tag);
                }
            }
        }
    }

    fn finish(self: Box<Self>) -> Result<(), WrongAnswer> {
        all_right(self.wrong)
    }
}
