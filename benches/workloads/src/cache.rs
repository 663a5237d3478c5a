//! `cache_thrash` and `cache_scratch`: false sharing, active and passive (after Hoard's benchmarks).
//!
//! Each thread allocates a small block, writes to it many times, and frees it. If the allocator gives
//! parts of one cache line to two threads, every write is a miss. *Active*: it does so by itself.
//! *Passive*: the threads start by freeing blocks that one thread allocated side by side, and the
//! allocator gives each of them its neighbour's line again.

use crate::block::Block;
use crate::job::{Job, all_right};
use crate::{Args, THREADS, WrongAnswer};
use std::alloc::GlobalAlloc;
use std::thread;

const SIZE: usize = 8;
/// Writes to a block while it lives.
const WRITES: u64 = 64;

pub(crate) struct Cache<'a, A: GlobalAlloc> {
    allocator: &'a A,
    args: Args,
    /// Neighbours, one for each thread to free first; none in the active case.
    first: Vec<Option<Block>>,
    wrong: u64,
}

impl<'a, A: GlobalAlloc> Cache<'a, A> {
    pub(crate) fn active(allocator: &'a A, args: Args) -> Self {
        Self { allocator, args, first: vec![None; THREADS as usize], wrong: 0 }
    }

    pub(crate) fn passive(allocator: &'a A, args: Args) -> Self {
        let first = (0..THREADS).map(|_| Some(Block::new(allocator, SIZE, 0))).collect();
        Self { first, ..Self::active(allocator, args) }
    }
}

/// Allocates, writes, frees; returns how many blocks were not as written.
fn scratch<A: GlobalAlloc>(allocator: &A, first: Option<Block>, times: u64) -> u64 {
    let mut wrong = first.map_or(0, |block| block.free_or_wrong(allocator, 0));
    for n in 0..times {
        let block = Block::new(allocator, SIZE, 0);
        if block.is_none() {
            wrong += 1;
            continue;
        }
        let word = block.start.cast::<u64>();
        for write in 0..WRITES {
            // SAFETY: the block has 8 bytes, aligned to 16, and is this thread's.
            unsafe { word.write_volatile(n ^ write) };
        }
        // SAFETY: the block has 8 bytes, aligned to 16, and is this thread's.
        wrong += u64::from(unsafe { word.read_volatile() } != n ^ (WRITES - 1));
        block.restore(0);
        wrong += block.free(allocator, 0);
    }
    wrong
}

impl<A: GlobalAlloc + Sync> Job for Cache<'_, A> {
    fn run(&mut self) {
        let times = self.args.cycles / 2 / THREADS;
        let allocator = self.allocator;
        self.wrong = thread::scope(|scope| {
            let threads: Vec<_> = self
                .first
                .drain(..)
                .map(|first| scope.spawn(move || scratch(allocator, first, times)))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or(1)).sum()
        });
    }

    fn finish(self: Box<Self>) -> Result<(), WrongAnswer> {
        all_right(self.wrong)
    }
}
