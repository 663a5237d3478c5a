//! `buffers`: buffers of 64 KiB to 4 MiB, `ws` of them alive, one replaced at a time, each written whole.
//!
//! What a freed buffer leaves should serve the next ones, though they are of other sizes: an allocator that gives it
//! back, or that keeps it for its own size, pays with page faults for every buffer.

use crate::block::Block;
use crate::job::Job;
use crate::slots::Slots;
use crate::xorshift::XorShift;
use crate::{Args, WrongAnswer};
use std::alloc::GlobalAlloc;

const LEAST: usize = 64 << 10;
const MOST: usize = 4 << 20;

pub(crate) struct Buffers<'a, A: GlobalAlloc> {
    slots: Slots<'a, A>,
    args: Args,
}

impl<'a, A: GlobalAlloc> Buffers<'a, A> {
    pub(crate) fn new(allocator: &'a A, args: Args) -> Self {
        Self { slots: Slots::new(allocator, args.ws), args }
    }
}

/// A block all of whose bytes are written.
fn make<A: GlobalAlloc>(allocator: &A, size: usize, tag: usize) -> Block {
    let block = Block::new(allocator, size, tag);
    if !block.is_none() {
        block.fill(tag);
    }
    block
}

impl<A: GlobalAlloc> Job for Buffers<'_, A> {
    fn run(&mut self) {
        let mut random = XorShift::new(self.args.seed);
        for _ in 0..self.args.cycles.div_ceil(2) {
            let index = random.below(self.slots.len());
            let size = LEAST + random.below(MOST - LEAST);
            if self.slots.has_block(index) {
                self.slots.turn(index, size);
            }
            self.slots.turn_with(index, |allocator, _| make(allocator, size, index));
        }
    }

    fn finish(self: Box<Self>) -> Result<(), WrongAnswer> {
        self.slots.finish()
    }
}
