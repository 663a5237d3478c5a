//! Blocks on their way home: what a thread frees beyond the limits of its lists, all over the heap.
//!
//! A block is noted here by its address, and goes home with a batch of others. Nobody touches the block: a free costs a look
//! at its slab, and no more. Where the blocks of the last batch were of few slabs, the list does better: its blocks were in
//! the processor's caches, and a push is shorter than the way here.
//!
//! A box is for one class at a time, and a thread has a few.
//!
//! OB1  The first `len` places of a box hold blocks of its class.
//!
//! Never: touches a block.

use super::{CacheOf, Cached};
use crate::base::{BATCH_MOST, ClassIdx};
use crate::central;
use crate::list::{Batch, FreeBlock};
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// Boxes of a thread.
const BOXES: usize = 4;

/// A thread's boxes. [owner]
pub(super) struct Outbox([OneBox; BOXES]);

struct OneBox {
    class: Cell<ClassIdx>,
    len: Cell<u32>,
    blocks: [Cell<*mut u8>; BATCH_MOST],
}

impl Outbox {
    pub(super) const fn new() -> Self {
        Self([const { OneBox::new() }; BOXES])
    }

    fn of(&self, class: ClassIdx) -> &OneBox {
        &self.0[class.index() % BOXES]
    }

    /// Whether a block is on its way home; for checks.
    pub(super) fn has(&self, address: usize) -> bool {
        let is_in = |one: &OneBox| {
            one.blocks
                .iter()
                .take(one.len.get() as usize)
                .any(|block| block.get().addr() == address)
        };
        self.0.iter().any(is_in)
    }
}

impl OneBox {
    const fn new() -> Self {
        Self {
            class: Cell::new(ClassIdx::new(0)),
            len: Cell::new(0),
            blocks: [const { Cell::new(ptr::null_mut()) }; BATCH_MOST],
        }
    }

    /// Empties the box.
    fn take_all(&self) -> Batch {
        let mut batch = Batch::new();
        for place in self.blocks.iter().take(self.len.replace(0) as usize) {
            if let Some(start) = NonNull::new(place.get()) {
                // SAFETY: `put` took the block from its only owner, and the box has lost it above (OB1).
                batch.push(unsafe { FreeBlock::new(start) });
            }
        }
        batch
    }
}

/// What became of a block that came over its list's limit.
pub(super) enum Sent {
    /// It waits for others of its batch.
    Waits,
    /// The batch went home, in so many runs of blocks of the same slab.
    Home(u32),
    /// The box is another class's: the block is as it was.
    Not(FreeBlock),
}

/// Notes a block, and sends a batch home if that makes one.
#[inline]
pub(super) fn put<V: Cached>(cache: &CacheOf<V>, class: ClassIdx, block: FreeBlock) -> Sent {
    let one = cache.outbox.of(class);
    let len = one.len.get();
    if one.class.get() != class && len > 0 {
        return Sent::Not(block);
    }
    one.class.set(class);
    let Some(place) = one.blocks.get(len as usize) else { return Sent::Not(block) };
    place.set(block.into_start().as_ptr());
    one.len.set(len + 1);
    if len + 1 < u32::from(V::BATCHES[class.index()]) {
        return Sent::Waits;
    }
    Sent::Home(flush_box::<V>(cache, one))
}

/// Sends home what waits of a class.
pub(super) fn flush_class<V: Cached>(cache: &CacheOf<V>, class: ClassIdx) {
    let one = cache.outbox.of(class);
    if one.class.get() == class {
        flush_box::<V>(cache, one);
    }
}

/// Sends home all that waits.
pub(super) fn flush<V: Cached>(cache: &CacheOf<V>) {
    for one in &cache.outbox.0 {
        flush_box::<V>(cache, one);
    }
}

fn flush_box<V: Cached>(cache: &CacheOf<V>, one: &OneBox) -> u32 {
    if one.len.get() == 0 {
        return 0;
    }
    central::give::<V>(cache.list_id::<V>(one.class.get()), &mut one.take_all())
}
