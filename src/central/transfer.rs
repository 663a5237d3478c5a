//! The transfer cache of a class: an array of blocks that wait for the next thread.
//!
//! ```text
//!  batch ── put ──▶ [block, block, …, block] ── take ──▶ batch     the last in is the first out
//!                    0                len - 1
//! ```
//!
//! Threads that exchange blocks pass them on here, and touch neither the blocks nor their slabs (after tcmalloc).
//!
//! | the class | a thread puts | a thread takes |
//! |---|---|---|
//! | has slabs in one arena | what comes over its list's limit | before it asks for slabs |
//! | has slabs in each arena | of that, the blocks whose slabs belong to other arenas | so, too |
//!
//! TC1  The first `len` places hold blocks of the class.
//!
//! A thread takes its lock with a central list's lock held, or with none, and takes no other meanwhile.
//!
//! Never: reads or writes a block.

use crate::base::{BATCH_MOST, ClassIdx, quotient, rank};
use crate::batch::Batch;
use crate::free_block::FreeBlock;
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::lock::Lock;
use crate::variant::Variant;
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// Blocks that may wait, at most.
const MOST: usize = 128;

/// All bytes zero is an empty one.
#[repr(C, align(64))]
pub(crate) struct Transfer {
    /// Guards all that follows. `len` is changed with the lock held, and looked at without it. [shared]
    pub(super) lock: Lock<{ rank::TRANSFER }>,
    len: AtomicU32,
    /// The fewest blocks that waited since the last round of purging: so many were not needed.
    least: Cell<u32>,
    blocks: [Cell<*mut u8>; MOST],
}

// SAFETY: all fields but the lock and the atomic are touched with the lock held.
unsafe impl Sync for Transfer {}

impl Transfer {
    /// An empty one with this lock and this length of 0. The model checker creates them.
    pub(crate) const fn over(lock: Lock<{ rank::TRANSFER }>, len: AtomicU32) -> Self {
        Self {
            lock,
            len,
            least: Cell::new(0),
            blocks: [const { Cell::new(ptr::null_mut()) }; MOST],
        }
    }

    /// How many blocks wait; without the lock, a moment ago.
    pub(crate) fn len(&self) -> u32 {
        // ORDERING: relaxed; it says whether to look under the lock, and publishes nothing.
        self.len.load(Ordering::Relaxed)
    }

    fn set_len(&self, len: u32) {
        self.lock.check_held();
        // ORDERING: relaxed. The lock orders the threads that rely on the length; a read without it is a hint.
        self.len.store(len, Ordering::Relaxed);
    }

    /// Moves blocks of a batch here, as long as there is room.
    pub(crate) fn put<V: Variant>(&self, class: ClassIdx, batch: &mut Batch) {
        let room = room::<V>(class);
        self.lock.with(|| {
            while self.len() < room
                && let Some(place) = self.blocks.get(self.len() as usize)
                && let Some(block) = batch.pop()
            {
                place.set(block.into_start().as_ptr());
                self.set_len(self.len() + 1);
            }
        });
    }

    /// Moves up to `count` of the blocks that came last to a batch that has room for them.
    pub(crate) fn take(&self, count: u32, batch: &mut Batch) {
        self.lock.with(|| {
            for _ in 0..count {
                let Some(len) = self.len().checked_sub(1) else { break };
                let place = self.blocks.get(len as usize);
                let Some(start) = place.and_then(|place| NonNull::new(place.get())) else { break };
                self.set_len(len);
                // SAFETY: the block came in by `put`, from its only owner, and its place is none of the first `len` any
                // more (TC1).
                batch.push(unsafe { FreeBlock::new(start) });
            }
            self.least.set(self.least.get().min(self.len()));
        });
    }

    /// The addresses of the blocks that wait. With the lock held, for audits.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = usize> {
        self.blocks.iter().take(self.len() as usize).map(|place| place.get().addr())
    }

    /// Moves to their slabs, by `send_home`, the blocks that no thread needed since the last call, or `all`.
    pub(super) fn empty(&self, all: bool, send_home: impl Fn(&mut Batch)) {
        let unused = self.lock.with(|| self.least.replace(self.len()).min(self.len()));
        let mut left = if all { self.len() } else { unused };
        let mut batch = Batch::new();
        while left > 0 {
            self.take(left.min(BATCH_MOST as u32), &mut batch);
            left -= batch.len().clamp(1, left);
            send_home(&mut batch);
        }
    }
}

/// Blocks of a class that may wait.
pub(super) fn room<V: Variant>(class: ClassIdx) -> u32 {
    quotient(V::TRANSFER_KIB * 1024, V::CLASSES.block_bytes(class)).min(MOST) as u32
}
