//! The null allocator: the least that can be done, to tell a workload's own cost from its allocator's.
//!
//! A stack of blocks of one size, filled before anything is timed; no classes, no threads, no growth.
//! Nobody could use it: a floor, not a peer.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::{Cell, UnsafeCell};
use std::mem::ManuallyDrop;
use std::ptr;

/// Bytes of every block: enough for the workloads whose blocks are small.
const BLOCK: usize = 2048;
/// From block to block: one cache line more, or all of them would start in two of a cache's sets.
const STRIDE: usize = BLOCK + 64;

pub(crate) struct Null {
    /// Blocks on offer, the next one last. [owner]
    free: UnsafeCell<Vec<*mut u8>>,
    /// Memory that was never handed out: start, and blocks left.
    fresh: Cell<(*mut u8, usize)>,
}

// SAFETY: not shared between threads, by the condition of `with_blocks`.
unsafe impl Sync for Null {}

impl Null {
    /// With this many blocks. Their memory is the system's, given back never.
    ///
    /// # Safety
    /// The value is used from one thread only.
    pub(crate) unsafe fn with_blocks(count: usize) -> Self {
        let mut memory = ManuallyDrop::new(Vec::<[u8; STRIDE]>::with_capacity(count + 1));
        let memory = memory.as_mut_ptr().cast::<u8>();
        let start = memory.wrapping_add(memory.align_offset(16));
        Self { free: UnsafeCell::new(Vec::with_capacity(count)), fresh: Cell::new((start, count)) }
    }
}

// SAFETY: a block is `BLOCK` bytes, aligned to 16, that nobody else has: it was never handed out, or
// was given back. A layout that needs more gets null.
unsafe impl GlobalAlloc for Null {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > BLOCK || layout.align() > 16 {
            return ptr::null_mut();
        }
        // SAFETY: one thread, and no reference outlives a method.
        let free = unsafe { &mut *self.free.get() };
        if let Some(block) = free.pop() {
            return block;
        }
        let (start, left) = self.fresh.get();
        if left == 0 {
            return ptr::null_mut();
        }
        self.fresh.set((start.wrapping_add(STRIDE), left - 1));
        start
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: as in `alloc`.
        let free = unsafe { &mut *self.free.get() };
        free.push(block);
    }
}
