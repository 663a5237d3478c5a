//! The map cache: the addresses that huge blocks have, and the memory that freed ones left there.
//!
//! ```text
//!              kernel ──map──▶ clean extents ◀──purge── dirty extents
//!                                    │                     │   ▲
//!                                    └──────▶ block ◀──────┘   │ free
//!                                               └──────────────┘
//! ```
//!
//! The kernel maps addresses in pieces larger than a block, so blocks lie side by side in few mappings. A freed block
//! becomes a dirty extent. The next blocks are cut from dirty extents. Where none has room, `assembly.rs` puts a place
//! together from several. What no block has needed for a while goes back to the kernel (`keep.rs`, `low_water.rs`):
//! its addresses stay, as a clean extent.
//!
//! The kernel limits a process to some 65 000 mappings. A hole between addresses makes one more, and pages that were
//! moved make two. Both are counted, and [`MapCache::allowed`] of them may be there: one for so many bytes in use, and
//! a constant.
//!
//! MC1  `owned` holds the addresses that are mapped for huge blocks. An extent lies in it, and so does a huge block.
//! MC2  `moved` holds the ranges in `owned` to which pages were moved. Each is a mapping of its own.
//! MC3  While a call may unmap a range, no part of it is in `owned`: the kernel may give its addresses to another thread
//!      before the call returns, and that thread owns them then.
//!
//! The caller holds the lock of the page heap.
//!
//! Never: makes a system call, but to map nodes, and to unmap a range for which there is no node.

use super::extents::Extents;
use super::low_water::LowWater;
use super::ranges::{Node, Nodes, Ranges, State};
use crate::base::{PAGE_BYTES, rank, round_up};
use crate::stats::{Unsound, ensure};
use crate::sys::{held, pages, watcher};
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// Mappings that the map cache may always make.
const FEW_MAPPINGS: usize = 2048;
/// Mappings that it makes at most: the program has others, too.
const MANY_MAPPINGS: usize = 24_000;
/// Bytes of huge blocks in use for which it may make one more.
const PER_MAPPING: usize = 2 << 20;
/// Bytes that may be dirty beyond the peak: so many, or one part in so many of it.
const SLACK: usize = 2 << 20;
const SLACK_PART: usize = 64;
/// Bytes of clean extents that are always kept.
const CLEAN_KEPT: usize = 64 << 20;

/// The map cache of one variant.
pub(crate) struct MapCache {
    pub(super) nodes: Nodes,
    /// The addresses that no block has.
    pub(super) free: Extents,
    pub(super) owned: Ranges,
    pub(super) moved: Ranges,
    /// Bytes of ranges that a call may unmap now (MC3).
    at_risk: Cell<usize>,
    /// Bytes of huge blocks in use.
    live: Cell<usize>,
    /// The most bytes that huge blocks had, less what went back since.
    peak: Cell<usize>,
    /// Bytes that went back since there were too many, and that no block has needed since.
    pub(super) early: Cell<usize>,
    /// Bytes that went back so, and that a block has needed since. As many more may stay.
    pub(super) regretted: Cell<usize>,
    /// Dirty bytes that no block needs.
    pub(super) low: LowWater,
    /// Bytes that this round of purging has still to give back.
    pub(super) due: Cell<usize>,
    /// False once the kernel has refused to move pages, until the next round.
    pub(super) moves: Cell<bool>,
    /// True once the program was seen to lock its memory. No pages move then: the kernel would count them twice among
    /// those that the program may lock.
    is_locked: Cell<bool>,
    /// False once the kernel has refused to leave addresses mapped when it moves their pages.
    pub(super) leaves: Cell<bool>,
}

/// A range of pages that no block has.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub(super) start: usize,
    pub(super) bytes: usize,
    /// True if it is to be mapped anew once it has no memory: pages were moved there, and there are many such ranges.
    pub(super) renews: bool,
}

impl Range {
    pub(super) const fn new(start: usize, bytes: usize) -> Self {
        Self { start, bytes, renews: false }
    }

    pub(super) fn place(self) -> NonNull<u8> {
        address(self.start)
    }
}

/// The pointer to an address of `owned`, which is not 0.
pub(super) fn address(address: usize) -> NonNull<u8> {
    NonNull::new(ptr::with_exposed_provenance_mut(address)).unwrap_or(NonNull::dangling())
}

impl MapCache {
    pub(super) const fn new() -> Self {
        Self {
            nodes: Nodes::new(),
            free: Extents::new(),
            owned: Ranges::new(),
            moved: Ranges::new(),
            at_risk: Cell::new(0),
            live: Cell::new(0),
            peak: Cell::new(0),
            early: Cell::new(0),
            regretted: Cell::new(0),
            low: LowWater::new(),
            due: Cell::new(0),
            moves: Cell::new(true),
            is_locked: Cell::new(false),
            leaves: Cell::new(true),
        }
    }

    /// Dirty bytes.
    pub(super) fn bytes(&self) -> usize {
        self.free.bytes(State::Dirty)
    }

    /// Dirty extents.
    pub(super) fn extents(&self) -> usize {
        self.free.count(State::Dirty)
    }

    /// Bytes of huge blocks in use.
    pub(super) fn live(&self) -> usize {
        self.live.get()
    }

    /// Notes that blocks of so many bytes became blocks of so many others.
    pub(super) fn change_live(&self, old: usize, new: usize) {
        held::check_rank(rank::PAGE_HEAP);
        self.live.set((self.live.get() + new).saturating_sub(old));
        self.peak.set(self.peak.get().max(self.live.get()));
    }

    /// Dirty bytes that may stay: `kept`, or half as many as are in use, if that is more; and what was regretted.
    pub(super) fn allowance(&self, kept: usize) -> usize {
        held::check_rank(rank::PAGE_HEAP);
        kept.max(self.live.get() / 2) + self.regretted.get()
    }

    /// Notes that so many bytes go back since there are too many.
    pub(super) fn note_early(&self, bytes: usize) {
        held::check_rank(rank::PAGE_HEAP);
        self.early.set(self.early.get() + bytes);
    }

    /// Notes that a block gets new memory for so many bytes.
    pub(super) fn note_fresh(&self, bytes: usize) {
        held::check_rank(rank::PAGE_HEAP);
        let regretted = bytes.min(self.early.get());
        self.early.set(self.early.get() - regretted);
        self.regretted.set(self.regretted.get() + regretted);
    }

    /// Dirty bytes that are too many beside `more` bytes for a new block: with them there would be more memory than
    /// blocks ever had.
    pub(super) fn excess(&self, more: usize) -> usize {
        held::check_rank(rank::PAGE_HEAP);
        let live = self.live.get() + more;
        let most = self.peak.get().max(live);
        (live + self.bytes()).saturating_sub(most + SLACK.max(most / SLACK_PART))
    }

    /// Notes that so many bytes are there no more, or serve others.
    pub(super) fn lower_peak(&self, by: usize) {
        held::check_rank(rank::PAGE_HEAP);
        self.peak.set(self.peak.get().saturating_sub(by).max(self.live.get()));
    }

    /// Notes how many bytes are dirty now.
    pub(super) fn note_dirty(&self, now: u64) {
        held::check_rank(rank::PAGE_HEAP);
        self.low.note(self.bytes(), now);
    }

    /// Holes and moved ranges that may be there.
    fn allowed(&self) -> usize {
        (self.live.get() / PER_MAPPING + FEW_MAPPINGS).min(MANY_MAPPINGS)
    }

    /// True if there are so many holes and moved ranges that the latter are mapped anew where they are free.
    fn is_crowded(&self) -> bool {
        self.owned.count() + 2 * self.moved.count() > self.allowed() / 4 * 3
    }

    /// True if there may be so many more moved ranges.
    pub(super) fn has_room_for(&self, moves: usize) -> bool {
        self.owned.count() + 2 * (self.moved.count() + moves) <= self.allowed()
    }

    /// Adds addresses that the kernel has just mapped.
    pub(super) fn add(&self, start: usize, bytes: usize) {
        self.own(start, bytes);
        self.put(start, bytes, State::Clean);
    }

    /// Notes that a range is mapped for huge blocks from now on.
    pub(super) fn own(&self, start: usize, bytes: usize) {
        held::check_rank(rank::PAGE_HEAP);
        self.nodes.prepare();
        self.owned.join(&self.nodes, start, bytes);
    }

    /// Takes addresses for another use.
    pub(super) fn take(&self, state: State, bytes: usize, align: usize) -> Option<NonNull<u8>> {
        held::check_rank(rank::PAGE_HEAP);
        let best = self.free.best(state, bytes, align).filter(|_| self.nodes.prepare());
        let (node, at) = best?;
        self.free.take(&self.nodes, node, at, bytes);
        Some(address(at))
    }

    /// Unmaps all extents, and the nodes. Blocks in use stay as they are.
    ///
    /// # Safety
    /// No code asks for a huge block any more, or frees one.
    pub(super) unsafe fn release(&self) {
        while let Some((start, bytes)) = self.free.pop_space() {
            // SAFETY: mapped, and nothing refers to it (EX1).
            unsafe { pages::unmap(address(start), bytes) };
        }
        // SAFETY: no code asks for a block any more, so no code looks at a node.
        unsafe { self.nodes.release() };
    }

    /// Adds a range of `owned` that no block has any more. Without nodes for it, it is unmapped.
    pub(super) fn put(&self, start: usize, bytes: usize, state: State) {
        held::check_rank(rank::PAGE_HEAP);
        if !self.nodes.prepare() && !self.nodes.has_two() {
            self.owned.cut(&self.nodes, start, bytes);
            self.moved.cut(&self.nodes, start, bytes);
            // SAFETY: mapped (MC1), and no block has it. If the kernel refuses, the range is lost.
            unsafe { pages::unmap(address(start), bytes) };
            return;
        }
        debug_assert!(self.owns(start, bytes), "MC1");
        self.free.put(&self.nodes, start, bytes, state);
    }

    /// True if a range is mapped for huge blocks. For checks.
    fn owns(&self, start: usize, bytes: usize) -> bool {
        let is_in = |owned: &Node| owned.start() <= start && start + bytes <= owned.end();
        self.owned.last_before(start + bytes).is_some_and(is_in)
    }

    /// Disowns a range before a call that may unmap it (MC3). Returns true if pages were moved there. `None`, and nothing
    /// changed, without nodes for it.
    pub(super) fn risk(&self, range: Range) -> Option<bool> {
        held::check_rank(rank::PAGE_HEAP);
        if !self.nodes.prepare() && !self.nodes.has_two() {
            return None;
        }
        let is_moved = self.moved.overlaps(range.start, range.bytes);
        self.owned.cut(&self.nodes, range.start, range.bytes);
        self.moved.cut(&self.nodes, range.start, range.bytes);
        self.at_risk.set(self.at_risk.get() + range.bytes);
        Some(is_moved)
    }

    /// Owns a range again after such a call, if it is still mapped. A range that was to be mapped anew is one no more to
    /// which pages were moved.
    pub(super) fn note_risked(&self, range: Range, is_mapped: bool, is_moved: bool) {
        held::check_rank(rank::PAGE_HEAP);
        self.at_risk.set(self.at_risk.get() - range.bytes);
        if is_mapped {
            self.own(range.start, range.bytes);
        }
        if is_mapped && is_moved && !range.renews {
            self.moved.add(&self.nodes, range.start, range.bytes);
        }
    }

    /// The last part of a range that is one mapping, as far as is known.
    pub(super) fn last_part(&self, start: usize, end: usize) -> Range {
        let (from, is_moved) = match self.moved.last_before(end) {
            Some(moved) if moved.end() >= end => (start.max(moved.start()), true),
            Some(moved) => (start.max(moved.end()), false),
            None => (start, false),
        };
        Range { start: from, bytes: end - from, renews: is_moved && self.is_crowded() }
    }

    /// The first part of a range that is one mapping, as far as is known.
    pub(super) fn first_part(&self, start: usize, end: usize) -> Range {
        let (to, is_moved) = match self.moved.last_before(start + 1) {
            Some(moved) if moved.end() > start => (end.min(moved.end()), true),
            _ => (self.moved.first_from(start).map_or(end, |moved| end.min(moved.start())), false),
        };
        Range { start, bytes: to - start, renews: is_moved && self.is_crowded() }
    }

    /// Takes up to `most` bytes out of the dirty extent that has not changed for longest.
    pub(super) fn take_oldest(&self, most: usize) -> Option<Range> {
        held::check_rank(rank::PAGE_HEAP);
        let node = self.free.oldest().filter(|_| self.nodes.prepare())?;
        let most = round_up(most.min(node.bytes()), PAGE_BYTES);
        let range = self.last_part(node.end() - most, node.end());
        self.free.take(&self.nodes, node, range.start, range.bytes);
        Some(range)
    }

    /// Takes the largest clean extent, if its addresses should go back: more than enough are kept, or `all` are to go.
    pub(super) fn take_surplus(&self, all: bool) -> Option<Range> {
        held::check_rank(rank::PAGE_HEAP);
        let kept = CLEAN_KEPT.max(self.live.get() / 4);
        let node = self.free.largest(State::Clean).filter(|_| self.nodes.prepare())?;
        let is_much = self.free.bytes(State::Clean) > kept && node.bytes() >= PER_MAPPING;
        let has_room = self.owned.count() + 2 * self.moved.count() < self.allowed();
        if !has_room || !(all || is_much) {
            return None;
        }
        let range = Range::new(node.start(), node.bytes());
        self.free.take(&self.nodes, node, range.start, range.bytes);
        Some(range)
    }

    /// Decides how many bytes this round of purging gives back.
    pub(super) fn begin_round(&self, now: u64, delay: u64, keeps: bool) {
        held::check_rank(rank::PAGE_HEAP);
        let due = self.low.end_span(self.bytes(), now, delay);
        self.due.set(if delay == 0 { self.bytes() } else { due });
        if keeps {
            self.due.set(0);
        }
        self.moves.set(!self.is_locked.get());
    }

    /// An error unless the extents are sound, and lie in `owned` (MC1, MC2). Returns the bytes that are no extents. For
    /// audits; some pages of clean extents must be zero (EX3) if the program `rests`.
    pub(super) fn check(&self, rests: bool) -> Result<usize, Unsound> {
        self.free.check()?;
        let owned = self.owned.sum();
        ensure(owned.is_some(), "RG3, addresses of huge blocks", 0)?;
        ensure(self.moved.sum().is_some(), "RG3, moved pages", 0)?;
        for extent in self.free.iter() {
            let is_owned = self.owned.contains(extent.start(), extent.bytes());
            ensure(is_owned, "MC1, an extent outside", extent.start())?;
            // A tool that watches would report the look, and a live program would wait for it.
            if rests && extent.state() == State::Clean && !watcher::is_on() {
                // SAFETY: mapped (EX1), and no block has it.
                let is_zero = unsafe { pages::looks_zero(address(extent.start()), extent.bytes()) };
                ensure(is_zero, "EX3, a clean extent", extent.start())?;
            }
        }
        for moved in self.moved.iter() {
            let is_owned = self.owned.contains(moved.start(), moved.bytes());
            ensure(is_owned, "MC2, moved pages outside", moved.start())?;
        }
        let free = self.free.bytes(State::Clean) + self.free.bytes(State::Dirty);
        Ok((owned.unwrap_or(0) + self.at_risk.get()).saturating_sub(free))
    }

    /// Notes that the kernel would not take pages back.
    pub(super) fn note_locked(&self) {
        held::check_rank(rank::PAGE_HEAP);
        self.is_locked.set(true);
        self.moves.set(false);
    }
}

#[cfg(test)]
mod tests;
