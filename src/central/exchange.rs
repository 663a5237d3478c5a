//! Batches between thread caches and central lists, with the lock of the list that each block belongs to.
//!
//! ```text
//!  thread cache ◀── take ─── transfer cache, else slabs of the list
//!  thread cache ─── give ──▶ transfer cache, as long as there is room
//!                            else slabs of the list
//!                            else slabs of the arena that each other slab belongs to
//! ```
//!
//! Never: waits for a list's lock while it holds another's.

use super::{ListId, Shared};
use crate::base::{ArenaIdx, BATCH_MOST, ClassIdx};
use crate::list::{Batch, FreeBlock, FreeList};
use crate::slab::{Segment, Slab};
use crate::stats::Event;
use crate::variant::Variant;
use core::hint::black_box;

/// One block, for a thread without lists.
pub(crate) fn take_one<V: Shared>(id: ListId) -> Option<FreeBlock> {
    let mut batch = Batch::new();
    take::<V>(id, 1, &mut batch);
    let block = batch.pop();
    if batch.len() > 0 {
        give::<V>(id, &mut batch);
    }
    block
}

/// Moves up to `want` blocks to an empty batch; fewer where memory runs out, and more, up to a batch, where so many wait.
pub(crate) fn take<V: Shared>(id: ListId, want: u32, batch: &mut Batch) {
    V::counters().count(Event::Atomic);
    let list = V::central(id.arena, id.class);
    list.lock.with(|| list.take::<V>(id, want, batch));
}

/// Takes all blocks of a batch back: to wait for a thread that wants some, if there is room, or home to their slabs, an
/// arena at a time. Returns how many runs of blocks of the same slab there were.
pub(crate) fn give<V: Shared>(id: ListId, batch: &mut Batch) -> u32 {
    V::counters().count(Event::ListDrain);
    V::counters().count(Event::Atomic);
    let list = V::central(id.arena, id.class);
    let mut runs = list.lock.with(|| {
        if id.has_transfer::<V>() {
            let all = batch.len();
            V::transfer(id.class).put::<V>(id.class, batch);
            list.add_purgeable::<V>(id, all - batch.len());
        }
        list.return_to_slabs::<V>(id, batch)
    });
    // Another thread may take over a slab between the look and the lock: then its block goes where the slab went.
    while let Some(home) = batch.first().map(|block| slab_of(block).home.get()) {
        // Where it has no home any more, this thread's arena is as good as any.
        let arena = home.unwrap_or(id.arena);
        V::counters().count(Event::Atomic);
        let list = V::central(arena, id.class);
        runs += list.lock.with(|| list.return_to_slabs::<V>(ListId { arena, ..id }, batch));
    }
    runs
}

/// Gives all blocks of a thread's list back.
pub(crate) fn give_all<V: Shared>(id: ListId, list: &FreeList) {
    let mut batch = Batch::new();
    while list.len() > 0 {
        list.take(BATCH_MOST as u32, &mut batch);
        give::<V>(id, &mut batch);
    }
}

/// The slab of a block.
pub(super) fn slab_of(block: &FreeBlock) -> &'static Slab {
    let address = block.address();
    // SAFETY: the block is out of its slab, so its segment is mapped.
    unsafe { Segment::containing(address) }.slab(Segment::slice_at(address))
}

/// Runs `action` while nobody else touches a slab of a class, for checks.
pub(crate) fn with_slab<V: Shared, R>(
    class: ClassIdx,
    slab: &'static Slab,
    action: impl Fn() -> R,
) -> R {
    loop {
        let arena = slab.home.get().unwrap_or(ArenaIdx::FIRST);
        let result = V::central(arena, class).lock.with(|| {
            // Now, and not before: another thread may have brought a block home meanwhile.
            let had_none = slab.home.get().is_none();
            if !slab.home.belongs_to(arena) {
                return None;
            }
            let result = action();
            if had_none {
                slab.home.leave();
            }
            Some(result)
        });
        if let Some(result) = result {
            return result;
        }
    }
}

/// Reads what bringing blocks home is going to change. For blocks from all over a large heap these reads miss the caches,
/// and here, where none waits for another, they do so several at a time. Not by prefetches: processors drop those that
/// miss the translations of addresses, too.
pub(super) fn look_ahead<V: Variant>(id: ListId, batch: &Batch) {
    let seen = batch.iter().fold(0, |seen, block| {
        let slab = slab_of(block);
        // Another arena's may be written to meanwhile.
        let is_mine = slab.home.get() == Some(id.arena);
        if is_mine { seen ^ slab.look_ahead::<V>(id.class, block.address()) } else { seen }
    });
    black_box(seen);
}
