//! The central list of one class: batches that wait, and the slabs that have blocks.
//!
//! | operation | looks at |
//! |---|---|
//! | take, give | the blocks that it moves, and the slabs of these; two others at most |
//! | send home | the batches that wait, as many as `transfer_kib` allows |
//! | is loose, retire | sums, and one slab |
//!
//! So each costs a constant for a block that it moves, however many slabs there are.
//!
//! N4  `free` is how many blocks of the slabs in the bins are home, `capacity` how many these slabs have room for.
//! N5  A slab in the bins without a block in use is `spare`: there is one such at most.
//! N6  A slab is among the untidy ones exactly while it says that it is.

use super::Shared;
use super::purge::MUCH_OF_A_CLASS;
use crate::base::{ClassIdx, PAGE_BYTES, SLOT_BYTES, quotient};
use crate::chunk::{BINNED, BitSlab, Chunk, UNTIDY};
use crate::list::{Block, Chain, LinkedList};
use crate::page_map::Kind;
use crate::stats::Event;
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::lock::Lock;
use crate::variant::{Partial, Variant};
use core::cell::Cell;
use core::hint::black_box;
use core::ptr::{self, NonNull};

/// Bytes of a class's slabs that no cache has all of what is known about.
const LARGE: usize = 64 << 20;
/// Lists of slabs by fullness, the fullest first.
const BINS: usize = 4;

/// See the module. All bytes zero is an empty one.
#[repr(C, align(64))]
pub(crate) struct Central {
    /// Guards all that follows but the atomic, and the class's slabs.
    pub(crate) lock: Lock,
    /// About how many pages a purge would find at most: one for each block that came, to wait or home, since all was last
    /// tidied, and those that new slabs found dirty. Changed with the lock held, and looked at without it. [shared]
    untidy: AtomicU32,
    /// Batches that wait, each of exactly the class's batch length, and how many.
    waiting: Cell<*mut Block>,
    batches: Cell<u32>,
    /// The fewest batches that waited since the last purge: so many were not needed.
    least: Cell<u32>,
    /// Blocks that came home since it was last looked at how many slabs have.
    came: Cell<u32>,
    /// The slabs that have blocks.
    bins: [LinkedList<BitSlab, BINNED>; BINS],
    /// Sums over these (N4).
    free: Cell<usize>,
    capacity: Cell<usize>,
    /// The one of them that has no block in use (N5).
    spare: Cell<Option<&'static BitSlab>>,
    /// Slabs to which blocks came home since their pages were purged, the one that a purge looks at next first (N6).
    untidy_slabs: LinkedList<BitSlab, UNTIDY>,
    untidy_count: Cell<u32>,
}

// SAFETY: all fields but the lock and the atomic are touched with the lock held.
unsafe impl Sync for Central {}

impl Central {
    pub(crate) const fn new() -> Self {
        Self {
            lock: Lock::over(AtomicU32::new(0)),
            untidy: AtomicU32::new(0),
            waiting: Cell::new(ptr::null_mut()),
            batches: Cell::new(0),
            least: Cell::new(0),
            came: Cell::new(0),
            bins: [const { LinkedList::new() }; BINS],
            free: Cell::new(0),
            capacity: Cell::new(0),
            spare: Cell::new(None),
            untidy_slabs: LinkedList::new(),
            untidy_count: Cell::new(0),
        }
    }

    /// One block, for a thread without lists.
    pub(crate) fn take_one<V: Shared>(&self, class: ClassIdx) -> Option<NonNull<Block>> {
        V::counters().count(Event::Atomic);
        self.lock
            .with(|| {
                let mut batch = self.take_batch::<V>(class)?;
                let block = batch.pop();
                self.bring_home::<V>(class, batch);
                block
            })
            .or_else(|| self.lock.with(|| self.take_from_slabs::<V>(class, 1).pop()))
    }

    /// Up to `want` blocks; fewer where memory runs out, and more, up to a batch, where so many wait.
    pub(crate) fn take<V: Shared>(&self, class: ClassIdx, want: u32) -> Chain {
        V::counters().count(Event::Atomic);
        self.lock.with(|| {
            self.take_batch::<V>(class).unwrap_or_else(|| self.take_from_slabs::<V>(class, want))
        })
    }

    /// Takes blocks back: to wait for a thread that wants some, if there is room, or home to their slabs.
    pub(crate) fn give<V: Shared>(&self, class: ClassIdx, blocks: Chain) {
        V::counters().count(Event::Atomic);
        V::counters().count(Event::ListDrain);
        self.lock.with(|| self.put_back::<V>(class, blocks));
    }

    fn put_back<V: Shared>(&self, class: ClassIdx, blocks: Chain) {
        let batch = u32::from(V::BATCHES[class.index()]);
        if blocks.len() != batch || self.batches.get() >= room::<V>(class) {
            return self.bring_home::<V>(class, blocks);
        }
        // SAFETY: a batch is not empty, and `transfer_kib` is for classes of 16 bytes or more.
        self.waiting.set(unsafe { blocks.stack_on(self.waiting.get()) });
        self.batches.set(self.batches.get() + 1);
        self.add_untidy::<V>(class, batch);
    }

    fn take_batch<V: Shared>(&self, class: ClassIdx) -> Option<Chain> {
        if V::TRANSFER_KIB == 0 {
            return None;
        }
        let top = NonNull::new(self.waiting.get())?;
        // SAFETY: `give` stacked it, a batch of the class's length.
        let (batch, below) = unsafe { Chain::unstack(top, u32::from(V::BATCHES[class.index()])) };
        self.waiting.set(below);
        self.batches.set(self.batches.get() - 1);
        self.least.set(self.least.get().min(self.batches.get()));
        V::counters().count(Event::Transfer);
        Some(batch)
    }

    fn take_from_slabs<V: Shared>(&self, class: ClassIdx, want: u32) -> Chain {
        let mut chain = Chain::new();
        while chain.len() < want {
            let Some(slab) = self.first_slab().or_else(|| self.claim::<V>(class)) else { break };
            let before = chain.len();
            slab.take::<V>(&mut chain, want);
            self.free.set(self.free.get() - (chain.len() - before) as usize);
            if slab.used() > 0 {
                self.spare.set(self.spare.get().filter(|spare| !ptr::eq(*spare, slab)));
            }
            self.rebin::<V>(slab);
        }
        V::counters().count(Event::Refill);
        chain
    }

    /// A slot made a slab of this class.
    fn claim<V: Shared>(&self, class: ClassIdx) -> Option<&'static BitSlab> {
        V::counters().count(Event::Atomic);
        let (chunk, slot, clean) = V::spans().claim_slot::<V>()?;
        let slab = chunk.slab(slot);
        slab.set_up::<V>(class, clean);
        self.free.set(self.free.get() + slab.capacity() as usize);
        if !clean {
            // What it does not come to use goes back, too.
            self.touch(slab, V::spans().now());
            self.add_untidy::<V>(class, (SLOT_BYTES / PAGE_BYTES) as u32);
        }
        V::page_map().note(slab.page(0).addr().get(), Kind::Class(class));
        V::counters().count(Event::AcquireUnused);
        Some(slab)
    }

    /// Brings blocks home to their slabs. Neighbours in a chain are mostly of one slab, which moves once.
    fn bring_home<V: Shared>(&self, class: ClassIdx, mut chain: Chain) {
        let now = V::spans().now();
        self.free.set(self.free.get() + chain.len() as usize);
        self.add_untidy::<V>(class, chain.len());
        let came = self.came.get() + chain.len();
        if self.capacity.get() * V::CLASSES.block_bytes(class) > LARGE {
            look_ahead::<V>(class, &chain);
        }
        let mut last: Option<&'static BitSlab> = None;
        while let Some(block) = chain.pop() {
            let address = block.addr().get();
            // SAFETY: the block is out, so its chunk is mapped.
            let slab = unsafe { Chunk::containing(address) }.slab(Chunk::slot_at(address));
            slab.put::<V>(class, block);
            if let Some(last) = last.replace(slab).filter(|last| !ptr::eq(*last, slab)) {
                self.settle::<V>(last, now);
            }
        }
        if let Some(last) = last {
            self.settle::<V>(last, now);
        }
        let much = quotient(MUCH_OF_A_CLASS, V::CLASSES.block_bytes(class));
        let is_much = came as usize >= much;
        self.came.set(if is_much { 0 } else { came });
        if is_much && self.is_loose::<V>(class, much) {
            V::spans().note_waits();
        }
    }

    /// Whether there are so many free blocks, and more of what their slabs hold than in a steady state: half where
    /// many blocks share a page, since few pages are free before, and an eighth where a block has pages of its own.
    fn is_loose<V: Variant>(&self, class: ClassIdx, much: usize) -> bool {
        let is_small = V::CLASSES.block_bytes(class) < PAGE_BYTES;
        let part = quotient(self.capacity.get(), if is_small { 2 } else { 8 });
        self.free.get() >= much.max(part)
    }

    /// Puts a slab to which blocks came home where it belongs: back to the spans, if that was all of them.
    fn settle<V: Shared>(&self, slab: &'static BitSlab, now: u64) {
        self.touch(slab, now);
        if slab.used() == 0 && self.has_others::<V>(slab) {
            return self.retire::<V>(slab);
        }
        if slab.used() == 0 {
            self.spare.set(Some(slab));
        }
        self.rebin::<V>(slab);
    }

    /// Whether a refill would find blocks in another slab: the last one stays, or a class at its
    /// boundary would claim and retire in turn.
    fn has_others<V: Shared>(&self, slab: &BitSlab) -> bool {
        self.slabs().any(|other| {
            V::counters().count(Event::Look);
            !ptr::eq(other, slab)
        })
    }

    /// Gives a slab with every block home back to the spans.
    fn retire<V: Shared>(&self, slab: &'static BitSlab) {
        self.unbin(slab);
        self.free.set(self.free.get() - slab.capacity() as usize);
        self.spare.set(self.spare.get().filter(|spare| !ptr::eq(*spare, slab)));
        if !slab.is_tidy() {
            self.untidy_slabs.remove(slab);
            self.untidy_count.set(self.untidy_count.get() - 1);
        }
        slab.take_down();
        V::counters().count(Event::Atomic);
        V::counters().count(Event::Retired);
        V::spans().give_slot::<V>(slab);
    }

    /// Notes that blocks came home to a slab, or that it was claimed dirty.
    fn touch(&self, slab: &'static BitSlab, now: u64) {
        if slab.touch(now) {
            self.untidy_slabs.push_last(slab);
            self.untidy_count.set(self.untidy_count.get() + 1);
        }
    }

    // ---- slabs by fullness (N2) ------------------------------------------------------------------

    fn first_slab(&self) -> Option<&'static BitSlab> {
        self.bins.iter().find_map(LinkedList::first)
    }

    /// Which list a slab belongs in; `None` for one without blocks.
    fn bin_of<V: Variant>(slab: &BitSlab) -> Option<usize> {
        if !slab.has_blocks() {
            return None;
        }
        let (used, capacity) = (slab.used() as usize, slab.capacity() as usize);
        match V::PARTIAL {
            Partial::Latest => Some(0),
            // By quarters; the emptiest last.
            Partial::Fullest => Some(BINS - 1 - quotient(used * BINS, capacity)),
        }
    }

    fn rebin<V: Variant>(&self, slab: &'static BitSlab) {
        let bin = Self::bin_of::<V>(slab);
        if bin.map_or(0, |bin| bin as u8 + 1) == slab.bin.get() {
            return;
        }
        self.unbin(slab);
        if let Some(bin) = bin {
            self.bins[bin % BINS].push(slab);
            slab.bin.set(bin as u8 + 1);
            self.capacity.set(self.capacity.get() + slab.capacity() as usize);
        }
    }

    fn unbin(&self, slab: &'static BitSlab) {
        if let Some(bin) = usize::from(slab.bin.replace(0)).checked_sub(1) {
            self.bins[bin % BINS].remove(slab);
            self.capacity.set(self.capacity.get() - slab.capacity() as usize);
        }
    }

    // ---- for purging: with the lock held ---------------------------------------------------------

    /// Brings home what waits and nobody took since the last time, or `all` of it.
    pub(super) fn send_home<V: Shared>(&self, class: ClassIdx, all: bool) {
        let count = if all { self.batches.get() } else { self.least.get() };
        for _ in 0..count {
            let Some(batch) = self.take_batch::<V>(class) else { break };
            self.bring_home::<V>(class, batch);
        }
        self.least.set(self.batches.get());
    }

    /// 0 only if there is nothing to bring home, to retire or to purge, now or later. Without the lock, too: what
    /// another thread is just about to bring comes after the look.
    pub(super) fn untidy(&self) -> u32 {
        // ORDERING: relaxed; it says whether to look under the lock, and publishes nothing.
        self.untidy.load(Ordering::Relaxed)
    }

    pub(super) fn set_untidy(&self, pages: u32) {
        // ORDERING: relaxed, as above.
        self.untidy.store(pages, Ordering::Relaxed);
    }

    /// No more than there are blocks at home or waiting: each page has one at least.
    fn add_untidy<V: Variant>(&self, class: ClassIdx, pages: u32) {
        let waiting = self.batches.get() as usize * usize::from(V::BATCHES[class.index()]);
        let most = u32::try_from(self.free.get() + waiting).unwrap_or(u32::MAX);
        self.set_untidy(self.untidy().saturating_add(pages).min(most));
    }

    /// Whether it can be seen that there is something to do; for audits.
    pub(crate) fn counts_untidy(&self) -> bool {
        self.untidy() > 0 || !self.has_batches() && self.slabs().all(BitSlab::is_tidy)
    }

    /// Whether the sums are those of the slabs in the bins (N4, N5); for audits.
    pub(crate) fn sums_up(&self) -> bool {
        let sum =
            |of: fn(&BitSlab) -> u32| self.slabs().map(|slab| of(slab) as usize).sum::<usize>();
        let capacity = sum(BitSlab::capacity);
        let is_spare = |slab: &BitSlab| self.spare.get().is_some_and(|spare| ptr::eq(spare, slab));
        self.capacity.get() == capacity
            && self.free.get() == capacity - sum(BitSlab::used)
            && self.slabs().all(|slab| (slab.used() == 0) == is_spare(slab))
            && self.untidy_slabs.iter().count() == self.untidy_count.get() as usize
            && self.untidy_slabs.iter().all(|slab| !slab.is_tidy())
    }

    /// Whether batches wait.
    pub(super) fn has_batches(&self) -> bool {
        self.batches.get() > 0
    }

    /// The slabs that have blocks; none may be moved while they are looked at.
    fn slabs(&self) -> impl Iterator<Item = &'static BitSlab> {
        self.bins.iter().flat_map(LinkedList::iter)
    }

    /// Slabs that a purge has not looked at since blocks came home to them.
    pub(super) fn untidy_count(&self) -> u32 {
        self.untidy_count.get()
    }

    /// Takes the untidy slab whose turn it is out of their list; it is to be purged, or put back.
    pub(super) fn next_untidy(&self) -> Option<&'static BitSlab> {
        let slab = self.untidy_slabs.first()?;
        self.untidy_slabs.remove(slab);
        self.untidy_count.set(self.untidy_count.get() - 1);
        Some(slab)
    }

    /// Lets an untidy slab wait for its next turn.
    pub(super) fn put_back_untidy(&self, slab: &'static BitSlab) {
        self.untidy_slabs.push_last(slab);
        self.untidy_count.set(self.untidy_count.get() + 1);
    }

    /// Gives the slab that stays without a block in use back to the spans, if that is what it was for
    /// `delay` milliseconds.
    pub(super) fn retire_last<V: Shared>(&self, now: u64, delay: u64) {
        if let Some(slab) = self.spare.get().filter(|slab| slab.idle_ms(now) >= delay) {
            self.retire::<V>(slab);
        }
    }

    /// Blocks that wait; for audits.
    pub(crate) fn waiting_blocks<V: Shared>(&self, class: ClassIdx) -> usize {
        self.batches.get() as usize * usize::from(V::BATCHES[class.index()])
    }
}

/// Reads what bringing blocks home is going to change. For blocks from all over a large heap these reads miss the caches,
/// and here, where none waits for another, they do so several at a time. Not by prefetches: processors drop those that
/// miss the translations of addresses, too.
fn look_ahead<V: Variant>(class: ClassIdx, blocks: &Chain) {
    let seen = blocks.addresses().fold(0, |seen, address| {
        // SAFETY: the block is out, so its chunk is mapped.
        let chunk = unsafe { Chunk::containing(address) };
        seen ^ chunk.slab(Chunk::slot_at(address)).look_ahead::<V>(class, address)
    });
    black_box(seen);
}

/// Batches of a class that may wait.
fn room<V: Variant>(class: ClassIdx) -> u32 {
    let batch = usize::from(V::BATCHES[class.index()]) * V::CLASSES.block_bytes(class);
    match V::TRANSFER_KIB {
        0 => 0,
        kib => quotient(kib * 1024, batch).clamp(2, 64) as u32,
    }
}
