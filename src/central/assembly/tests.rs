//! Tests of places.

use super::*;
use crate::sys::atomic::AtomicU32;
use crate::sys::lock::Lock;

const MIB: usize = 1 << 20;
const START: usize = 1 << 32;
/// Clean addresses, behind some that blocks have.
const CLEAN: usize = START + 9 * MIB;
const FILLING: Filling = Filling { head: 0, moves: true, room: None };

/// Runs `action` with a cache that has 8 MiB of dirty pages, and 16 MiB of clean addresses elsewhere. The lock is held.
fn with_cache(action: impl FnOnce(&MapCache)) {
    let lock = Lock::<{ rank::PAGE_HEAP }>::over(AtomicU32::new(0));
    let cache = MapCache::new();
    lock.with(|| {
        cache.own(START, 32 * MIB);
        cache.put(START, 8 * MIB, State::Dirty);
        cache.put(CLEAN, 16 * MIB, State::Clean);
        action(&cache);
    });
    // SAFETY: only this test has the cache, and uses it no more.
    unsafe { cache.nodes.release() };
}

/// A place for 10 MiB, to which the dirty pages are to move.
fn place(cache: &MapCache) -> Place {
    let place = cache.find(10 * MIB, PAGE_BYTES, FILLING).expect("there is room");
    assert!((CLEAN..=CLEAN + 6 * MIB).contains(&place.start));
    let step = &place.moves[0];
    assert_eq!((place.count, step.from.start, step.from.bytes), (1, START, 8 * MIB));
    assert!(!place.is_clean && place.over == 0, "it has their content");
    assert_eq!(mib(cache), [0, 6]);
    place
}

/// Dirty and clean MiB.
fn mib(cache: &MapCache) -> [usize; 2] {
    [State::Dirty, State::Clean].map(|state| cache.free.bytes(state) / MIB)
}

/// Notes what the kernel did, and returns what is dirty and clean then.
fn settled(outcome: Option<Outcome>) -> (bool, [usize; 2], usize) {
    let mut found = None;
    with_cache(|cache| {
        let mut place = place(cache);
        place.moves[0].outcome = outcome;
        let is_whole = cache.settle(&place);
        assert_eq!(cache.moves.get(), matches!(outcome, Some(Outcome::Moved { .. })));
        found = Some((is_whole, mib(cache), cache.moved.count()));
    });
    found.expect("settled")
}

#[test]
fn no_page_is_lost_whatever_the_kernel_does() {
    assert_eq!(settled(Some(Outcome::Moved { leaves: true })), (true, [0, 14], 1));
    assert_eq!(settled(Some(Outcome::Moved { leaves: false })), (true, [0, 6], 1));
    assert_eq!(settled(Some(Outcome::Stayed)), (true, [8, 6], 0));
    assert_eq!(settled(None), (true, [8, 6], 0));
    // The rest of the place, and the pages that were to move there.
    assert_eq!(settled(Some(Outcome::Lost)), (false, [10, 6], 0));
}

#[test]
fn no_pages_move_beyond_the_limit_of_mappings() {
    with_cache(|cache| {
        for moved in (0..8192).take_while(|_| cache.has_room_for(1)) {
            assert!(cache.nodes.prepare());
            cache.moved.add(&cache.nodes, START + 25 * MIB + 2 * moved * PAGE_BYTES, PAGE_BYTES);
        }
        assert!(!cache.has_room_for(1));
        let place = cache.find(10 * MIB, PAGE_BYTES, FILLING).expect("there is room");
        assert!(place.count == 0 && place.is_clean);
        assert_eq!((place.over / MIB, mib(cache)), (6, [8, 6]), "so much is to go back");
    });
}

/// The start of the place has pages of the block that grows.
#[test]
fn pages_move_behind_what_stays() {
    with_cache(|cache| {
        let filling = Filling { head: 4 * MIB, ..FILLING };
        let place = cache.find_clean(10 * MIB, PAGE_BYTES, filling).expect("there is room");
        let to = place.moves[0].to;
        assert!(place.count == 1 && to == place.start + 4 * MIB, "{to:x}");
    });
}

/// What is behind a block serves it whole, or not at all.
#[test]
fn a_block_grows_into_what_is_free_behind_it_and_no_further() {
    with_cache(|cache| {
        let behind = |bytes| cache.find_behind(CLEAN, bytes, FILLING).is_some();
        assert!(!behind(16 * MIB + PAGE_BYTES) && behind(16 * MIB));
        assert_eq!(mib(cache)[1], 0);
    });
}

/// Pages of a place that gets no block after all keep their content, and so are not taken for zeros.
#[test]
fn a_place_that_is_given_up_has_what_it_had() {
    let heap = PageHeap::new();
    let cache = &heap.map_cache;
    let take = |bytes| {
        let place = cache.find(bytes, PAGE_BYTES, Filling { moves: false, ..FILLING });
        heap.found(bytes, place).expect("there is room")
    };
    let places = heap.lock.with(|| {
        cache.own(START, 32 * MIB);
        cache.put(START, 8 * MIB, State::Dirty);
        cache.put(CLEAN, 16 * MIB, State::Clean);
        [take(8 * MIB), take(16 * MIB)]
    });
    assert!(!heap.limit.is_quiet());
    for place in places {
        heap.give_up_place(&place, place.bytes);
    }
    assert_eq!(heap.lock.with(|| mib(cache)), [8, 16]);
    assert!(heap.limit.is_quiet(), "no pages are on their way");
    // SAFETY: only this test has the cache, and uses it no more.
    heap.lock.with(|| unsafe { cache.nodes.release() });
}

/// An aligned place starts at a multiple of the alignment.
#[test]
fn a_place_is_aligned() {
    with_cache(|cache| {
        let place = cache.find(3 * MIB, 4 * MIB, Filling { moves: false, ..FILLING });
        assert!(place.expect("there is room").start.is_multiple_of(4 * MIB));
        let place = cache.find(9 * MIB, 4 * MIB, Filling { moves: false, ..FILLING });
        assert!(place.expect("there is room").start.is_multiple_of(4 * MIB));
    });
}

/// A block that the limit has no room for gets no addresses, either: they would be more with each call.
#[test]
fn no_addresses_are_mapped_beyond_the_limit() {
    let heap = PageHeap::new();
    heap.limit.set_most(MIB);
    assert!(heap.place::<crate::Apex>(4 * MIB, PAGE_BYTES).is_none());
    assert_eq!(heap.lock.with(|| heap.map_cache.owned.sum()), Some(0));
}
