//! `makers_consumers`: two threads allocate blocks of 64 bytes as fast as they can, and two others free them.
//!
//! A ring of `ws` places leads from each maker to each consumer. A maker alternates between its two rings, and a
//! consumer takes from whichever of its two has a block, so both consumers free blocks of both makers. Nothing but the
//! allocator and the rings takes time: four threads meet at one size class.

use crate::block::Block;
use crate::job::{Job, all_right};
use crate::ring::{Ring, wait_for};
use crate::{Args, WrongAnswer};
use std::alloc::GlobalAlloc;
use std::thread;

/// Makers, and as many consumers.
const PAIRS: usize = 2;
/// Bytes of every block.
const SIZE: usize = 64;
/// Operations of a round: each maker allocates a block for each consumer, which frees it.
pub(crate) const ROUND: u64 = 2 * (PAIRS * PAIRS) as u64;

pub(crate) struct MakersConsumers<'a, A: GlobalAlloc> {
    allocator: &'a A,
    args: Args,
    /// By maker, then by consumer.
    rings: [[Ring; PAIRS]; PAIRS],
    wrong: u64,
}

impl<'a, A: GlobalAlloc> MakersConsumers<'a, A> {
    pub(crate) fn new(allocator: &'a A, args: Args) -> Self {
        let rings = [(); PAIRS].map(|()| [(); PAIRS].map(|()| Ring::new(args.ws)));
        Self { allocator, args, rings, wrong: 0 }
    }
}

/// The tag of a ring's `n`th block: different for every block of the run.
const fn tag(maker: usize, consumer: usize, n: usize) -> usize {
    (n * PAIRS + maker) * PAIRS + consumer
}

/// A maker's life: a block for each consumer, round by round.
fn make<A: GlobalAlloc>(allocator: &A, maker: usize, rings: &[Ring; PAIRS], rounds: usize) {
    for n in 0..rounds {
        for (consumer, ring) in rings.iter().enumerate() {
            ring.put(n, Block::new(allocator, SIZE, tag(maker, consumer, n)));
        }
    }
}

/// A consumer's life; returns how many blocks were not as written.
fn consume<A: GlobalAlloc>(
    allocator: &A,
    consumer: usize,
    rings: [&Ring; PAIRS],
    rounds: usize,
) -> u64 {
    // Blocks taken, by maker.
    let mut taken = [0; PAIRS];
    let mut take = || {
        let ends = rings.iter().zip(&mut taken).enumerate();
        let mut ready = ends.filter_map(|(maker, (ring, taken))| {
            let block = (*taken < rounds).then(|| ring.try_take(*taken, SIZE))??;
            *taken += 1;
            Some((block, tag(maker, consumer, *taken - 1)))
        });
        ready.next()
    };
    let mut wrong = 0;
    for _ in 0..PAIRS * rounds {
        let (block, tag) = wait_for(&mut take);
        wrong += block.free_or_wrong(allocator, tag);
    }
    wrong
}

impl<A: GlobalAlloc + Sync> Job for MakersConsumers<'_, A> {
    fn run(&mut self) {
        let (allocator, rings) = (self.allocator, &self.rings);
        let rounds = (self.args.cycles / ROUND) as usize;
        self.wrong = thread::scope(|scope| {
            for (maker, rings) in rings.iter().enumerate() {
                scope.spawn(move || make(allocator, maker, rings, rounds));
            }
            let consumers: [_; PAIRS] = std::array::from_fn(|consumer| {
                let rings = rings.each_ref().map(|of_maker| &of_maker[consumer]);
                scope.spawn(move || consume(allocator, consumer, rings, rounds))
            });
            consumers.into_iter().map(|consumer| consumer.join().unwrap_or(1)).sum()
        });
    }

    fn finish(self: Box<Self>) -> Result<(), WrongAnswer> {
        all_right(self.wrong)
    }
}
