//! `random_mixed`: the founding report's workload.
//!
//! Draw r, pick a slot by it; if the slot holds a block free it, else allocate `16 + (r & 0x3FF)`
//! bytes and touch them. The sizes are uniform over 16 to 1039, about half of the slots are
//! occupied, and no size or lifetime depends on another: the steady state of a program without
//! phases.
//!
//! The slot comes from the high half of r and the size from the low bits, so that a slot does not
//! always hold the same size.

use crate::Args;
use crate::slots::Slots;
use crate::xorshift::XorShift;
use std::alloc::GlobalAlloc;

#[inline(never)]
pub(crate) fn run<A: GlobalAlloc>(slots: &mut Slots<'_, A>, args: Args) {
    let mut random = XorShift::new(args.seed);
    let count = slots.len() as u64;
    for _ in 0..args.cycles {
        let r = random.next();
        let index = ((r >> 32) * count) >> 32;
        slots.turn(index as usize, 16 + (r & 0x3FF) as usize);
    }
}
