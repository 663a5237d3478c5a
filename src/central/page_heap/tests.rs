//! Tests of the page heap.

use super::*;
use crate::Apex;
use crate::base::PAGE_BYTES;
use crate::central::ranges::State;

fn wanted(count: usize) -> Wanted {
    Wanted { count, align: 1, growth: Growth::Tight }
}

/// A claim keeps the lock for a bounded time: it would rather map a segment than look at each of many.
#[test]
fn a_claim_looks_at_a_few_segments() {
    let heap = PageHeap::new();
    let find = || heap.find::<Apex, false>(wanted(2)).map(|(segment, _)| segment.address());
    heap.lock.with(|| {
        // Every other slice is free, so only the segment that comes last has two in a row.
        let scattered = || {
            let segment = heap.map::<Apex>(1, 1).expect("address space");
            for slice in (2..MAX_SLICES).step_by(2) {
                heap.mark_used(segment, SliceIdx::new(slice), 1);
            }
            segment
        };
        let fits = heap.map::<Apex>(2, 1).expect("address space");
        let others: Vec<_> = (0..MOST_LOOKS - 1).map(|_| scattered()).collect();
        assert_eq!(find(), Some(fits.address()), "it is the last that a claim looks at");
        let more = scattered();
        assert_eq!(find(), None);
        // Where one is found, the search ends sooner.
        heap.available.remove(fits);
        heap.available.push(fits);
        assert_eq!(find(), Some(fits.address()));
        for segment in others.into_iter().chain([fits, more]) {
            for slice in slices_in(!segment.free.get() & crate::slab::usable_slices::<Apex>()) {
                heap.mark_free::<Apex>(segment, slice, 1);
            }
            heap.note_clean(segment, u32::MAX);
            heap.unmap::<Apex>(segment);
        }
    });
}

/// Checks LM1: the header of a segment counts.
#[test]
fn a_segment_is_mapped_within_the_limit() {
    let heap = PageHeap::new();
    heap.lock.with(|| {
        heap.limit.set_most(3 * SLICE_BYTES);
        assert!(heap.map::<Apex>(3, 1).is_none() && heap.counted() == 0);
        let segment = heap.map::<Apex>(2, 1).expect("it has room");
        assert_eq!(heap.counted(), SLICE_BYTES);
        heap.unmap::<Apex>(segment);
    });
}

/// Each segment whose pages differ in access is several mappings, of which a process may have some 65 000.
#[test]
fn not_all_segments_are_several_mappings() {
    let heap = PageHeap::new();
    assert!(heap.may_split());
    heap.segments.set(5000);
    assert!(!heap.may_split());
}

/// Checks EX3: the kernel leaves the content of locked pages, so they are not zero when the next block has them.
#[test]
fn a_segment_with_locked_pages_is_no_clean_extent() {
    let heap = PageHeap::new();
    let (start, bytes) = heap.reserve(2 * SEGMENT_BYTES, SEGMENT_BYTES).expect("address space");
    heap.lock.with(|| {
        let cache = &heap.map_cache;
        cache.add(start, bytes);
        let place = cache.take(State::Clean, SEGMENT_BYTES, SEGMENT_BYTES);
        let place = place.expect("added").addr().get();
        cache.put(place, SEGMENT_BYTES, State::Dirty);
        let segment = heap.borrow::<Apex>().expect("a dirty extent");
        assert_eq!((segment.address(), cache.bytes()), (place, 0));
        let page = segment.slice_start(SliceIdx::new(5)).as_ptr();
        // SAFETY: a page of a free slice, which only this test has.
        unsafe { page.write(7) };
        // A system may allow a program no locked pages.
        // SAFETY: the page is mapped.
        if unsafe { libc::mlock(page.cast(), PAGE_BYTES) } == 0 {
            heap.note_refused(segment, segment.dirty.get());
            heap.unmap::<Apex>(segment);
            assert_eq!(cache.bytes(), SEGMENT_BYTES);
        }
        // SAFETY: no code uses the page heap any more.
        unsafe { cache.release() };
    });
}
