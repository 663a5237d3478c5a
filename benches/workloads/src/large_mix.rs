//! `large_mix`: 16 bytes to 4 MiB, every size order as often as the next; each page of a block is touched.
//!
//! Most of the time goes into the large ones: the allocator keeps their memory and uses it again, or gives it back and
//! faults it in again.

use crate::block::Block;
use crate::job::Job;
use crate::slots::Slots;
use crate::xorshift::XorShift;
use crate::{Args, WrongAnswer};
use std::alloc::GlobalAlloc;

const PAGE: usize = 4096;

pub(crate) struct LargeMix<'a, A: GlobalAlloc> {
    slots: Slots<'a, A>,
    args: Args,
}

impl<'a, A: GlobalAlloc> LargeMix<'a, A> {
    pub(crate) fn new(allocator: &'a A, args: Args) -> Self {
        Self { slots: Slots::new(allocator, args.ws), args }
    }
}

/// A block with all its pages touched.
fn make<A: GlobalAlloc>(allocator: &A, size: usize, tag: usize) -> Block {
    let block = Block::new(allocator, size, tag);
    if !block.is_none() {
        for offset in (PAGE..size).step_by(PAGE) {
            // SAFETY: `offset` is inside the block, which is ours.
            unsafe { block.start.wrapping_add(offset).write_volatile(1) };
        }
    }
    block
}

impl<A: GlobalAlloc> Job for LargeMix<'_, A> {
    fn run(&mut self) {
        let mut random = XorShift::new(self.args.seed);
        for _ in 0..self.args.cycles {
            let index = random.below(self.slots.len());
            let lg = random.below(18);
            let size = (16 << lg) + random.below(16 << lg);
            self.slots.turn_with(index, |allocator, _| make(allocator, size, index));
        }
    }

    fn finish(self: Box<Self>) -> Result<(), WrongAnswer> {
        self.slots.finish()
    }
}
