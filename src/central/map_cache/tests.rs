//! Tests of the map cache.

use super::*;
use crate::sys::atomic::AtomicU32;
use crate::sys::lock::Lock;

/// MC2: no part of the cache's addresses reaches from one mapping into another.
#[test]
fn a_moved_range_is_a_mapping_of_its_own() {
    let (start, lock) = (1 << 32, Lock::<{ rank::PAGE_HEAP }>::over(AtomicU32::new(0)));
    let cache = MapCache::new();
    lock.with(|| {
        cache.own(start, 16 * PAGE_BYTES);
        let from = Range { start, bytes: PAGE_BYTES, renews: false };
        cache.note_moved(from, start + 8 * PAGE_BYTES, true);
        let pages = |part: Range| ((part.start - start) / PAGE_BYTES, part.bytes / PAGE_BYTES);
        let at = |page: usize| start + page * PAGE_BYTES;
        assert_eq!(pages(cache.first_part(at(4), at(16))), (4, 4));
        assert_eq!(pages(cache.first_part(at(8), at(16))), (8, 1));
        assert_eq!(pages(cache.last_part(at(4), at(9))), (8, 1));
        assert_eq!(pages(cache.last_part(at(4), at(16))), (9, 7));
        assert_eq!(cache.moved.count(), 1);
    });
    // SAFETY: only this test has the cache, and uses it no more.
    unsafe { cache.nodes.release() };
}

/// Runs `action` with a cache that owns so many bytes at 4 GiB, with the lock held.
fn with_cache(bytes: usize, action: impl FnOnce(&MapCache, usize)) {
    let lock = Lock::<{ rank::PAGE_HEAP }>::over(AtomicU32::new(0));
    let cache = MapCache::new();
    lock.with(|| {
        cache.own(1 << 32, bytes);
        action(&cache, 1 << 32);
    });
    // SAFETY: only this test has the cache, and uses it no more.
    unsafe { cache.nodes.release() };
}

#[test]
fn as_much_stays_as_blocks_use_and_miss() {
    const MIB: usize = 1 << 20;
    with_cache(8 * MIB, |cache, start| {
        cache.change_live(0, 64 * MIB);
        assert_eq!((cache.allowance(16 * MIB), cache.allowance(40 * MIB)), (32 * MIB, 40 * MIB));
        cache.note_early(10 * MIB);
        cache.note_fresh(4 * MIB);
        assert_eq!((cache.early.get(), cache.allowance(0)), (6 * MIB, 36 * MIB));
        cache.note_fresh(20 * MIB);
        assert_eq!((cache.early.get(), cache.allowance(0)), (0, 42 * MIB));
        cache.change_live(64 * MIB, 0);
        assert_eq!((cache.live(), cache.excess(0), cache.excess(MIB)), (0, 0, 0));
        // More memory than blocks ever had.
        assert_eq!(cache.excess(67 * MIB), 0);
        cache.lower_peak(60 * MIB);
        cache.put(start, 8 * MIB, State::Dirty);
        assert_eq!(cache.excess(0), 8 * MIB - 4 * MIB - SLACK);
        assert_eq!(cache.excess(6 * MIB), 8 * MIB - SLACK);
    });
}

#[test]
fn the_largest_surplus_is_unmapped() {
    const FEW: usize = 16 * PAGE_BYTES;
    with_cache(2 * CLEAN_KEPT, |cache, start| {
        let surplus = |all| cache.take_surplus(all).map(|range| (range.start, range.bytes));
        cache.put(start, FEW, State::Clean);
        assert_eq!(surplus(false), None);
        let large = start + 2 * FEW;
        cache.put(large, CLEAN_KEPT - FEW, State::Clean);
        assert_eq!(surplus(false), None, "so many stay");
        cache.put(large + CLEAN_KEPT, PAGE_BYTES, State::Clean);
        assert_eq!(surplus(false), Some((large, CLEAN_KEPT - FEW)));
        assert_eq!(surplus(false), None);
        assert_eq!(surplus(true), Some((start, FEW)));
    });
}

/// The kernel allows a process so many mappings, and the program has others.
#[test]
fn moved_ranges_are_not_too_many() {
    const MOST: usize = FEW_MAPPINGS;
    with_cache(2 * MOST * PAGE_BYTES, |cache, start| {
        let at = |moved: usize| start + 2 * moved * PAGE_BYTES;
        let renews = |moved| cache.last_part(at(moved), at(moved) + PAGE_BYTES).renews;
        let mut crowded = None;
        let moved = (0..MOST).take_while(|&moved| {
            let has_room = cache.has_room_for(1);
            if has_room {
                cache.note_moved(Range::new(0, PAGE_BYTES), at(moved), false);
                crowded = crowded.or_else(|| renews(moved).then_some(moved + 1));
            }
            has_room
        });
        // Each is two mappings, and the cache's addresses are one.
        assert_eq!((moved.count(), crowded), ((MOST - 1) / 2, Some(MOST / 4 * 3 / 2)));
        // Without these addresses there might be one more hole than may be.
        cache.own(1 << 40, PAGE_BYTES);
        cache.put(1 << 40, PAGE_BYTES, State::Clean);
        assert!(!cache.has_room_for(1) && cache.take_surplus(true).is_none());
        cache.change_live(0, 2 * PER_MAPPING);
        assert!(cache.has_room_for(1) && !cache.has_room_for(2), "blocks in use allow more");
        cache.change_live(0, 1 << 40);
        assert_eq!(cache.allowed(), MANY_MAPPINGS);
    });
}

/// MC2: a call that might have unmapped a range, and has not, leaves it a mapping of its own.
#[test]
fn a_moved_range_is_one_after_a_call_too() {
    with_cache(8 * PAGE_BYTES, |cache, start| {
        cache.note_moved(Range::new(0, PAGE_BYTES), start, false);
        for (renews, left) in [(false, 1), (true, 0)] {
            let range = Range { renews, ..Range::new(start, PAGE_BYTES) };
            assert_eq!((cache.risk(range), cache.moved.count()), (Some(true), 0));
            cache.note_risked(range, true, true);
            assert_eq!((cache.moved.count(), cache.at_risk.get()), (left, 0));
        }
        let range = Range::new(start, PAGE_BYTES);
        assert_eq!(cache.risk(range), Some(false));
        cache.note_risked(range, false, false);
        assert!(!cache.owns(start, PAGE_BYTES) && cache.owns(start + PAGE_BYTES, PAGE_BYTES));
    });
}

#[test]
fn a_round_gives_nothing_back_where_all_is_kept() {
    with_cache(4 * PAGE_BYTES, |cache, start| {
        cache.put(start, 4 * PAGE_BYTES, State::Dirty);
        for (keeps, due) in [(false, 4 * PAGE_BYTES), (true, 0)] {
            cache.begin_round(1, 0, keeps);
            assert_eq!(cache.due.get(), due);
        }
    });
}

#[test]
fn no_pages_move_once_the_program_locks_its_memory() {
    with_cache(0, |cache, _| {
        cache.moves.set(false);
        cache.begin_round(1, 1, false);
        assert!(cache.moves.get(), "the next round tries again");
        cache.note_locked();
        assert!(!cache.moves.get());
        cache.begin_round(2, 1, false);
        assert!(!cache.moves.get());
    });
}
