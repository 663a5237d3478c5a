//! A ring of places through which one thread hands blocks to one other.

use crate::block::Block;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::{ptr, thread};

/// Goes through the ring in place of a block that the allocator refused.
const REFUSED: *mut u8 = ptr::dangling_mut();
/// Tries before a waiting thread yields its processor.
const SPINS: u32 = 200;

/// Both ends count the blocks from 0; block `n` lies in place `n` modulo the number of places.
pub(crate) struct Ring {
    /// Null where there is no block.
    places: Vec<AtomicPtr<u8>>,
}

impl Ring {
    pub(crate) fn new(places: usize) -> Self {
        Self { places: (0..places).map(|_| AtomicPtr::new(ptr::null_mut())).collect() }
    }

    /// Puts the `n`th block in its place, once the block before it there has been taken.
    pub(crate) fn put(&self, n: usize, block: Block) {
        let place = &self.places[n % self.places.len()];
        let start = if block.is_none() { REFUSED } else { block.start };
        // Acquire and release hand the place over, one way and the other.
        wait_for(|| place.load(Ordering::Acquire).is_null().then_some(()));
        place.store(start, Ordering::Release);
    }

    /// Takes the `n`th block out of its place: [`Block::NONE`] where the allocator refused it, nothing if it is not
    /// there yet.
    pub(crate) fn try_take(&self, n: usize, size: usize) -> Option<Block> {
        let place = &self.places[n % self.places.len()];
        let start = place.load(Ordering::Acquire);
        if start.is_null() {
            return None;
        }
        place.store(ptr::null_mut(), Ordering::Release);
        Some(if start == REFUSED { Block::NONE } else { Block { start, size } })
    }
}

/// Waits until `ready` returns something.
pub(crate) fn wait_for<T>(mut ready: impl FnMut() -> Option<T>) -> T {
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
