//! `zeroed`: zeroed blocks of 16 bytes to 64 KiB, every size order as often as the next, written to and freed.
//!
//! An allocator that knows fresh memory saves the zeroing; one that takes used memory for fresh is caught.

use crate::block::{Block, layout};
use crate::job::Job;
use crate::slots::Slots;
use crate::xorshift::XorShift;
use crate::{Args, WrongAnswer};
use std::alloc::GlobalAlloc;

pub(crate) struct Zeroed<'a, A: GlobalAlloc> {
    slots: Slots<'a, A>,
    args: Args,
}

impl<'a, A: GlobalAlloc> Zeroed<'a, A> {
    pub(crate) fn new(allocator: &'a A, args: Args) -> Self {
        Self { slots: Slots::new(allocator, args.ws), args }
    }
}

/// A zeroed block, checked and written to in three places.
fn make<A: GlobalAlloc>(allocator: &A, size: usize, tag: usize, wrong: &mut u64) -> Block {
    // SAFETY: the layout's size is not 0.
    let start = unsafe { allocator.alloc_zeroed(layout(size)) };
    if start.is_null() {
        return Block::NONE;
    }
    let words = start.cast::<u64>();
    let places = [0, size / 16, size / 8 - 1].map(|at| words.wrapping_add(at));
    for word in places {
        // SAFETY: the places are below the block's `size / 8` words, which are ours.
        *wrong += u64::from(unsafe { word.read() } != 0);
    }
    for word in places {
        // SAFETY: the places are below the block's `size / 8` words, which are ours.
        unsafe { word.write(u64::MAX) };
    }
    let block = Block { start, size };
    block.restore(tag);
    block
}

impl<A: GlobalAlloc> Job for Zeroed<'_, A> {
    fn run(&mut self) {
        let mut random = XorShift::new(self.args.seed);
        for _ in 0..self.args.cycles {
            let index = random.below(self.slots.len());
            let lg = random.below(12);
            let size = (16 << lg) + random.below(16 << lg);
            self.slots.turn_with(index, |allocator, wrong| make(allocator, size, index, wrong));
        }
    }

    fn finish(self: Box<Self>) -> Result<(), WrongAnswer> {
        self.slots.finish()
    }
}
