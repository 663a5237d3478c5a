//! `realloc_grow`: a `Vec` that grows. From 16 bytes by doubling, as the standard library grows one, to a
//! size between 1 KiB and 1 MiB; `ws` of them in turn, so that they stand in each other's way.

use crate::block::{Block, layout};
use crate::job::{Job, all_right};
use crate::xorshift::XorShift;
use crate::{Args, WrongAnswer};
use std::alloc::GlobalAlloc;

const START: usize = 16;

pub(crate) struct ReallocGrow<'a, A: GlobalAlloc> {
    allocator: &'a A,
    args: Args,
    vecs: Vec<Growing>,
    wrong: u64,
}

#[derive(Clone, Copy)]
struct Growing {
    block: Block,
    until: usize,
}

impl<'a, A: GlobalAlloc> ReallocGrow<'a, A> {
    pub(crate) fn new(allocator: &'a A, args: Args) -> Self {
        let none = Growing { block: Block::NONE, until: 0 };
        Self { allocator, args, vecs: vec![none; args.ws], wrong: 0 }
    }

    /// One step of one vector: begin it, double it, or free it when it has its size.
    fn step(&mut self, index: usize, random: &mut XorShift) {
        let Growing { block, until } = self.vecs[index];
        self.vecs[index] = if block.is_none() {
            let block = Block::new(self.allocator, START, index);
            self.wrong += u64::from(block.is_none());
            Growing { block, until: 1024 << random.below(11) }
        } else if block.size >= until {
            self.wrong += block.free(self.allocator, index);
            Growing { block: Block::NONE, until: 0 }
        } else {
            self.wrong += u64::from(!block.is_intact(index));
            let size = 2 * block.size;
            // SAFETY: the block is live, with this layout, and the size is at most 1 MiB.
            let start = unsafe { self.allocator.realloc(block.start, layout(block.size), size) };
            if start.is_null() {
                self.wrong += 1;
                Growing { block, until: block.size }
            } else {
                // A vector grows when it is full, so the next copy must find written pages, not pages that were never
                // touched.
                let rest = start.wrapping_add(block.size);
                // SAFETY: the block has `size` bytes, which is twice what it had.
                unsafe { rest.write_bytes(1, block.size) };
                let block = Block { start, size };
                self.wrong += u64::from(!Block { start, size: size / 2 }.is_intact(index));
                block.restore(index);
                Growing { block, until }
            }
        };
    }
}

impl<A: GlobalAlloc> Job for ReallocGrow<'_, A> {
    fn run(&mut self) {
        let mut random = XorShift::new(self.args.seed);
        for _ in 0..self.args.cycles {
            let index = random.below(self.vecs.len());
            self.step(index, &mut random);
        }
    }

    fn finish(mut self: Box<Self>) -> Result<(), WrongAnswer> {
        for (tag, vec) in self.vecs.iter().enumerate().filter(|(_, vec)| !vec.block.is_none()) {
            self.wrong += vec.block.free(self.allocator, tag);
        }
        all_right(self.wrong)
    }
}
