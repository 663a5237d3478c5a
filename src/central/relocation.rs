//! Relocation: a huge block that grows moves to another place, with its pages.
//!
//! A block may lie in several mappings. Each part moves by a call of its own.
//!
//! | the kernel | the block |
//! |---|---|
//! | moves all parts | is at the new place |
//! | refuses to move a part | is at the new place: the rest is copied |
//! | loses a part of the place | stays: the parts that have moved are copied back |
//!
//! Never: copies bytes, but where the kernel refuses to move the rest of a block that it has begun to move.

use super::assembly::{Filling, Move, NO_MOVE, Place};
use super::map_cache::{MapCache, address};
use super::ranges::State;
use super::{PageHeap, Shared};
use crate::sys::moves::Outcome;

/// Mappings that a block which moves may have, and bytes for each: a call takes as long as a copy of so many.
const PARTS: usize = 32;
const PER_PART: usize = 32 << 10;

/// The parts of a block that is to move. Each `to` counts from the start of the block.
pub(super) struct Parts {
    moves: [Move; PARTS],
    count: usize,
}

impl PageHeap {
    /// Takes a place to which a block of `old` bytes can move, and have `new` there. Returns the place, and the parts of
    /// the block. `None` if the block has too many parts, or if too many mappings would come of it.
    pub(super) fn other_place<V: Shared>(
        &self,
        start: usize,
        (old, new): (usize, usize),
        align: usize,
    ) -> Option<(Place, Parts)> {
        let parts = self.lock.with(|| self.map_cache.parts(start, old))?;
        let find = |filling| {
            let found = self.map_cache.find_clean(new, align, filling);
            self.map_cache.note_dirty(self.now());
            found
        };
        Some((self.find_or_reserve(new, align, Filling::of::<V>(old), find)?, parts))
    }

    /// Moves a block's parts to the start of a place, and makes extents of its old addresses. False, and nothing moved,
    /// if the kernel has lost a part of the place. The place is given up then.
    ///
    /// # Safety
    /// The parts are those of a block that only the caller refers to. The place has as many bytes, and they are clean.
    pub(super) unsafe fn move_block(&self, place: &Place, mut parts: Parts) -> bool {
        let count = parts.count;
        let parts = parts.moves.get_mut(..count).unwrap_or_default();
        for part in parts.iter_mut() {
            part.to += place.start;
        }
        for part in parts.iter_mut() {
            let outcome = if count == 1 {
                // SAFETY: only the caller refers to the block, and nothing to the place.
                unsafe { self.move_range(part.from, part.to, place.leaves) }
            } else {
                // The old addresses must stay mapped: the block is copied back if another part is lost.
                // SAFETY: only the caller refers to the block, and nothing to the place.
                unsafe { self.move_to(part.from, part.to, true) }
            };
            part.outcome = Some(outcome);
            if !matches!(outcome, Outcome::Moved { .. }) {
                break;
            }
        }
        let has_lost = parts.iter().any(|part| matches!(part.outcome, Some(Outcome::Lost)));
        for part in parts.iter_mut() {
            let (old, new, bytes) = (part.from.place(), address(part.to), part.from.bytes);
            match part.outcome {
                Some(Outcome::Moved { .. }) if has_lost => {
                    // SAFETY: both ranges are mapped and disjoint; only the caller refers to them.
                    unsafe { old.copy_from_nonoverlapping(new, bytes) };
                }
                Some(Outcome::Moved { leaves: true }) if part.from.renews => {
                    // SAFETY: the pages have moved, and nothing refers to their old addresses.
                    let leaves = unsafe { self.renew(part.from) }.unwrap_or(true);
                    part.outcome = Some(Outcome::Moved { leaves });
                }
                Some(Outcome::Stayed) | None if !has_lost => {
                    // SAFETY: both ranges are mapped and disjoint; only the caller refers to them.
                    unsafe { new.copy_from_nonoverlapping(old, bytes) };
                }
                Some(_) | None => {}
            }
        }
        self.lock.with(|| self.map_cache.settle_block(place, parts, has_lost));
        !has_lost
    }
}

impl MapCache {
    /// The parts of a block that lie in one mapping each. `None` if they are too many to be worth their moves, or if the
    /// kernel does not move them.
    fn parts(&self, start: usize, bytes: usize) -> Option<Parts> {
        let mut parts = Parts { moves: [NO_MOVE; PARTS], count: 0 };
        let mut end = start + bytes;
        while end > start {
            let from = self.last_part(start, end);
            let to = from.start - start;
            *parts.moves.get_mut(parts.count)? = Move { from, to, outcome: None };
            parts.count += 1;
            end = from.start;
        }
        let is_worth = parts.count == 1 || self.leaves.get() && parts.count <= bytes / PER_PART;
        let moved = parts.moves.iter().take(parts.count).filter(|part| !part.from.renews).count();
        let has_room = moved == 0 || self.has_room_for(moved);
        (self.moves.get() && is_worth && has_room).then_some(parts)
    }

    /// Notes that the parts of a block have moved or were copied, or that they are where they were and a part of the
    /// place is lost.
    fn settle_block(&self, place: &Place, parts: &[Move], has_lost: bool) {
        self.nodes.prepare();
        for part in parts {
            let Move { from, to, outcome } = *part;
            match outcome {
                Some(Outcome::Moved { .. }) if has_lost => {
                    self.moved.cut(&self.nodes, to, from.bytes);
                    self.moved.add(&self.nodes, to, from.bytes);
                }
                Some(Outcome::Moved { leaves }) => self.note_moved(from, to, leaves),
                Some(Outcome::Lost) => {
                    self.moves.set(false);
                    self.put_around(place, (to, to + from.bytes));
                }
                Some(Outcome::Stayed) | None if !has_lost => {
                    self.moves.set(false);
                    self.put(from.start, from.bytes, State::Dirty);
                }
                Some(Outcome::Stayed) | None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{PAGE_BYTES, rank};
    use crate::sys::atomic::AtomicU32;
    use crate::sys::lock::Lock;

    /// A range that pages were moved to is a mapping of its own, and the kernel allows so many.
    #[test]
    fn a_block_moves_while_there_is_room_for_mappings() {
        const BYTES: usize = 1 << 20;
        let (start, lock) = (1 << 32, Lock::<{ rank::PAGE_HEAP }>::over(AtomicU32::new(0)));
        let cache = MapCache::new();
        lock.with(|| {
            cache.own(start, 64 << 20);
            let count = || cache.parts(start, BYTES).map(|parts| parts.count);
            assert_eq!(count(), Some(1));
            for moved in (0..8192).take_while(|_| cache.has_room_for(1)) {
                assert!(cache.nodes.prepare());
                let at = start + 2 * BYTES + 2 * moved * PAGE_BYTES;
                cache.moved.add(&cache.nodes, at, PAGE_BYTES);
            }
            assert_eq!(count(), None);
        });
        // SAFETY: only this test has the cache, and uses it no more.
        unsafe { cache.nodes.release() };
    }
}
