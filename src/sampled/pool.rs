//! A pool: the slots of one variant, and what is known of them. The thread that touches it holds the lock of its
//! [`Sampled`](super::Sampled).
//!
//! SP1  The pages of a slot's block are open exactly while the slot is `Live` or `Lost`; no other page of the pool is.
//! SP3  The open pages of live slots are at most [`OPEN_MOST`].
//!
//! Never: locks, or writes a report.

use super::report::{self, Access, Misuse};
use super::slots::{self, Deed, Holds, SLOTS, Slot};
use super::trace::{self, Code, Trace};
use crate::base::{PAGE_BYTES, rank};
use crate::sys::maps::Space;
use crate::sys::segv::Fault;
use crate::sys::{held, pages, reserved, thread};
use core::cell::{Cell, UnsafeCell};
use core::ptr::{self, NonNull};

/// Pages that are open at a time, at most: 640 KiB.
const OPEN_MOST: usize = 160;
/// The content of the bytes of an open page that are beside its block. Its low bits are 0, which are flags where
/// another allocator takes them for its header.
const PATTERN: u8 = 0xE8;
/// The order of a slot that has a block, or is lost.
const TAKEN: u64 = u64::MAX;

/// What is known of a pool's slots. It lies in pages of its own, and all bytes zero is an empty one. [lock]
pub(super) struct Pool {
    pub(super) start: Cell<usize>,
    /// Blocks in use.
    pub(super) live: Cell<usize>,
    /// Bytes of the blocks in use.
    pub(super) bytes: Cell<usize>,
    /// Pages of the blocks in use (SP3).
    pub(super) open: Cell<usize>,
    /// Frees so far.
    frees: Cell<u64>,
    /// For each slot, the number of the free that emptied it: 0 for a slot never used, or [`TAKEN`].
    order: [Cell<u64>; SLOTS],
    pub(super) slots: [Slot; SLOTS],
    code: Code,
    pub(super) space: UnsafeCell<Space>,
}

impl Pool {
    pub(super) fn slot_at(&self, address: usize) -> Option<(usize, &Slot)> {
        let slot = slots::at(address.checked_sub(self.start.get())?);
        Some((slot, self.slots.get(slot)?))
    }

    /// The trace of the calling thread, which holds the lock.
    pub(super) fn here(&self) -> Trace {
        // SAFETY: the lock is held, and no other code refers to it.
        self.code.refresh(unsafe { &mut *self.space.get() });
        trace::here(&self.code)
    }

    fn deed(&self) -> Deed {
        Deed { thread: thread::id(), trace: self.here() }
    }

    fn pages(&self, slot: &Slot) -> (NonNull<u8>, usize) {
        let (from, to) = slot.pages();
        let start = ptr::with_exposed_provenance_mut(from);
        (NonNull::new(start).unwrap_or(NonNull::dangling()), to - from)
    }

    pub(super) fn allocate(&self, size: usize, align: usize, at_end: bool) -> Option<NonNull<u8>> {
        held::check_rank(rank::SAMPLED);
        // Never used slots come first, then the one that was emptied first.
        let order = |slot: &usize| self.order.get(*slot).map_or(TAKEN, Cell::get);
        let number = slots::that_fit(size, align).min_by_key(order)?;
        if order(&number) == TAKEN {
            return None;
        }
        let (slot, order) = (self.slots.get(number)?, self.order.get(number)?);
        let start = self.start.get() + slots::place(number, size, align, at_end);
        let (from, to) = slots::pages(start, size);
        if self.open.get() + (to - from) / PAGE_BYTES > OPEN_MOST {
            return None;
        }
        // What another block left behind goes with it, since the pages may be others.
        let was_dirty = slot.is_dirty.get();
        let first = NonNull::new(ptr::with_exposed_provenance_mut::<u8>(from))?;
        // SAFETY: pages of a free slot of the pool, to which nothing refers (SP1).
        if unsafe { !reserved::open(first, to - from) } {
            return None;
        }
        if was_dirty {
            // SAFETY: opened above.
            unsafe { first.write_bytes(0, to - from) };
        }
        // SAFETY: opened above; the bytes in front of the block.
        unsafe { first.write_bytes(PATTERN, start - from) };
        let block = NonNull::new(ptr::with_exposed_provenance_mut::<u8>(start))?;
        // SAFETY: the block's end is in the same pages, or their end.
        let end = unsafe { block.add(size) };
        // SAFETY: opened above; the bytes behind the block.
        unsafe { end.write_bytes(PATTERN, to - (start + size)) };
        slot.start.set(start);
        slot.size.set(size);
        slot.align.set(align);
        slot.allocated.set(self.deed());
        slot.freed.set(Deed { thread: 0, trace: Trace::NONE });
        slot.holds.set(Holds::Live);
        order.set(TAKEN);
        self.live.set(self.live.get() + 1);
        self.bytes.set(self.bytes.get() + size);
        self.open.set(self.open.get() + (to - from) / PAGE_BYTES);
        Some(block)
    }

    /// The slot of the block in use that starts at an address, or what is wrong with freeing it.
    pub(super) fn live(&self, address: usize) -> Result<&Slot, &'static str> {
        held::check_rank(rank::SAMPLED);
        let Some((_, slot)) = self.slot_at(address) else { return Err(report::NO_BLOCK) };
        match slot.holds.get() {
            Holds::Live if slot.start.get() == address => Ok(slot),
            Holds::Live => Err(report::INSIDE),
            Holds::Freed | Holds::Lost => Err(report::DOUBLE),
            Holds::Unused => Err(report::NO_BLOCK),
        }
    }

    /// Takes a block back; the misuse, if it is one.
    pub(super) fn free(&self, address: usize) -> Option<Misuse> {
        held::check_rank(rank::SAMPLED);
        let deed = self.deed();
        let misuse = |what, address, access| {
            Some(Misuse { what, address, access, trace: deed.trace, slot: None })
        };
        let slot = match self.live(address) {
            Ok(slot) => slot,
            Err(what) => return misuse(what, address, Access::Free),
        };
        if let Some((what, address)) = self.written_beside(slot) {
            return misuse(what, address, Access::Found);
        }
        let (first, bytes) = self.pages(slot);
        // SAFETY: the pages of a block that the program gave up (SP1).
        let is_closed = unsafe { reserved::close(first, bytes) };
        // SAFETY: the pages of a block that the program gave up, so no code needs the content.
        slot.is_dirty.set(unsafe { !pages::purge(first, bytes) });
        slot.freed.set(deed);
        self.frees.set(self.frees.get() + 1);
        slot.holds.set(if is_closed { Holds::Freed } else { Holds::Lost });
        if is_closed
            && let Some((number, _)) = self.slot_at(address)
            && let Some(order) = self.order.get(number)
        {
            order.set(self.frees.get());
        }
        self.live.set(self.live.get() - 1);
        self.bytes.set(self.bytes.get() - slot.size.get());
        self.open.set(self.open.get() - bytes / PAGE_BYTES);
        None
    }

    /// The byte nearest to a live block that was written beside it, if there is one.
    fn written_beside(&self, slot: &Slot) -> Option<(&'static str, usize)> {
        let (from, to) = slot.pages();
        let is_written = |address: &usize| {
            let byte = ptr::with_exposed_provenance::<u8>(*address);
            // SAFETY: a byte of the live block's pages, which are open (SP1), and outside the block.
            unsafe { byte.read_volatile() != PATTERN }
        };
        let over = (slot.end()..to).find(is_written).map(|address| (report::OVER, address));
        over.or_else(|| {
            let address = (from..slot.start.get()).rev().find(is_written)?;
            Some((report::UNDER, address))
        })
    }

    /// The misuse that a fault in the pool shows.
    pub(super) fn misuse_by(&self, fault: Fault) -> Misuse {
        let Fault { address, is_write, code, stack } = fault;
        // SAFETY: the lock is held, or its holder is this thread, which is not in the middle of a look.
        self.code.read(unsafe { &mut *self.space.get() });
        let trace = trace::at(&self.code, code, stack);
        let access = if is_write { Access::Write } else { Access::Read };
        // The page between two blocks belongs to the nearer one.
        let here = slots::at(address - self.start.get());
        let near = here.saturating_sub(1)..(here + 2).min(SLOTS);
        let known = near.filter_map(|number| Some((number, self.slots.get(number)?)));
        let known = known.filter(|(_, slot)| slot.holds.get() != Holds::Unused);
        let inside = |slot: &Slot| {
            let (from, to) = slot.pages();
            (from..to).contains(&address) && slot.holds.get() == Holds::Freed
        };
        let distance = |slot: &Slot| if inside(slot) { 0 } else { slot.distance(address) + 1 };
        let rank = |slot: &Slot| (distance(slot), slot.holds.get() != Holds::Live);
        let Some((number, slot)) = known.min_by_key(|(_, slot)| rank(slot)) else {
            return Misuse { what: report::NO_BLOCK, address, access, trace, slot: None };
        };
        let what = match slot.holds.get() {
            Holds::Freed | Holds::Lost | Holds::Unused => report::LATE,
            Holds::Live if address < slot.start.get() => report::UNDER,
            Holds::Live => report::OVER,
        };
        Misuse { what, address, access, trace, slot: Some(number) }
    }
}
