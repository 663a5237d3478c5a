//! Batches between thread caches and central lists, with the lock of the list that each block belongs to.
//!
//! ```text
//!  thread cache ◀── take ─── transfer cache, else slabs of the list
//!  thread cache ─── give ──▶ of a class with slabs in one arena: transfer cache, else slabs
//!                            of a class with slabs in each arena: slabs of this arena,
//!                            else transfer cache, else slabs of the arena that each other slab belongs to
//! ```
//!
//! Never: waits for a list's lock while it holds another's.

use super::arena::are_several;
use super::list::has_arenas;
use super::{ListId, Shared};
use crate::base::{ArenaIdx, ClassIdx};
use crate::batch::Batch;
use crate::free_block::FreeBlock;
use crate::free_list::FreeList;
use crate::slab::{Segment, Slab};
use crate::stats::Event;
use crate::variant::{FreeBy, Variant};
use core::hint::black_box;

/// Takes the sampled blocks out of a batch that goes home. Only a free by the layout alone adds them to a list.
pub(super) fn bring_home_sampled<V: Shared>(batch: &mut Batch) {
    if V::FREE_BY == FreeBy::Layout && V::page_heap().sampled.is_used() {
        V::page_heap().sampled.bring_home(batch);
    }
}

/// Takes one block, for a thread without a cache.
pub(crate) fn take_one<V: Shared>(id: ListId) -> Option<FreeBlock> {
    let mut batch = Batch::new();
    take::<V>(id, 1, &mut batch);
    let block = batch.pop();
    if batch.len() > 0 {
        give::<V>(id, &mut batch);
    }
    block
}

/// Moves up to `want` blocks to an empty batch, or fewer if memory runs out. If blocks wait in the transfer cache, it
/// may fill the batch.
pub(crate) fn take<V: Shared>(id: ListId, want: u32, batch: &mut Batch) {
    V::counters().count(Event::Atomic);
    let transfer = V::transfer(id.class);
    // While there is one arena, the transfer caches stay untouched, and take no memory.
    if has_arenas::<V>(id.class) && are_several::<V>() && transfer.len() > 0 {
        transfer.take(V::BATCHES[id.class.index()].into(), batch);
        if batch.len() > 0 {
            return V::counters().count(Event::Transfer);
        }
    }
    let list = V::central(id.arena, id.class);
    list.lock.with(|| list.take::<V>(id, want, batch));
}

/// Takes back all blocks of a batch. They go home to their slabs, or wait in the transfer cache, as the drawing says.
/// Returns how many runs of blocks of one slab went home.
pub(crate) fn give<V: Shared>(id: ListId, batch: &mut Batch) -> u32 {
    V::counters().count(Event::ListDrain);
    V::counters().count(Event::Atomic);
    let list = V::central(id.arena, id.class);
    let mut runs = list.lock.with(|| {
        if id.has_transfer::<V>() {
            // Where they wait they could be handed out again, and are not seen to be free.
            bring_home_sampled::<V>(batch);
            let all = batch.len();
            V::transfer(id.class).put::<V>(id.class, batch);
            list.add_purgeable::<V>(id, all - batch.len());
        }
        list.return_to_slabs::<V>(id, batch)
    });
    if batch.len() > 0 {
        V::counters().count(Event::Atomic);
        V::transfer(id.class).put::<V>(id.class, batch);
    }
    runs += return_elsewhere::<V>(id, batch);
    runs
}

/// Moves from the transfer cache to their slabs, for a class with slabs in each arena, the blocks that no thread took
/// since the last call; or `all`.
pub(super) fn send_home<V: Shared>(class: ClassIdx, all: bool) {
    let transfer = V::transfer(class);
    if !has_arenas::<V>(class) || !are_several::<V>() || transfer.len() == 0 {
        return;
    }
    transfer.empty(all, |batch| {
        bring_home_sampled::<V>(batch);
        return_elsewhere::<V>(ListId { arena: ArenaIdx::FIRST, class }, batch);
    });
}

/// Returns all blocks of a batch to their slabs, one arena at a time.
fn return_elsewhere<V: Shared>(id: ListId, batch: &mut Batch) -> u32 {
    let mut runs = 0;
    // Another arena may take the slab over after this look and before the lock. The block then stays in the batch for
    // the next turn.
    while let Some(home) = batch.first().map(|block| slab_of(block).home.get()) {
        // If the slab has no home any more, it joins this thread's arena.
        let arena = home.unwrap_or(id.arena);
        V::counters().count(Event::Atomic);
        let list = V::central(arena, id.class);
        runs += list.lock.with(|| list.return_to_slabs::<V>(ListId { arena, ..id }, batch));
    }
    runs
}

/// Gives back up to `count` of the newest blocks of one list of a thread cache.
pub(crate) fn give_some<V: Shared>(id: ListId, list: &FreeList, count: u32) {
    let mut batch = Batch::new();
    let left = list.len().saturating_sub(count);
    while list.len() > left {
        list.take::<V>(list.len() - left, &mut batch);
        give::<V>(id, &mut batch);
    }
}

/// The slab of a block.
pub(super) fn slab_of(block: &FreeBlock) -> &'static Slab {
    let address = block.address();
    // SAFETY: the block is out of its slab, so its segment is mapped (X4).
    unsafe { Segment::containing(address) }.slab(Segment::slice_at(address))
}

/// Runs `action` while no other thread touches a slab of a class. For checks.
pub(crate) fn with_slab<V: Shared, R>(
    class: ClassIdx,
    slab: &'static Slab,
    action: impl Fn() -> R,
) -> R {
    loop {
        let arena = slab.home.get().unwrap_or(ArenaIdx::FIRST);
        let result = V::central(arena, class).lock.with(|| {
            // A look before the lock would not do: another thread may have brought a block home since.
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

/// Reads the memory that the return of blocks is going to change. In a large heap these reads miss the processor's
/// caches. Here none waits for another, so several are under way at a time. Prefetches do not help: processors drop
/// those that miss the translation of the address, too.
pub(super) fn look_ahead<V: Variant>(id: ListId, batch: &Batch) {
    let seen = batch.iter().fold(0, |seen, block| {
        let slab = slab_of(block);
        // Another arena's thread may write to its own slab meanwhile.
        let is_mine = slab.home.get() == Some(id.arena);
        if is_mine { seen ^ slab.look_ahead::<V>(id.class, block.address()) } else { seen }
    });
    black_box(seen);
}
