//! A central list: the slabs of one size class that have blocks, of one arena.
//!
//! | operation | looks at |
//! |---|---|
//! | take, return | the blocks that it moves and their slabs; two other slabs at most |
//! | take, where the arena grows | in addition, one number of each other arena |
//! | send home | the blocks that wait in the transfer cache |
//! | is fragmented, retire | sums, and one slab |
//!
//! So each operation costs a constant per block that it moves, however many slabs there are.
//!
//! N4  `free` counts the blocks at home in the slabs of the bins, `capacity` the blocks that these slabs have room for.
//! N5  A slab in the bins without a block in use is `spare`: there is one such at most.
//!
//! Never: waits for the lock of another list.

use super::bins::BINS;
use super::exchange::{look_ahead, slab_of};
use super::{Shared, transfer, used};
use crate::base::{ArenaIdx, BATCH_MOST, ClassIdx, PAGE_BYTES, SLICE_BYTES, quotient};
use crate::list::{Batch, LinkedList};
use crate::page_map::Kind;
use crate::slab::{BINNED, PURGEABLE, Slab};
use crate::stats::Event;
use crate::sys::atomic::{AtomicU32, AtomicUsize, Ordering};
use crate::sys::lock::Lock;
use crate::variant::Variant;
use core::cell::Cell;
use core::ptr;

/// Bytes of free blocks of one class that are worth a look at its sums.
pub(super) const MUCH_OF_A_CLASS: usize = 2 << 20;
/// Bytes of a class's slabs that no cache has all of what is known about.
const LARGE: usize = 64 << 20;

/// Bytes of the largest blocks that each arena has slabs of its own for. Few larger ones fit a slab, so an arena's would lie
/// idle for the most part; the first arena's serve all threads.
pub(super) const MOST_BYTES: usize = 1024;

/// Which list it is: an arena's, of a class.
#[derive(Clone, Copy)]
pub(crate) struct ListId {
    pub(crate) arena: ArenaIdx,
    pub(crate) class: ClassIdx,
}

/// See the module. All bytes zero is an empty one.
#[repr(C, align(64))]
pub(crate) struct CentralList {
    /// Guards all that follows but the atomics, and the class's slabs whose home the arena is.
    pub(crate) lock: Lock,
    /// About how many pages a purge would find at most: one for each block that came, to wait or home, since all was last
    /// purged, and those that new slabs found dirty. Changed with the lock held, and looked at without it. [shared]
    purgeable: AtomicU32,
    /// Blocks that came home since it was last looked at how many slabs have.
    came: Cell<u32>,
    /// The slabs that have blocks.
    pub(super) bins: [LinkedList<Slab, BINNED>; BINS],
    /// Sums over these (N4).
    pub(super) free: AtomicUsize,
    pub(super) capacity: Cell<usize>,
    /// The one of them that has no block in use (N5).
    pub(super) spare: Cell<Option<&'static Slab>>,
    /// Slabs to which blocks came home since their pages were purged, the one that a purge looks at next first (N6).
    pub(super) purgeable_slabs: LinkedList<Slab, PURGEABLE>,
    pub(super) purgeable_count: Cell<u32>,
}

// SAFETY: all fields but the lock and the atomics are touched with the lock held.
unsafe impl Sync for CentralList {}

impl CentralList {
    pub(crate) const fn new() -> Self {
        Self {
            lock: Lock::over(AtomicU32::new(0)),
            purgeable: AtomicU32::new(0),
            came: Cell::new(0),
            bins: [const { LinkedList::new() }; BINS],
            free: AtomicUsize::new(0),
            capacity: Cell::new(0),
            spare: Cell::new(None),
            purgeable_slabs: LinkedList::new(),
            purgeable_count: Cell::new(0),
        }
    }

    /// Moves up to `want` blocks to an empty batch; more, up to a batch, where so many wait.
    pub(super) fn take<V: Shared>(&self, id: ListId, want: u32, batch: &mut Batch) {
        if id.waiting::<V>() > 0 {
            V::transfer(id.class).take(u32::from(V::BATCHES[id.class.index()]), batch);
            return V::counters().count(Event::Transfer);
        }
        while batch.len() < want && !batch.is_full() {
            let Some(slab) = self.first_slab().or_else(|| self.find_slab::<V>(id)) else { break };
            let before = batch.len();
            slab.take::<V>(batch, want);
            self.set_free(self.free() - (batch.len() - before) as usize);
            if slab.used() > 0 {
                self.spare.set(self.spare.get().filter(|spare| !ptr::eq(*spare, slab)));
            }
            self.relink::<V>(slab);
            if V::ARENAS > 1 && !slab.has_blocks() {
                self.let_go(slab);
            }
        }
        V::counters().count(Event::Refill);
    }

    /// A slab with blocks, where the arena has none: of memory that was used before, of another arena, or of memory
    /// that was not.
    fn find_slab<V: Shared>(&self, id: ListId) -> Option<&'static Slab> {
        if V::ARENAS == 1 {
            return self.claim::<V>(id, false);
        }
        self.claim::<V>(id, true)
            .or_else(|| self.take_over::<V>(id))
            .or_else(|| self.claim::<V>(id, false))
    }

    /// A slice made a slab of this class; of those that have memory, if it is to be `dirty`.
    fn claim<V: Shared>(&self, id: ListId, dirty: bool) -> Option<&'static Slab> {
        let class = id.class;
        V::counters().count(Event::Atomic);
        let (segment, slice, clean) = V::page_heap().claim_slice::<V>(dirty)?;
        let slab = segment.slab(slice);
        slab.set_up::<V>(class, clean);
        slab.home.set(id.arena);
        self.set_free(self.free() + slab.capacity() as usize);
        if !clean {
            // What it does not come to use goes back, too.
            self.touch(slab, V::page_heap().now());
            self.add_purgeable::<V>(id, (SLICE_BYTES / PAGE_BYTES) as u32);
        }
        V::page_map().note(slab.page(0).addr().get(), Kind::Class(class));
        V::counters().count(Event::AcquireUnused);
        Some(slab)
    }

    /// Takes a slab over from another arena that has many free blocks of the class; `None` where there is none.
    fn take_over<V: Shared>(&self, id: ListId) -> Option<&'static Slab> {
        let much = quotient(SLICE_BYTES / 2, V::CLASSES.block_bytes(id.class));
        let slab = used::<V>().filter(|arena| *arena != id.arena).find_map(|arena| {
            let other = V::central(arena, id.class);
            if other.free() < much || !other.lock.try_lock() {
                return None;
            }
            V::counters().count(Event::Atomic);
            let slab = if other.free() < much { None } else { other.give_slab() };
            if let Some(slab) = slab {
                slab.home.set(id.arena);
            }
            other.lock.unlock();
            slab
        })?;
        self.set_free(self.free() + (slab.capacity() - slab.used()) as usize);
        if !slab.is_purged() {
            self.purgeable_slabs.push_last(slab);
            self.purgeable_count.set(self.purgeable_count.get() + 1);
            self.add_purgeable::<V>(id, slab.capacity() - slab.used());
        }
        Some(slab)
    }

    /// Takes one of the emptiest slabs out of all lists, for another arena.
    fn give_slab(&self) -> Option<&'static Slab> {
        let slab = self.bins.iter().rev().find_map(LinkedList::first)?;
        self.unlink(slab);
        self.set_free(self.free() - (slab.capacity() - slab.used()) as usize);
        self.spare.set(self.spare.get().filter(|spare| !ptr::eq(*spare, slab)));
        if !slab.is_purged() {
            self.purgeable_slabs.remove(slab);
            self.purgeable_count.set(self.purgeable_count.get() - 1);
        }
        Some(slab)
    }

    /// Ends this arena's being home to a slab all of whose blocks are out.
    fn let_go(&self, slab: &'static Slab) {
        if !slab.is_purged() {
            self.purgeable_slabs.remove(slab);
            self.purgeable_count.set(self.purgeable_count.get() - 1);
            slab.set_purged();
        }
        slab.home.leave();
    }

    /// Brings blocks home to their slabs, and leaves those in the batch whose slabs belong to other arenas. Neighbours
    /// are mostly of one slab, which moves once. Returns how many runs of such neighbours there were.
    pub(super) fn return_to_slabs<V: Shared>(&self, id: ListId, batch: &mut Batch) -> u32 {
        let class = id.class;
        let now = V::page_heap().now();
        let all = batch.len();
        if self.capacity.get() * V::CLASSES.block_bytes(class) > LARGE {
            look_ahead::<V>(id, batch);
        }
        let mut runs = 0;
        // First, since a slab that becomes free takes its blocks out of the sum again.
        self.set_free(self.free() + all as usize);
        let slice = |address| quotient(address, SLICE_BYTES);
        batch.offer_runs(slice, |blocks| {
            let Some(slab) = blocks.first().map(slab_of) else { return true };
            if V::ARENAS > 1 && !slab.home.belongs_to(id.arena) {
                return false;
            }
            slab.put::<V>(class, blocks);
            self.relink_or_retire::<V>(slab, now);
            runs += 1;
            true
        });
        let foreign = batch.len();
        self.set_free(self.free() - foreign as usize);
        self.add_purgeable::<V>(id, all - foreign);
        let came = self.came.get() + all - foreign;
        let much = quotient(MUCH_OF_A_CLASS, V::CLASSES.block_bytes(class));
        let is_much = came as usize >= much;
        self.came.set(if is_much { 0 } else { came });
        if is_much && self.is_fragmented::<V>(class, much) {
            V::page_heap().note_pending();
        }
        runs
    }

    /// Whether there are so many free blocks, and more of what their slabs hold than in a steady state: half where
    /// many blocks share a page, since few pages are free before, and an eighth where a block has pages of its own.
    fn is_fragmented<V: Variant>(&self, class: ClassIdx, much: usize) -> bool {
        let is_small = V::CLASSES.block_bytes(class) < PAGE_BYTES;
        let part = quotient(self.capacity.get(), if is_small { 2 } else { 8 });
        self.free() >= much.max(part)
    }

    /// Puts a slab to which blocks came home where it belongs: back to the page heap, if that was all of them.
    fn relink_or_retire<V: Shared>(&self, slab: &'static Slab, now: u64) {
        self.touch(slab, now);
        if slab.used() == 0 && self.has_others::<V>(slab) {
            return self.retire::<V>(slab);
        }
        if slab.used() == 0 {
            self.spare.set(Some(slab));
        }
        self.relink::<V>(slab);
    }

    /// Whether a refill would find blocks in another slab: the last one stays, or a class at its
    /// boundary would claim and retire in turn.
    fn has_others<V: Shared>(&self, slab: &Slab) -> bool {
        self.slabs().any(|other| {
            V::counters().count(Event::Look);
            !ptr::eq(other, slab)
        })
    }

    /// Gives a slab with every block home back to the page heap.
    fn retire<V: Shared>(&self, slab: &'static Slab) {
        self.unlink(slab);
        self.set_free(self.free() - slab.capacity() as usize);
        self.spare.set(self.spare.get().filter(|spare| !ptr::eq(*spare, slab)));
        if !slab.is_purged() {
            self.purgeable_slabs.remove(slab);
            self.purgeable_count.set(self.purgeable_count.get() - 1);
        }
        slab.take_down();
        slab.home.leave();
        V::counters().count(Event::Atomic);
        V::counters().count(Event::Retired);
        V::page_heap().give_slice::<V>(slab);
    }

    /// Gives the slab that stays without a block in use back to the page heap, if that is what it was for
    /// `delay` milliseconds; says whether it was.
    pub(super) fn retire_last<V: Shared>(&self, now: u64, delay: u64) -> bool {
        let idle = self.spare.get().filter(|slab| slab.idle_ms(now) >= delay);
        if let Some(slab) = idle {
            self.retire::<V>(slab);
        }
        idle.is_some()
    }

    /// Whether a slab without a block in use stays.
    pub(super) fn has_spare(&self) -> bool {
        self.spare.get().is_some()
    }

    /// Brings home what waits and nobody took since the last time, or `all` of it.
    pub(super) fn send_home<V: Shared>(&self, id: ListId, all: bool) {
        if !id.has_transfer::<V>() {
            return;
        }
        let waiting = V::transfer(id.class);
        let unused = waiting.turn();
        let mut left = if all { waiting.len() } else { unused };
        let mut batch = Batch::new();
        while left > 0 {
            waiting.take(left.min(BATCH_MOST as u32), &mut batch);
            left -= batch.len().clamp(1, left);
            self.return_to_slabs::<V>(id, &mut batch);
            debug_assert!(
                batch.len() == 0,
                "a class with a transfer cache has all slabs in one arena"
            );
        }
    }

    /// 0 only if there is nothing to bring home, to retire or to purge, now or later. Without the lock, too: what
    /// another thread is just about to bring comes after the look.
    pub(super) fn purgeable(&self) -> u32 {
        // ORDERING: relaxed; it says whether to look under the lock, and publishes nothing.
        self.purgeable.load(Ordering::Relaxed)
    }

    pub(super) fn set_purgeable(&self, pages: u32) {
        // ORDERING: relaxed, as above.
        self.purgeable.store(pages, Ordering::Relaxed);
    }

    /// No more than there are blocks at home or waiting: each page has one at least.
    pub(super) fn add_purgeable<V: Shared>(&self, id: ListId, pages: u32) {
        let most = u32::try_from(self.free()).unwrap_or(u32::MAX).saturating_add(id.waiting::<V>());
        self.set_purgeable(self.purgeable().saturating_add(pages).min(most));
    }

    /// Whether it can be seen that there is something to do; for audits.
    pub(crate) fn counts_purgeable<V: Shared>(&self, id: ListId) -> bool {
        self.purgeable() > 0 || id.waiting::<V>() == 0 && self.slabs().all(Slab::is_purged)
    }
}

impl ListId {
    /// Whether blocks of the class may wait in its transfer cache.
    pub(super) fn has_transfer<V: Variant>(self) -> bool {
        self.arena == ArenaIdx::FIRST && transfer::room::<V>(self.class) > 0
    }

    /// Blocks that wait in the transfer cache of this list, with its lock held.
    pub(crate) fn waiting<V: Shared>(self) -> u32 {
        if self.has_transfer::<V>() { V::transfer(self.class).len() } else { 0 }
    }
}

/// The list that a thread with this arena deals with.
pub(crate) fn list_id<V: Shared>(arena: ArenaIdx, class: ClassIdx) -> ListId {
    let is_small = V::CLASSES.block_bytes(class) <= MOST_BYTES;
    ListId { arena: if is_small { arena } else { ArenaIdx::FIRST }, class }
}
