//! `larson`: threads that inherit blocks (after Larson and Krishnan's server simulation, 1998).
//!
//! Each thread replaces blocks of its share at random. When it ends, a new thread takes the share over, so most frees
//! are of blocks of ended threads.

use crate::block::Block;
use crate::job::{Job, all_right};
use crate::xorshift::XorShift;
use crate::{Args, THREADS, WrongAnswer};
use std::alloc::GlobalAlloc;
use std::thread;

/// Threads that a share passes through in one run.
const GENERATIONS: u64 = 8;

pub(crate) struct Larson<'a, A: GlobalAlloc> {
    allocator: &'a A,
    args: Args,
    shares: Vec<Share>,
}

/// The blocks that a thread hands to the next; their tags are their places.
struct Share {
    blocks: Vec<Block>,
    random: XorShift,
    wrong: u64,
}

fn size(random: &mut XorShift) -> usize {
    16 + random.below(1024)
}

impl<'a, A: GlobalAlloc> Larson<'a, A> {
    pub(crate) fn new(allocator: &'a A, args: Args) -> Self {
        let share = |n: u64| {
            let mut random = XorShift::new(args.seed + n);
            let blocks: Vec<Block> =
                (0..args.ws).map(|tag| Block::new(allocator, size(&mut random), tag)).collect();
            Share { blocks, random, wrong: 0 }
        };
        Self { allocator, args, shares: (0..THREADS).map(share).collect() }
    }
}

impl Share {
    /// Frees a block and allocates another in its place, so many times.
    fn replace<A: GlobalAlloc>(&mut self, allocator: &A, times: u64) {
        for _ in 0..times {
            let place = self.random.below(self.blocks.len());
            self.wrong += self.blocks[place].free_or_wrong(allocator, place);
            self.blocks[place] = Block::new(allocator, size(&mut self.random), place);
        }
    }
}

impl<A: GlobalAlloc + Sync> Job for Larson<'_, A> {
    fn run(&mut self) {
        let times = self.args.cycles / 2 / THREADS / GENERATIONS;
        let allocator = self.allocator;
        for _ in 0..GENERATIONS {
            thread::scope(|scope| {
                for share in &mut self.shares {
                    scope.spawn(move || share.replace(allocator, times));
                }
            });
        }
    }

    fn finish(self: Box<Self>) -> Result<(), WrongAnswer> {
        let mut wrong = 0;
        for share in self.shares {
            wrong += share.wrong;
            for (tag, block) in share.blocks.into_iter().enumerate() {
                wrong += block.free_or_wrong(self.allocator, tag);
            }
        }
        all_right(wrong)
    }
}
