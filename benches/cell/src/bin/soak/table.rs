//! The blocks that the threads share.

use crate::Plant;
use crate::block::{Block, LEAST, layout};
use hakmem::Observe;
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// Places for blocks. The budget is reached before all are taken, unless the blocks are small.
const PLACES: usize = 1 << 15;

/// A table of blocks of one variant.
pub(crate) struct Table<V> {
    places: Vec<AtomicPtr<u8>>,
    /// Bytes of all blocks.
    live: AtomicUsize,
    budget: usize,
    plant: Option<Plant>,
    planted: AtomicBool,
    freed: AtomicUsize,
    variant: PhantomData<V>,
}

impl<V: Observe> Table<V> {
    pub(crate) fn new(budget: usize, plant: Option<Plant>) -> Self {
        Self {
            places: (0..PLACES).map(|_| AtomicPtr::new(ptr::null_mut())).collect(),
            live: AtomicUsize::new(0),
            budget,
            plant,
            planted: AtomicBool::new(false),
            freed: AtomicUsize::new(0),
            variant: PhantomData,
        }
    }

    pub(crate) fn live(&self) -> usize {
        // ORDERING: relaxed; a number that publishes nothing.
        self.live.load(Ordering::Relaxed)
    }

    /// True if a block of so many bytes is within the budget.
    pub(crate) fn has_room(&self, size: usize) -> bool {
        self.live() + size <= self.budget
    }

    /// Takes what is at a place, and leaves `block` there; each may be null.
    pub(crate) fn swap(&self, place: u64, block: *mut u8) -> Option<Block> {
        // ORDERING: acquire and release: the thread that takes a block sees its content.
        let other = self.places[place as usize % PLACES].swap(block, Ordering::AcqRel);
        (!other.is_null()).then_some(Block(other))
    }

    /// Allocates a block, and counts it. Null if there is no memory.
    pub(crate) fn allocate(&self, size: usize, zeroed: bool) -> *mut u8 {
        let allocator = V::default();
        let block = if zeroed {
            // SAFETY: the size is not 0.
            unsafe { allocator.alloc_zeroed(layout(size)) }
        } else {
            // SAFETY: the size is not 0.
            unsafe { allocator.alloc(layout(size)) }
        };
        if !block.is_null() {
            // ORDERING: relaxed; a number that publishes nothing.
            self.live.fetch_add(size, Ordering::Relaxed);
        }
        block
    }

    /// Frees a block of the caller's.
    pub(crate) fn free(&self, block: Block, size: usize) {
        // ORDERING: relaxed; numbers that publish nothing.
        self.live.fetch_sub(size, Ordering::Relaxed);
        if self.stays(block, size) {
            return;
        }
        // SAFETY: the block is the caller's, with this layout.
        unsafe { V::default().dealloc(block.0, layout(size)) };
    }

    /// Changes a block's size; null, and the old block intact, if there is no memory.
    pub(crate) fn resize(&self, block: Block, old: usize, new: usize) -> *mut u8 {
        // SAFETY: the block is the caller's, with this layout; the new size is not 0.
        let moved = unsafe { V::default().realloc(block.0, layout(old), new) };
        if !moved.is_null() {
            // ORDERING: relaxed; numbers that publish nothing.
            self.live.fetch_add(new, Ordering::Relaxed);
            self.live.fetch_sub(old, Ordering::Relaxed);
        }
        moved
    }

    /// True if a planted fault keeps the block. Another fault changes a block that is freed later.
    fn stays(&self, _block: Block, size: usize) -> bool {
        // ORDERING: relaxed; which block a fault hits does not matter.
        let freed = self.freed.fetch_add(1, Ordering::Relaxed);
        match self.plant {
            None | Some(Plant::Wrong) => false,
            Some(Plant::Leak) => freed.is_multiple_of(8),
            Some(Plant::Lost) => size > 100 && !self.planted.swap(true, Ordering::Relaxed),
        }
    }

    /// Changes a byte of a block, if that is the fault to make.
    pub(crate) fn spoil(&self, block: Block, size: usize) {
        // ORDERING: relaxed; which block a fault hits does not matter.
        let spoils = self.plant == Some(Plant::Wrong) && size > LEAST;
        if spoils && !self.planted.swap(true, Ordering::Relaxed) {
            let last = block.0.wrapping_add(size - 1);
            // SAFETY: inside the block, which is the caller's.
            let byte = unsafe { last.read() };
            // SAFETY: the same byte.
            unsafe { last.write(!byte) };
        }
    }

    /// Frees all blocks.
    pub(crate) fn free_all(&self) -> Result<(), String> {
        for place in 0..PLACES as u64 {
            if let Some(block) = self.swap(place, ptr::null_mut()) {
                // SAFETY: `fill` wrote the block, which only this thread has now.
                let size = unsafe { block.check(usize::MAX) }?;
                self.free(block, size);
            }
        }
        Ok(())
    }
}
