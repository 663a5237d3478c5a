//! An arena's central list of one class: the slabs that have blocks.
//!
//! | operation | looks at |
//! |---|---|
//! | take, give | the blocks that it moves, and the slabs of these; two others at most, and where the arena grows, a number of each other arena |
//! | send home | the blocks that wait in the transfer cache |
//! | is fragmented, retire | sums, and one slab |
//!
//! So each costs a constant for a block that it moves, however many slabs there are.
//!
//! N4  `free` is how many blocks of the slabs in the bins are home, `capacity` how many these slabs have room for.
//! N5  A slab in the bins without a block in use is `spare`: there is one such at most.
//! N6  A slab is among the purgeable ones exactly while it says that it is.

use super::purge::MUCH_OF_A_CLASS;
use super::{Shared, transfer, used};
use crate::base::{ArenaIdx, BATCH_MOST, ClassIdx, PAGE_BYTES, SLICE_BYTES, quotient};
use crate::list::{Batch, FreeBlock, FreeList, LinkedList};
use crate::page_map::Kind;
use crate::slab::{BINNED, PURGEABLE, Segment, Slab};
use crate::stats::Event;
use crate::sys::atomic::{AtomicU32, AtomicUsize, Ordering};
use crate::sys::lock::Lock;
use crate::variant::{Partial, Variant};
use core::cell::Cell;
use core::hint::black_box;
use core::ptr;

/// Bytes of a class's slabs that no cache has all of what is known about.
const LARGE: usize = 64 << 20;
/// Lists of slabs by fullness, the fullest first.
const BINS: usize = 4;

/// Bytes of the largest blocks that each arena has slabs of its own for. Few larger ones fit a slab, so an arena's would lie
/// idle for the most part; the first arena's serve all threads.
const MOST_BYTES: usize = 1024;

/// The list that a thread with this arena deals with.
pub(crate) fn list_id<V: Shared>(arena: ArenaIdx, class: ClassIdx) -> ListId {
    ListId { arena: if has_arenas::<V>(class) { arena } else { ArenaIdx::FIRST }, class }
}

/// True if each arena has slabs of its own of the class.
pub(super) fn has_arenas<V: Variant>(class: ClassIdx) -> bool {
    V::ARENAS > 1 && V::CLASSES.block_bytes(class) <= MOST_BYTES
}

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
    bins: [LinkedList<Slab, BINNED>; BINS],
    /// Sums over these (N4).
    free: AtomicUsize,
    capacity: Cell<usize>,
    /// The one of them that has no block in use (N5).
    spare: Cell<Option<&'static Slab>>,
    /// Slabs to which blocks came home since their pages were purged, the one that a purge looks at next first (N6).
    purgeable_slabs: LinkedList<Slab, PURGEABLE>,
    purgeable_count: Cell<u32>,
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
    fn take<V: Shared>(&self, id: ListId, want: u32, batch: &mut Batch) {
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

    /// Ends this arena's being home to a slab all of whose blocks are out.
    fn let_go(&self, slab: &'static Slab) {
        if !slab.is_purged() {
            self.purgeable_slabs.remove(slab);
            self.purgeable_count.set(self.purgeable_count.get() - 1);
            slab.set_purged();
        }
        slab.home.leave();
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

    /// Brings blocks home to their slabs, and leaves those in the batch whose slabs belong to other arenas. Neighbours
    /// are mostly of one slab, which moves once. Returns how many runs of such neighbours there were.
    fn return_to_slabs<V: Shared>(&self, id: ListId, batch: &mut Batch) -> u32 {
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

    /// Notes that blocks came home to a slab, or that it was claimed dirty.
    fn touch(&self, slab: &'static Slab, now: u64) {
        if slab.touch(now) {
            self.purgeable_slabs.push_last(slab);
            self.purgeable_count.set(self.purgeable_count.get() + 1);
        }
    }

    /// Blocks at home. Exact with the lock held, and looked at without it to see whether a slab could be taken over.
    fn free(&self) -> usize {
        // ORDERING: relaxed; a number that publishes nothing.
        self.free.load(Ordering::Relaxed)
    }

    fn set_free(&self, blocks: usize) {
        // ORDERING: relaxed, as in `free`.
        self.free.store(blocks, Ordering::Relaxed);
    }

    // ---- slabs by fullness (N2) ------------------------------------------------------------------

    fn first_slab(&self) -> Option<&'static Slab> {
        self.bins.iter().find_map(LinkedList::first)
    }

    /// Which list a slab belongs in; `None` for one without blocks.
    fn bin_of<V: Variant>(slab: &Slab) -> Option<usize> {
        if !slab.has_blocks() {
            return None;
        }
        let (used, capacity) = (slab.used() as usize, slab.capacity() as usize);
        match V::PARTIAL {
            Partial::Latest => Some(0),
            // By quarters; the emptiest last. A division would take longer than three comparisons.
            Partial::Fullest => {
                let quarters = (1..BINS).filter(|part| used * BINS >= part * capacity).count();
                Some(BINS - 1 - quarters)
            }
        }
    }

    fn relink<V: Variant>(&self, slab: &'static Slab) {
        let bin = Self::bin_of::<V>(slab);
        if bin.map_or(0, |bin| bin as u8 + 1) == slab.bin.get() {
            return;
        }
        self.unlink(slab);
        if let Some(bin) = bin {
            self.bins[bin % BINS].push(slab);
            slab.bin.set(bin as u8 + 1);
            self.capacity.set(self.capacity.get() + slab.capacity() as usize);
        }
    }

    fn unlink(&self, slab: &'static Slab) {
        if let Some(bin) = usize::from(slab.bin.replace(0)).checked_sub(1) {
            self.bins[bin % BINS].remove(slab);
            self.capacity.set(self.capacity.get() - slab.capacity() as usize);
        }
    }

    // ---- for purging: with the lock held ---------------------------------------------------------

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
    fn add_purgeable<V: Shared>(&self, id: ListId, pages: u32) {
        let most = u32::try_from(self.free()).unwrap_or(u32::MAX).saturating_add(id.waiting::<V>());
        self.set_purgeable(self.purgeable().saturating_add(pages).min(most));
    }

    /// Whether it can be seen that there is something to do; for audits.
    pub(crate) fn counts_purgeable<V: Shared>(&self, id: ListId) -> bool {
        self.purgeable() > 0 || id.waiting::<V>() == 0 && self.slabs().all(Slab::is_purged)
    }

    /// Whether the sums are those of the slabs in the bins (N4, N5); for audits.
    pub(crate) fn sums_up(&self) -> bool {
        let sum = |of: fn(&Slab) -> u32| self.slabs().map(|slab| of(slab) as usize).sum::<usize>();
        let capacity = sum(Slab::capacity);
        let is_spare = |slab: &Slab| self.spare.get().is_some_and(|spare| ptr::eq(spare, slab));
        self.capacity.get() == capacity
            && self.free() == capacity - sum(Slab::used)
            && self.slabs().all(|slab| (slab.used() == 0) == is_spare(slab))
            && self.purgeable_slabs.iter().count() == self.purgeable_count.get() as usize
            && self.purgeable_slabs.iter().all(|slab| !slab.is_purged())
    }

    /// Whether the slabs in the bins belong to the arena; for audits.
    pub(crate) fn is_home<V: Variant>(&self, arena: ArenaIdx) -> bool {
        self.slabs().all(|slab| slab.home.get() == Some(arena))
    }

    /// The slabs that have blocks; none may be moved while they are looked at.
    fn slabs(&self) -> impl Iterator<Item = &'static Slab> {
        self.bins.iter().flat_map(LinkedList::iter)
    }

    /// Slabs that a purge has not looked at since blocks came home to them.
    pub(super) fn purgeable_count(&self) -> u32 {
        self.purgeable_count.get()
    }

    /// Takes the purgeable slab whose turn it is out of their list; it is to be purged, or put back.
    pub(super) fn next_purgeable(&self) -> Option<&'static Slab> {
        let slab = self.purgeable_slabs.first()?;
        self.purgeable_slabs.remove(slab);
        self.purgeable_count.set(self.purgeable_count.get() - 1);
        Some(slab)
    }

    /// Lets a purgeable slab wait for its next turn.
    pub(super) fn put_back_purgeable(&self, slab: &'static Slab) {
        self.purgeable_slabs.push_last(slab);
        self.purgeable_count.set(self.purgeable_count.get() + 1);
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
}

impl ListId {
    /// True if all slabs of the class are in this arena, the first, and blocks may wait in its transfer cache.
    pub(super) fn has_transfer<V: Variant>(self) -> bool {
        let has_it = !has_arenas::<V>(self.class) && transfer::room::<V>(self.class) > 0;
        has_it && self.arena == ArenaIdx::FIRST
    }

    /// Blocks that wait in the transfer cache of such a class.
    pub(crate) fn waiting<V: Shared>(self) -> u32 {
        if self.has_transfer::<V>() { V::transfer(self.class).len() } else { 0 }
    }
}

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
    let transfer = V::transfer(id.class);
    if has_arenas::<V>(id.class) && transfer.len() > 0 {
        transfer.take(V::BATCHES[id.class.index()].into(), batch);
        if batch.len() > 0 {
            return V::counters().count(Event::Transfer);
        }
    }
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
    if batch.len() > 0 {
        V::counters().count(Event::Atomic);
        V::transfer(id.class).put::<V>(id.class, batch);
    }
    runs += return_elsewhere::<V>(id, batch);
    runs
}

/// Brings all blocks of a batch home, an arena at a time.
fn return_elsewhere<V: Shared>(id: ListId, batch: &mut Batch) -> u32 {
    let mut runs = 0;
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

/// Brings home what waits in the transfer cache of a class with slabs in each arena, and no thread took since the last
/// time; or `all` of it.
pub(super) fn send_home<V: Shared>(class: ClassIdx, all: bool) {
    let transfer = V::transfer(class);
    if !has_arenas::<V>(class) || transfer.len() == 0 {
        return;
    }
    let unused = transfer.turn();
    let mut left = if all { transfer.len() } else { unused };
    let mut batch = Batch::new();
    while left > 0 {
        transfer.take(left.min(BATCH_MOST as u32), &mut batch);
        left -= batch.len().clamp(1, left);
        return_elsewhere::<V>(ListId { arena: ArenaIdx::FIRST, class }, &mut batch);
    }
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
fn slab_of(block: &FreeBlock) -> &'static Slab {
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
fn look_ahead<V: Variant>(id: ListId, batch: &Batch) {
    let seen = batch.iter().fold(0, |seen, block| {
        let slab = slab_of(block);
        // Another arena's may be written to meanwhile.
        let is_mine = slab.home.get() == Some(id.arena);
        if is_mine { seen ^ slab.look_ahead::<V>(id.class, block.address()) } else { seen }
    });
    black_box(seen);
}
