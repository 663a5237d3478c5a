//! The transfer cache of a class: an array of blocks that wait for the next thread.
//!
//! ```text
//!  batch ── put ──▶ [block, block, …, block] ── take ──▶ batch     the last in is the first out
//!                    0                len - 1
//! ```
//!
//! Threads that exchange blocks thus pass them on without a look at their slabs (after tcmalloc). A class of which each
//! arena has its own slabs has no transfer cache.
//!
//! TC1  The first `len` places hold blocks of the class.
//!
//! A thread touches it with the lock of the first arena's list of the class held.
//!
//! Never: reads or writes a block.

use super::list::MOST_BYTES;
use crate::base::{ClassIdx, quotient};
use crate::list::{Batch, FreeBlock};
use crate::variant::Variant;
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// Blocks that may wait at most.
const MOST: usize = 128;

/// A transfer cache. All bytes zero is an empty one.
#[repr(C, align(64))]
pub(crate) struct Transfer {
    len: Cell<u32>,
    /// The fewest blocks that waited since the last round of purging. Nobody needed so many.
    least: Cell<u32>,
    blocks: [Cell<*mut u8>; MOST],
}

// SAFETY: a thread touches the fields with the lock of the first arena's list held.
unsafe impl Sync for Transfer {}

impl Transfer {
    pub(crate) const fn new() -> Self {
        Self {
            len: Cell::new(0),
            least: Cell::new(0),
            blocks: [const { Cell::new(ptr::null_mut()) }; MOST],
        }
    }

    /// Blocks that wait.
    pub(super) fn len(&self) -> u32 {
        self.len.get()
    }

    /// Moves blocks of a batch here, as long as there is room.
    pub(super) fn put<V: Variant>(&self, class: ClassIdx, batch: &mut Batch) {
        let room = room::<V>(class);
        while self.len.get() < room
            && let Some(place) = self.blocks.get(self.len.get() as usize)
            && let Some(block) = batch.pop()
        {
            place.set(block.into_start().as_ptr());
            self.len.set(self.len.get() + 1);
        }
    }

    /// Moves up to `count` of the blocks that came last to a batch that has room for them.
    pub(super) fn take(&self, count: u32, batch: &mut Batch) {
        for _ in 0..count {
            let Some(len) = self.len.get().checked_sub(1) else { break };
            let Some(start) = self.blocks.get(len as usize).and_then(|at| NonNull::new(at.get()))
            else {
                break;
            };
            self.len.set(len);
            // SAFETY: `put` got the block from its only owner, and its place is none of the first `len` any more (TC1).
            batch.push(unsafe { FreeBlock::new(start) });
        }
        self.least.set(self.least.get().min(self.len.get()));
    }

    /// Returns how many blocks nobody needed since the last call, and begins to count anew.
    pub(super) fn turn(&self) -> u32 {
        self.least.replace(self.len.get()).min(self.len.get())
    }
}

/// Blocks of a class that may wait: 0 for a class without a transfer cache.
pub(super) fn room<V: Variant>(class: ClassIdx) -> u32 {
    let bytes = V::CLASSES.block_bytes(class);
    if V::ARENAS > 1 && bytes <= MOST_BYTES {
        return 0;
    }
    quotient(V::TRANSFER_KIB * 1024, bytes).min(MOST) as u32
}
