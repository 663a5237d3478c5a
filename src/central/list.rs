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
use super::exchange::{bring_home_sampled, look_ahead, slab_of};
use super::{Shared, transfer, used};
use crate::base::{ArenaIdx, ClassIdx, PAGE_BYTES, SLICE_BYTES, quotient, rank};
use crate::batch::Batch;
use crate::linked::LinkedList;
use crate::page_map::Kind;
use crate::slab::{BINNED, PURGEABLE, Slab};
use crate::stats::Event;
use crate::sys::atomic::{AtomicU32, AtomicUsize, Ordering};
use crate::sys::lock::Lock;
use crate::sys::watcher;
use crate::variant::{Variant, Wipe};
use core::cell::Cell;
use core::ptr;

/// Bytes of free blocks of one class that are worth a look at the sums.
const MUCH_OF_A_CLASS: usize = 2 << 20;
/// Bytes of a class's slabs whose metadata no processor cache holds as a whole.
pub(super) const LARGE: usize = 64 << 20;

/// Bytes of the largest blocks for which each arena has its own slabs. A slab holds few larger blocks, so most of an
/// arena's own slabs would lie idle. The first arena's slabs serve all threads there.
const MOST_BYTES: usize = 1024;

/// The name of a central list: its arena and its class.
#[derive(Clone, Copy)]
pub(crate) struct ListId {
    pub(crate) arena: ArenaIdx,
    pub(crate) class: ClassIdx,
}

/// A central list. All bytes zero is an empty one.
#[repr(C, align(64))]
pub(crate) struct CentralList {
    /// Guards all fields below but the atomics, and the slabs of the class whose home is this arena.
    pub(crate) lock: Lock<{ rank::CENTRAL_LIST }>,
    /// About how many pages a purge would find at most. Each block that came to the list or its transfer cache adds
    /// one, and so does each page of a slab that was claimed dirty. A purge that leaves nothing sets 0. Written with
    /// the lock held, and read without it. [shared]
    purgeable: AtomicU32,
    /// Blocks that came home since the list last checked for fragmentation.
    came: Cell<u32>,
    /// The slabs that have blocks, in bins by fullness.
    pub(super) bins: [LinkedList<Slab, BINNED>; BINS],
    /// Sums over the slabs in the bins (N4).
    pub(super) free: AtomicUsize,
    pub(super) capacity: Cell<usize>,
    /// The slab in the bins without a block in use (N5).
    pub(super) spare: Cell<Option<&'static Slab>>,
    /// Slabs to which blocks came home since a purge last saw them (N6). The next purge visits the first one.
    pub(super) purgeable_slabs: LinkedList<Slab, PURGEABLE>,
    pub(super) purgeable_count: Cell<u32>,
}

// SAFETY: the thread that holds the lock is the only one to touch the other fields; the lock and the atomics may be
// shared.
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

    /// Moves up to `want` blocks to an empty batch. If blocks wait in the transfer cache, it moves up to a whole batch
    /// of them.
    pub(super) fn take<V: Shared>(&self, id: ListId, want: u32, batch: &mut Batch) {
        self.lock.check_held();
        // If blocks wait, the list is purgeable. Otherwise the transfer cache stays untouched, and takes no memory.
        if self.purgeable() > 0 && id.waiting::<V>() > 0 {
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

    /// Finds a slab with blocks when the bins are empty. It tries a dirty slice, then a slab of another arena, then a
    /// clean slice. When memory is exhausted, any slab of another arena will do.
    fn find_slab<V: Shared>(&self, id: ListId) -> Option<&'static Slab> {
        if V::ARENAS == 1 {
            return self.claim::<V>(id, false);
        }
        let half = quotient(SLICE_BYTES / 2, V::CLASSES.block_bytes(id.class));
        self.claim::<V>(id, true)
            .or_else(|| self.take_over::<V>(id, half))
            .or_else(|| self.claim::<V>(id, false))
            .or_else(|| self.take_over::<V>(id, 1))
    }

    /// Claims a slice and carves it into blocks of this class. If `dirty`, it claims only a dirty slice.
    fn claim<V: Shared>(&self, id: ListId, dirty: bool) -> Option<&'static Slab> {
        self.lock.check_held();
        let class = id.class;
        V::counters().count(Event::Atomic);
        let (segment, slice, clean) = V::page_heap().claim_slice::<V>(dirty)?;
        let slab = segment.slab(slice);
        watcher::show(slab.page(0).as_ptr(), SLICE_BYTES);
        slab.set_up::<V>(class, clean);
        slab.home.set(id.arena);
        if V::WIPE == Wipe::Checked && !clean {
            // SAFETY: the slice was just claimed, so only this function refers to its bytes.
            unsafe { slab.page(0).write_bytes(0, SLICE_BYTES) };
        }
        self.set_free(self.free() + slab.capacity() as usize);
        if !clean {
            // A purge gives back the pages that the slab never uses, too.
            self.touch(slab, V::page_heap().now());
            self.add_purgeable::<V>(id, (SLICE_BYTES / PAGE_BYTES) as u32);
        }
        V::page_map().note(slab.page(0).addr().get(), Kind::Class(class));
        V::counters().count(Event::AcquireUnused);
        Some(slab)
    }

    /// Takes a slab over from another arena that has `much` free blocks of the class. `None` if no arena has.
    fn take_over<V: Shared>(&self, id: ListId, much: usize) -> Option<&'static Slab> {
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
            self.put_purgeable(slab);
            self.add_purgeable::<V>(id, slab.capacity() - slab.used());
        }
        Some(slab)
    }

    /// Takes one of the emptiest slabs out of this list, for another arena.
    fn give_slab(&self) -> Option<&'static Slab> {
        self.lock.check_held();
        let slab = self.bins.iter().rev().find_map(LinkedList::first)?;
        self.unlink(slab);
        self.set_free(self.free() - (slab.capacity() - slab.used()) as usize);
        self.spare.set(self.spare.get().filter(|spare| !ptr::eq(*spare, slab)));
        if !slab.is_purged() {
            self.remove_purgeable(slab);
        }
        Some(slab)
    }

    /// Lets go of a slab all of whose blocks are out: it has no home until a block comes back.
    fn let_go(&self, slab: &'static Slab) {
        if !slab.is_purged() {
            self.remove_purgeable(slab);
            slab.set_purged();
        }
        slab.home.leave();
    }

    /// Puts the blocks of a batch back into their slabs. Blocks whose slabs belong to other arenas stay in the batch.
    /// Neighbours in the batch mostly share a slab, which then changes its bin once. Returns how many runs of such
    /// neighbours there were.
    pub(super) fn return_to_slabs<V: Shared>(&self, id: ListId, batch: &mut Batch) -> u32 {
        self.lock.check_held();
        let class = id.class;
        let now = V::page_heap().now();
        let bytes = self.capacity.get() * V::CLASSES.block_bytes(class);
        if bytes >= V::page_heap().ahead_from::<V>() {
            ahead_cold::<V>(id, bytes, batch);
        }
        let all = batch.len();
        let mut runs = 0;
        // The sum changes first, since a slab that is retired below takes its blocks out of the sum again.
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

    /// True if at least `much` blocks are free, and a larger part of the slabs than in a steady state. The part is a
    /// half for blocks smaller than a page, since few pages become free before. For larger blocks it is an eighth.
    fn is_fragmented<V: Variant>(&self, class: ClassIdx, much: usize) -> bool {
        let is_small = V::CLASSES.block_bytes(class) < PAGE_BYTES;
        let part = quotient(self.capacity.get(), if is_small { 2 } else { 8 });
        self.free() >= much.max(part)
    }

    /// Moves a slab to which blocks came home to its bin, or retires it if all its blocks are home.
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

    /// True if another slab has blocks. The last slab stays, or a class at its boundary would claim and retire a slab
    /// in turn.
    fn has_others<V: Shared>(&self, slab: &Slab) -> bool {
        self.slabs().any(|other| {
            V::counters().count(Event::Look);
            !ptr::eq(other, slab)
        })
    }

    /// Gives a slab with every block home back to the page heap.
    fn retire<V: Shared>(&self, slab: &'static Slab) {
        self.lock.check_held();
        self.unlink(slab);
        self.set_free(self.free() - slab.capacity() as usize);
        self.spare.set(self.spare.get().filter(|spare| !ptr::eq(*spare, slab)));
        if !slab.is_purged() {
            self.remove_purgeable(slab);
        }
        slab.take_down();
        slab.home.leave();
        V::counters().count(Event::Atomic);
        V::counters().count(Event::Retired);
        V::page_heap().give_slice::<V>(slab);
    }

    /// Retires the spare slab if it has been idle for `delay` milliseconds. Returns true if it did.
    pub(super) fn retire_last<V: Shared>(&self, now: u64, delay: u64) -> bool {
        self.lock.check_held();
        let idle = self.spare.get().filter(|slab| slab.idle_ms(now) >= delay);
        if let Some(slab) = idle {
            self.retire::<V>(slab);
        }
        idle.is_some()
    }

    /// True if the list keeps a slab without a block in use.
    pub(super) fn has_spare(&self) -> bool {
        self.spare.get().is_some()
    }

    /// Moves blocks from the transfer cache to their slabs: those that no thread took since the last call, or `all`.
    pub(super) fn send_home<V: Shared>(&self, id: ListId, all: bool) {
        self.lock.check_held();
        if !id.has_transfer::<V>() {
            return;
        }
        V::transfer(id.class).empty(all, |batch| {
            self.return_to_slabs::<V>(id, batch);
            debug_assert!(batch.len() == 0, "the class has all slabs in one arena");
        });
    }

    /// The upper bound of what a purge finds here. It is 0 only if nothing is to go home, to retire or to purge. A
    /// thread may read it without the lock: it may miss blocks that are on their way.
    pub(super) fn purgeable(&self) -> u32 {
        // ORDERING: relaxed; it decides whether to look under the lock, and publishes nothing.
        self.purgeable.load(Ordering::Relaxed)
    }

    pub(super) fn set_purgeable(&self, pages: u32) {
        self.lock.check_held();
        // ORDERING: relaxed, as in `purgeable`.
        self.purgeable.store(pages, Ordering::Relaxed);
    }

    /// Raises the bound, up to the number of blocks at home or waiting: each such page has one of them at least.
    pub(super) fn add_purgeable<V: Shared>(&self, id: ListId, pages: u32) {
        let most = u32::try_from(self.free()).unwrap_or(u32::MAX).saturating_add(id.waiting::<V>());
        self.set_purgeable(self.purgeable().saturating_add(pages).min(most));
    }

    /// True if `purgeable` shows all there is to do. For audits.
    pub(crate) fn counts_purgeable<V: Shared>(&self, id: ListId) -> bool {
        self.purgeable() > 0 || id.waiting::<V>() == 0 && self.slabs().all(Slab::is_purged)
    }
}

/// What comes before the return of a batch to slabs of so many bytes, if they are many, or if blocks are sampled.
#[cold]
#[inline(never)]
fn ahead_cold<V: Shared>(id: ListId, bytes: usize, batch: &mut Batch) {
    bring_home_sampled::<V>(batch);
    if bytes >= LARGE {
        look_ahead::<V>(id, batch);
    }
}

impl ListId {
    /// True if all slabs of the class are in this arena, the first, and blocks may wait in its transfer cache.
    pub(super) fn has_transfer<V: Variant>(self) -> bool {
        let has_it = !has_arenas::<V>(self.class) && transfer::room::<V>(self.class) > 0;
        has_it && self.arena == ArenaIdx::FIRST
    }

    /// Blocks in the transfer cache of such a class.
    pub(crate) fn waiting<V: Shared>(self) -> u32 {
        if self.has_transfer::<V>() { V::transfer(self.class).len() } else { 0 }
    }
}

/// The central list that a thread of this arena uses for a class.
pub(crate) fn list_id<V: Shared>(arena: ArenaIdx, class: ClassIdx) -> ListId {
    ListId { arena: if has_arenas::<V>(class) { arena } else { ArenaIdx::FIRST }, class }
}

/// True if each arena has its own slabs of the class.
pub(super) fn has_arenas<V: Variant>(class: ClassIdx) -> bool {
    V::ARENAS > 1 && V::CLASSES.block_bytes(class) <= MOST_BYTES
}
