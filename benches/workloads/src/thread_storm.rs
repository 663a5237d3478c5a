//! `thread_storm`: short-lived threads, two at a time, each of which allocates `ws` blocks and frees them.
//!
//! It shows a thread's cost to an allocator: to set up, to take down, and to clean up after.

use crate::block::Block;
use crate::job::{Job, all_right};
use crate::xorshift::XorShift;
use crate::{Args, THREADS, WrongAnswer};
use std::alloc::GlobalAlloc;
use std::thread;

pub(crate) struct ThreadStorm<'a, A: GlobalAlloc> {
    allocator: &'a A,
    args: Args,
    wrong: u64,
}

impl<'a, A: GlobalAlloc> ThreadStorm<'a, A> {
    pub(crate) fn new(allocator: &'a A, args: Args) -> Self {
        Self { allocator, args, wrong: 0 }
    }
}

/// A thread's life; returns how many blocks were not as written.
fn live<A: GlobalAlloc>(allocator: &A, count: usize, seed: u64) -> u64 {
    let mut random = XorShift::new(seed);
    let blocks: Vec<Block> =
        (0..count).map(|tag| Block::new(allocator, 16 + random.below(1024), tag)).collect();
    blocks.into_iter().enumerate().map(|(tag, block)| block.free_or_wrong(allocator, tag)).sum()
}

impl<A: GlobalAlloc + Sync> Job for ThreadStorm<'_, A> {
    fn run(&mut self) {
        let Args { cycles, ws, seed } = self.args;
        let allocator = self.allocator;
        for round in 0..cycles / 2 / ws as u64 / THREADS {
            self.wrong += thread::scope(|scope| {
                let threads: Vec<_> = (0..THREADS)
                    .map(|n| scope.spawn(move || live(allocator, ws, seed + round * THREADS + n)))
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap_or(1)).sum::<u64>()
            });
        }
    }

    fn finish(self: Box<Self>) -> Result<(), WrongAnswer> {
        all_right(self.wrong)
    }
}
