//! Assembly: a place for a huge block, put together from several extents.
//!
//! ```text
//!  extents     dirty, clean, dirty          dirty            dirty
//!              ├──────┼─ ─ ─┼──────┤        ├────┤           ├──────┤
//!  place       ├────────────────┤ ▲            │
//!                     └─ ─ ─┘ ◀─┼──── moved ───┘   no byte is copied, and no page is faulted in
//! ```
//!
//! A place is an extent with room for the block, or a run of extents that touch. The clean parts of the place get the
//! pages of other dirty extents: the kernel moves pages from address to address (mremap), which takes a tenth of the
//! time of faults for as many, and adds no memory. What remains clean gets its memory at its first touch.
//!
//! | step | lock |
//! |---|---|
//! | the place and the sources of the moves are taken out of the extents | held |
//! | the moves | not held |
//! | the sources become clean extents | held |
//!
//! A block that grows gets the addresses behind it, if they are free. Otherwise its own pages move to another place
//! (`relocation.rs`).
//!
//! Never: copies bytes.

use super::map_cache::{MapCache, Range, address};
use super::ranges::{Node, State};
use super::{PageHeap, Shared};
use crate::base::{PAGE_BYTES, rank};
use crate::sys::fatal::fatal;
use crate::sys::held;
use crate::sys::moves::{self, Outcome};
use crate::sys::pages;
use crate::variant::Join;
use core::ptr::NonNull;

/// Moves for one place.
const MOVES: usize = 32;
/// The least bytes worth a move: a call costs as much as the faults of five pages.
const LEAST: usize = 6 * PAGE_BYTES;
/// Spaces that a search for a place compares.
const SPACES: usize = 12;
/// Extents of a space that a look at its dirty bytes counts.
const WALK: usize = 8;
/// Clean extents of a place that are filled.
const GAPS: usize = 16;
/// Extents that a search for pages to move compares.
const SOURCES: usize = 4;
/// Pages that are to move.
#[derive(Clone, Copy)]
pub(super) struct Move {
    pub(super) from: Range,
    pub(super) to: usize,
    /// `None` until the kernel has answered.
    pub(super) outcome: Option<Outcome>,
}

pub(super) const NO_MOVE: Move = Move { from: Range::new(0, 0), to: 0, outcome: None };

/// A place for a huge block, taken out of the extents.
pub(super) struct Place {
    pub(super) start: usize,
    pub(super) bytes: usize,
    /// True if all of it is clean.
    pub(super) is_clean: bool,
    /// Dirty bytes that are to go back, since the place will get new memory.
    pub(super) over: usize,
    /// True if the kernel may be asked to leave the addresses of moved pages mapped.
    pub(super) leaves: bool,
    moves: [Move; MOVES],
    count: usize,
}

/// How a place is filled.
#[derive(Clone, Copy)]
pub(super) struct Filling {
    /// Bytes at the start of the place that stay as they are.
    pub(super) head: usize,
    /// Whether pages may move.
    pub(super) moves: bool,
    /// Bytes that may get memory; `None` for any number (LM1).
    pub(super) room: Option<usize>,
}

impl Filling {
    /// For a place in which `head` bytes are spoken for.
    pub(super) fn of<V: Shared>(head: usize) -> Self {
        Self { head, moves: matches!(V::JOIN, Join::Moved), room: None }
    }
}

impl MapCache {
    /// Takes a place of `bytes` at a multiple of `align` out of the extents: the best dirty one, or else a run of
    /// extents, or else a clean one.
    pub(super) fn find(&self, bytes: usize, align: usize, filling: Filling) -> Option<Place> {
        held::check_rank(rank::PAGE_HEAP);
        if !self.nodes.prepare() {
            return None;
        }
        let best = self.free.best(State::Dirty, bytes, align).map(|(_, at)| at);
        let at = best.or_else(|| self.place_in_space(bytes, align))?;
        self.has_room_at(at, bytes, filling).then(|| self.claim(at, bytes, filling))
    }

    /// The start or the end of one of the smallest spaces with `bytes`: what has the most dirty bytes.
    fn place_in_space(&self, bytes: usize, align: usize) -> Option<usize> {
        let mut best = None;
        for (space, start) in self.free.spaces(bytes, align).take(SPACES) {
            let end = space.end() - bytes;
            let end = if align <= PAGE_BYTES { end } else { start };
            for at in [start, end] {
                let dirty = self.dirty_in(at, bytes);
                if best.is_none_or(|(most, _)| dirty > most) {
                    best = Some((dirty, at));
                }
            }
        }
        best.map(|(_, at)| at)
    }

    /// About how many bytes of some free addresses are dirty.
    pub(super) fn dirty_in(&self, start: usize, bytes: usize) -> usize {
        let (mut at, mut dirty) = (start, 0);
        for _ in 0..WALK {
            let Some(extent) = self.free.containing(at) else { break };
            let to = extent.end().min(start + bytes);
            if extent.state() == State::Dirty {
                dirty += to - at;
            }
            if to == start + bytes {
                break;
            }
            at = to;
        }
        dirty
    }

    /// Takes a place out of the clean extents.
    pub(super) fn find_clean(&self, bytes: usize, align: usize, filling: Filling) -> Option<Place> {
        held::check_rank(rank::PAGE_HEAP);
        if !self.nodes.prepare() {
            return None;
        }
        let (_, at) = self.free.best(State::Clean, bytes, align)?;
        self.has_room_at(at, bytes, filling).then(|| self.claim(at, bytes, filling))
    }

    /// Takes the addresses behind a block, if they are free.
    pub(super) fn find_behind(&self, end: usize, bytes: usize, filling: Filling) -> Option<Place> {
        held::check_rank(rank::PAGE_HEAP);
        if !self.nodes.prepare() {
            return None;
        }
        let space = self.free.space_at(end)?;
        let fits = space.bytes() >= bytes && self.has_room_at(end, bytes, filling);
        fits.then(|| self.claim(end, bytes, filling))
    }

    /// Takes addresses that are free out of the extents, and dirty extents for those that are clean.
    fn claim(&self, start: usize, bytes: usize, filling: Filling) -> Place {
        held::check_rank(rank::PAGE_HEAP);
        let (leaves, end) = (self.leaves.get(), start + bytes);
        let mut place = Place {
            start,
            bytes,
            is_clean: true,
            over: 0,
            leaves,
            moves: [NO_MOVE; MOVES],
            count: 0,
        };
        let mut gaps = [(0, 0); GAPS];
        let (mut gap_count, mut bare) = (0, 0);
        let mut at = start;
        while let Some(node) = (at < end).then(|| self.free.containing(at)).flatten() {
            let to = node.end().min(end);
            match self.free.take(&self.nodes, node, at, to - at) {
                State::Dirty => place.is_clean = false,
                State::Clean => {
                    let from = at.max(start + filling.head).min(to);
                    match gaps.get_mut(gap_count) {
                        Some(gap) => {
                            *gap = (from, to);
                            gap_count += 1;
                        }
                        None => bare += to - from,
                    }
                }
            }
            at = to;
        }
        if at != end {
            fatal("a place that is not free (EX4):", at);
        }
        // What is too much moves to the place, or goes back.
        let mut excess = self.excess(bytes - filling.head);
        for &(from, to) in gaps.iter().take(gap_count) {
            let least = excess.min(to - from);
            let moved = if filling.moves { self.fill(&mut place, from, to, least) } else { 0 };
            excess = excess.saturating_sub(moved);
            bare += (to - from).saturating_sub(moved);
        }
        self.note_fresh(bare);
        place.over = excess.min(bare);
        place
    }

    /// Takes dirty extents, `least` bytes of them, whose pages are to move to a clean part of a place. Returns how many
    /// bytes will move.
    fn fill(&self, place: &mut Place, start: usize, end: usize, least: usize) -> usize {
        let mut at = start;
        while self.moves.get() && at - start < least {
            let has_room = self.has_room_for(place.count + 1);
            let Some(next) = place.moves.get_mut(place.count) else { break };
            let Some(from) = self.source(end - at, has_room) else { break };
            *next = Move { from, to: at, outcome: None };
            place.count += 1;
            place.is_clean = false;
            at += from.bytes;
        }
        at - start
    }

    /// Takes up to `most` bytes that lie in one mapping out of the dirty extent that suits best: the smallest with so
    /// many, or one of the largest. Without room for one more moved range, it is one that is to be mapped anew.
    fn source(&self, most: usize, has_room: bool) -> Option<Range> {
        if most < LEAST {
            return None;
        }
        let best = self.free.best(State::Dirty, most, PAGE_BYTES).map(|(extent, _)| extent);
        let largest = self.free.largest_first(State::Dirty);
        let mut found: Option<(Range, &'static Node)> = None;
        for extent in best.into_iter().chain(largest).take(SOURCES) {
            let (start, end) = (extent.start(), extent.end());
            let first = self.first_part(start, end.min(start + most));
            let last = self.last_part(start.max(end.saturating_sub(most)), end);
            for part in [first, last] {
                let suits = has_room || part.renews;
                if suits && found.is_none_or(|(other, _)| part.bytes > other.bytes) {
                    found = Some((part, extent));
                }
            }
            if found.is_some_and(|(part, _)| part.bytes == most) {
                break;
            }
        }
        let (part, extent) = found.filter(|(part, _)| part.bytes >= LEAST)?;
        self.free.take(&self.nodes, extent, part.start, part.bytes);
        Some(part)
    }

    /// Notes that pages were moved. The source becomes a clean extent if it is still mapped.
    pub(super) fn note_moved(&self, from: Range, to: usize, leaves: bool) {
        held::check_rank(rank::PAGE_HEAP);
        self.nodes.prepare();
        if leaves {
            self.put(from.start, from.bytes, State::Clean);
        }
        self.moved.cut(&self.nodes, to, from.bytes);
        self.moved.add(&self.nodes, to, from.bytes);
    }

    /// Notes what became of the moves. False if the kernel has lost a part of the place, whose rest is then dirty
    /// extents.
    fn settle(&self, place: &Place) -> bool {
        held::check_rank(rank::PAGE_HEAP);
        self.nodes.prepare();
        let mut lost = None;
        for &Move { from, to, outcome } in place.moves.iter().take(place.count) {
            match outcome {
                Some(Outcome::Moved { leaves }) => {
                    // A range that is mapped anew leaves its addresses, or that failed for another reason.
                    self.leaves.set((leaves || from.renews) && self.leaves.get());
                    self.note_moved(from, to, leaves);
                    continue;
                }
                Some(Outcome::Lost) => lost = Some((to, to + from.bytes)),
                Some(Outcome::Stayed) | None => {}
            }
            self.moves.set(false);
            self.put(from.start, from.bytes, State::Dirty);
        }
        if let Some(lost) = lost {
            self.put_around(place, lost);
        }
        lost.is_none()
    }

    /// Makes dirty extents of a place, but for a range of it.
    pub(super) fn put_around(&self, place: &Place, (from, to): (usize, usize)) {
        let end = place.start + place.bytes;
        if from > place.start {
            self.put(place.start, from - place.start, State::Dirty);
        }
        if to < end {
            self.put(to, end - to, State::Dirty);
        }
    }
}

impl PageHeap {
    /// Takes a place for a block, whose pages are still to be moved there. It maps addresses if there are too few.
    pub(super) fn place<V: Shared>(&self, bytes: usize, align: usize) -> Option<Place> {
        let find = |filling| {
            let found = self.map_cache.find(bytes, align, filling);
            self.map_cache.note_dirty(self.now());
            found
        };
        self.find_or_reserve(bytes, align, Filling::of::<V>(0), find)
    }

    pub(super) fn find_or_reserve(
        &self,
        bytes: usize,
        align: usize,
        filling: Filling,
        find: impl Fn(Filling) -> Option<Place>,
    ) -> Option<Place> {
        let fresh = bytes - filling.head;
        let find = || self.found(fresh, find(filling.within(self.room())));
        let (place, fits) = self.lock.with(|| {
            let place = find();
            let fits = place.is_some() || self.admits(fresh);
            (place, fits)
        });
        if place.is_some() || !fits {
            return place;
        }
        let (start, reserved) = self.reserve(bytes, align)?;
        self.lock.with(|| {
            if !self.map_cache.nodes.prepare() {
                // SAFETY: mapped above, and no other code knows of it.
                unsafe { pages::unmap(address(start), reserved) };
                return None;
            }
            self.map_cache.add(start, reserved);
            find()
        })
    }

    /// Moves pages to a place. False if the kernel has lost a part of the place; the rest is given up then.
    pub(super) fn assemble(&self, place: &mut Place) -> bool {
        if place.count == 0 {
            return true;
        }
        let leaves = place.leaves;
        for step in place.moves.iter_mut().take(place.count) {
            // SAFETY: both ranges were taken out of the extents, so they are mapped and nothing refers to them (EX1).
            let mut outcome = unsafe { self.move_range(step.from, step.to, leaves) };
            if outcome == (Outcome::Moved { leaves: true }) && step.from.renews {
                // SAFETY: the pages have moved, and nothing refers to their old addresses.
                let leaves = unsafe { self.renew(step.from) }.unwrap_or(true);
                outcome = Outcome::Moved { leaves };
            }
            step.outcome = Some(outcome);
            if !matches!(outcome, Outcome::Moved { .. }) {
                break;
            }
        }
        self.lock.with(|| self.map_cache.settle(place))
    }

    /// Moves a range's pages. If the kernel does not leave the old addresses mapped, though it is asked to, they go, too.
    ///
    /// # Safety
    /// No other code refers to the two ranges, and no code needs what is at `to`.
    pub(super) unsafe fn move_range(&self, from: Range, to: usize, leaves: bool) -> Outcome {
        // SAFETY: the caller's condition.
        let outcome = unsafe { self.move_to(from, to, leaves) };
        if leaves && matches!(outcome, Outcome::Stayed) {
            // SAFETY: the caller's condition.
            return unsafe { self.move_to(from, to, false) };
        }
        outcome
    }

    /// Moves a range's pages by one call, which may unmap the new addresses, and the old ones unless it leaves them.
    ///
    /// # Safety
    /// As for [`move_range`](Self::move_range).
    pub(super) unsafe fn move_to(&self, from: Range, to: usize, leaves: bool) -> Outcome {
        let target = Range::new(to, from.bytes);
        let call = || {
            // SAFETY: the caller's condition.
            unsafe { moves::move_to(from.place(), from.bytes, target.place(), leaves) }
        };
        let call = || {
            self.risk(target, call, |outcome| *outcome != Outcome::Lost).unwrap_or(Outcome::Stayed)
        };
        if leaves {
            return call();
        }
        self.risk(from, call, |outcome| !matches!(outcome, Outcome::Moved { .. }))
            .unwrap_or(Outcome::Stayed)
    }

    /// Makes a dirty extent of a place whose pages were moved, `fresh` bytes of which were to get memory.
    pub(super) fn give_up_place(&self, place: &Place, fresh: usize) {
        let state = if place.is_clean { State::Clean } else { State::Dirty };
        self.lock.with(|| {
            self.map_cache.put(place.start, place.bytes, state);
            self.limit.arrive(fresh);
        });
    }
}

impl Place {
    /// The pointer to its start.
    pub(super) fn pointer(&self) -> NonNull<u8> {
        address(self.start)
    }
}

#[cfg(test)]
mod tests;
