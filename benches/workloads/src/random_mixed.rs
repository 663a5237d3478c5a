//! `random_mixed`: the founding report's workload.
//!
//! Draw r, pick a slot by it; if the slot holds a block free it, else allocate `16 + (r & 0x3FF)`
//! bytes and touch them. The sizes are uniform over 16 to 1039, about half of the slots are
//! occupied, and no size or lifetime depends on another: the steady state of a program without
//! phases.
//!
//! The slot comes from the high half of r and the size from the low bits, so a slot's size changes.

use crate::job::Job;
use crate::slots::Slots;
use crate::xorshift::XorShift;
use crate::{Args, WrongAnswer};
use std::alloc::GlobalAlloc;

pub(crate) struct RandomMixed<'a, A: GlobalAlloc> {
    slots: Slots<'a, A>,
    args: Args,
}

impl<'a, A: GlobalAlloc> RandomMixed<'a, A> {
    pub(crate) fn new(allocator: &'a A, args: Args) -> Self {
        Self { slots: Slots::new(allocator, args.ws), args }
    }
}

impl<A: GlobalAlloc> Job for RandomMixed<'_, A> {
    fn run(&mut self) {
        let mut random = XorShift::new(self.args.seed);
        let count = self.slots.len() as u64;
        for _ in 0..self.args.cycles {
            let r = random.next();
            let index = ((r >> 32) * count) >> 32;
            self.slots.turn(index as usize, 16 + (r & 0x3FF) as usize);
        }
    }

    fn finish(self: Box<Self>) -> Result<(), WrongAnswer> {
        self.slots.finish()
    }
}
