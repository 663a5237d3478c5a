//! The outbox: blocks above a list's limit that the thread frees all over the heap. They go home by the batch.
//!
//! The outbox notes a block's address, and does not touch the block. Such a free touches only the metadata of the slab.
//! With `freed = "sealed"` a batch is looked at and sealed on its way home.
//! If the blocks of the last batch came from few slabs, the thread uses its list instead. A push is shorter, and the
//! blocks are in the processor's caches.
//!
//! A thread has a few boxes. A box holds blocks of one class at a time.
//!
//! OB1  The first `len` places of a box hold blocks of its class.
//!
//! Never: touches a block that is freed.

use super::drain::look_and_seal;
use super::{CacheOf, Cached};
use crate::base::{BATCH_MOST, ClassIdx};
use crate::batch::Batch;
use crate::central;
use crate::free_block::FreeBlock;
use crate::stats::{Unsound, ensure};
use crate::variant::Freed;
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// The number of boxes of a thread.
const BOXES: usize = 4;

/// A thread's boxes. [owner]
pub(crate) struct Outbox([OneBox; BOXES]);

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

    /// An error unless each block `is_out`, and of its box's class (OB1). For audits.
    pub(crate) fn check(&self, is_out: impl Fn(ClassIdx, usize) -> bool) -> Result<(), Unsound> {
        for one in &self.0 {
            for block in one.blocks.iter().take(one.len.get() as usize) {
                let address = block.get().addr();
                ensure(is_out(one.class.get(), address), "OB1, a block in the outbox", address)?;
            }
        }
        Ok(())
    }

    /// True if a box holds a block at this address; for checks.
    pub(crate) fn has(&self, address: usize) -> bool {
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

    /// Empties the box into a batch.
    fn take_all(&self) -> Batch {
        let mut batch = Batch::new();
        for place in self.blocks.iter().take(self.len.replace(0) as usize) {
            if let Some(start) = NonNull::new(place.get()) {
                // SAFETY: `put` took the block from its only owner (OB1). `len` is 0 now, so the batch is its only
                // owner (FB1).
                batch.push(unsafe { FreeBlock::new(start) });
            }
        }
        batch
    }
}

/// The result of [`put`].
pub(super) enum Sent {
    /// The block waits in the outbox.
    Waits,
    /// The block went home with a batch. The batch had this many runs of blocks of the same slab.
    Home(u32),
    /// The box holds blocks of another class. The caller keeps the block.
    Not(FreeBlock),
}

/// Adds a block to the box of its class. A full batch goes home.
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

/// Sends home the blocks of a class.
pub(super) fn flush_class<V: Cached>(cache: &CacheOf<V>, class: ClassIdx) {
    let one = cache.outbox.of(class);
    if one.class.get() == class {
        flush_box::<V>(cache, one);
    }
}

/// Sends home all blocks.
pub(crate) fn flush<V: Cached>(cache: &CacheOf<V>) {
    for one in &cache.outbox.0 {
        flush_box::<V>(cache, one);
    }
}

fn flush_box<V: Cached>(cache: &CacheOf<V>, one: &OneBox) -> u32 {
    if one.len.get() == 0 {
        return 0;
    }
    let mut blocks = one.take_all();
    if V::FREED == Freed::Sealed {
        look_and_seal::<V>(&blocks);
    }
    central::give::<V>(cache.list_id::<V>(one.class.get()), &mut blocks)
}
