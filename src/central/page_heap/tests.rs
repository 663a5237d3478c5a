//! Tests of the page heap.

use super::*;
use crate::Apex;

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
