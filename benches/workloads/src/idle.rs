//! `idle`: the memory that stays resident when a program frees most of its peak and then does nothing.
//!
//! `ws` blocks of 16 to 1039 bytes are allocated, and replaced at random until only the frees are left. Nine of ten
//! blocks are freed, in the order of their slots. Then no thread does anything: for three seconds at full length, and
//! for a shorter time in a run of fewer operations. So memory goes back only by what the allocator does by itself, with
//! or without a thread of its own.
//!
//! At the end of the silence the process's peak mark is lowered to its resident memory, so the reported peak is the
//! memory that stayed. Every byte of the remaining blocks is checked: this finds a page that was given back under one.

use crate::block::Block;
use crate::job::{Job, all_right};
use crate::xorshift::XorShift;
use crate::{Args, WrongAnswer, peak_mark};
use std::alloc::GlobalAlloc;
use std::time::Duration;
use std::{mem, thread};

/// So many blocks have one survivor.
const ONE_IN: usize = 10;
/// The silence at full length.
const SILENCE: Duration = Duration::from_secs(3);
/// Operations of a run of full length.
const FULL: u64 = 1_000_000;

pub(crate) struct Idle<'a, A: GlobalAlloc> {
    allocator: &'a A,
    args: Args,
    /// By tag. After the run every [`ONE_IN`]th is left.
    blocks: Vec<Block>,
    wrong: u64,
    mark: Result<(), WrongAnswer>,
}

impl<'a, A: GlobalAlloc> Idle<'a, A> {
    pub(crate) fn new(allocator: &'a A, args: Args) -> Self {
        // A short run has a lower peak: each block of it is allocated and freed.
        let most = usize::try_from(args.cycles / 2).unwrap_or(usize::MAX);
        let blocks = vec![Block::NONE; args.ws.min(most)];
        Self { allocator, args, blocks, wrong: 0, mark: Ok(()) }
    }

    /// Goes to the peak, stays there for the operations that are left, and goes down.
    fn rise_and_fall(&mut self) {
        let count = self.blocks.len();
        let mut random = XorShift::new(self.args.seed);
        for tag in 0..count {
            self.blocks[tag] = self.block(tag, &mut random);
        }
        let both_ways = 2 * count - count.div_ceil(ONE_IN);
        for _ in 0..self.args.cycles.saturating_sub(both_ways as u64) / 2 {
            let tag = random.below(count);
            self.free(tag);
            self.blocks[tag] = self.block(tag, &mut random);
        }
        for tag in 0..count {
            if tag % ONE_IN == 0 && !self.blocks[tag].is_none() {
                self.blocks[tag].fill(tag);
            } else {
                self.free(tag);
            }
        }
    }

    fn block(&self, tag: usize, random: &mut XorShift) -> Block {
        Block::new(self.allocator, 16 + random.below(1024), tag)
    }

    fn free(&mut self, tag: usize) {
        let block = mem::replace(&mut self.blocks[tag], Block::NONE);
        self.wrong += block.free_or_wrong(self.allocator, tag);
    }
}

impl<A: GlobalAlloc> Job for Idle<'_, A> {
    fn run(&mut self) {
        self.rise_and_fall();
        thread::sleep(SILENCE.mul_f64(self.args.cycles.min(FULL) as f64 / FULL as f64));
        self.mark = peak_mark::lower();
    }

    fn finish(mut self: Box<Self>) -> Result<(), WrongAnswer> {
        for (tag, block) in self.blocks.iter().enumerate().filter(|(_, block)| !block.is_none()) {
            self.wrong += u64::from(!block.is_whole(tag));
            self.wrong += block.free(self.allocator, tag);
        }
        self.mark?;
        all_right(self.wrong)
    }
}
