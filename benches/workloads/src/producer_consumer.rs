//! `producer_consumer`: blocks born in one thread and freed in another, which never allocates.
//!
//! The blocks go through a ring of `ws` places. Every free is a remote one, and what is freed must
//! come back to the producer, or the heap grows.

use crate::block::Block;
use crate::job::{Job, all_right};
use crate::ring::{Ring, wait_for};
use crate::xorshift::XorShift;
use crate::{Args, WrongAnswer};
use std::alloc::GlobalAlloc;
use std::thread;

pub(crate) struct ProducerConsumer<'a, A: GlobalAlloc> {
    allocator: &'a A,
    args: Args,
    ring: Ring,
    wrong: u64,
}

impl<'a, A: GlobalAlloc> ProducerConsumer<'a, A> {
    pub(crate) fn new(allocator: &'a A, args: Args) -> Self {
        Self { allocator, args, ring: Ring::new(args.ws), wrong: 0 }
    }
}

/// The sizes, which both threads draw for themselves.
fn sizes(seed: u64) -> impl FnMut() -> usize {
    let mut random = XorShift::new(seed);
    move || 16 + random.below(1024)
}

impl<A: GlobalAlloc + Sync> Job for ProducerConsumer<'_, A> {
    fn run(&mut self) {
        let (allocator, ring, args) = (self.allocator, &self.ring, self.args);
        let blocks = (args.cycles / 2) as usize;
        self.wrong = thread::scope(|scope| {
            scope.spawn(move || {
                let mut size = sizes(args.seed);
                (0..blocks).for_each(|n| ring.put(n, Block::new(allocator, size(), n)));
            });
            let consumer = scope.spawn(move || {
                let mut size = sizes(args.seed);
                let mut take_and_free = |n| {
                    let size = size();
                    wait_for(|| ring.try_take(n, size)).free_or_wrong(allocator, n)
                };
                (0..blocks).map(&mut take_and_free).sum()
            });
            consumer.join().unwrap_or(1)
        });
    }

    fn finish(self: Box<Self>) -> Result<(), WrongAnswer> {
        all_right(self.wrong)
    }
}
