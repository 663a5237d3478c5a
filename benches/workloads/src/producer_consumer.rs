//! `producer_consumer`: blocks born in one thread and freed in another, which never allocates.
//!
//! The blocks go through a ring of `ws` places. Every free is a remote one, and what is freed must
//! come back to the producer, or the heap grows.

use crate::block::Block;
use crate::job::{Job, all_right};
use crate::xorshift::XorShift;
use crate::{Args, WrongAnswer};
use std::alloc::GlobalAlloc;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::{ptr, thread};

/// Goes through the ring in place of a block that could not be had.
const NOT_HAD: *mut u8 = ptr::dangling_mut();
/// Tries before a thread that waits lets others run.
const SPINS: u32 = 200;

pub(crate) struct ProducerConsumer<'a, A: GlobalAlloc> {
    allocator: &'a A,
    args: Args,
    /// Null where there is no block.
    ring: Vec<AtomicPtr<u8>>,
    wrong: u64,
}

impl<'a, A: GlobalAlloc> ProducerConsumer<'a, A> {
    pub(crate) fn new(allocator: &'a A, args: Args) -> Self {
        let ring = (0..args.ws).map(|_| AtomicPtr::new(ptr::null_mut())).collect();
        Self { allocator, args, ring, wrong: 0 }
    }
}

/// Waits until `ready` has something.
fn wait_for<T>(mut ready: impl FnMut() -> Option<T>) -> T {
    loop {
        for _ in 0..SPINS {
            if let Some(it) = ready() {
                return it;
            }
            spin_loop();
        }
        thread::yield_now();
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
                for n in 0..blocks {
                    let place = &ring[n % ring.len()];
                    let block = Block::new(allocator, size(), n);
                    let start = if block.is_none() { NOT_HAD } else { block.start };
                    // Acquire and release hand the place over, one way and the other.
                    wait_for(|| place.load(Ordering::Acquire).is_null().then_some(()));
                    place.store(start, Ordering::Release);
                }
            });
            let consumer = scope.spawn(move || {
                let mut size = sizes(args.seed);
                (0..blocks)
                    .map(|n| {
                        let place = &ring[n % ring.len()];
                        let start = wait_for(|| {
                            Some(place.load(Ordering::Acquire)).filter(|start| !start.is_null())
                        });
                        place.store(ptr::null_mut(), Ordering::Release);
                        let block = Block { start, size: size() };
                        if start == NOT_HAD { 1 } else { block.free(allocator, n) }
                    })
                    .sum()
            });
            consumer.join().unwrap_or(1)
        });
    }

    fn finish(self: Box<Self>) -> Result<(), WrongAnswer> {
        all_right(self.wrong)
    }
}
