//! The slices of a segment that were never in use have no access, where a variant opens them in steps: a test for each
//! variant, in children, whose heaps are fresh.

use crate::kernel::{self, Refuse};
use crate::refused_mappings::{in_a_fork, mapped_kib};
use crate::testbed::{Bed, Filled, bed, child_succeeds, for_each_bed};
use std::io;

const SLICE: usize = 64 << 10;

/// True if a byte may be read. The kernel looks, so an address without access is no fault.
pub(crate) fn is_readable(address: *const u8) -> bool {
    let mut ends = [0; 2];
    // SAFETY: it writes two numbers.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    // SAFETY: the kernel reads one byte, if it can.
    let written = unsafe { libc::write(ends[1], address.cast(), 1) };
    let error = io::Error::last_os_error().raw_os_error();
    for end in ends {
        // SAFETY: opened above.
        unsafe { libc::close(end) };
    }
    assert!(written == 1 || error == Some(libc::EFAULT), "{error:?}");
    written == 1
}

/// The child: a wild write 1 MiB behind a small block meets a page without access. No block is on one.
pub(crate) fn of_a_fresh_heap(bed: &'static Bed) {
    let small = Filled::new(bed, 16, 8, 1);
    if !bed.descends_from("stepwise-access") {
        return;
    }
    assert!(!is_readable(small.block.wrapping_add(1 << 20)), "{}", bed.id);
    let layout = std::alloc::Layout::from_size_align(70_000, 8).expect("a layout");
    for _ in 0..100 {
        // SAFETY: the size is not 0. The block is left.
        let block = unsafe { bed.allocator.alloc(layout) };
        // Nothing has touched the block yet.
        let _ = bed.audit();
        assert!(is_readable(block) && is_readable(block.wrapping_add(layout.size() - 1)));
    }
}

/// The child: the kernel refuses a part of a segment access, as it does at its limit of mappings. It allows all of it.
fn all_opens_at_once(bed: &'static Bed) {
    kernel::hold_up();
    kernel::refuse(1, Refuse::OneAccess);
    let first = Filled::new(bed, 16, 8, 1);
    assert_eq!(kernel::relent(), 1);
    assert!(is_readable(first.block.wrapping_add(1 << 20)));
}

/// The child: the kernel gives access no more. Slices that have it still serve, the others are not lost.
pub(crate) fn of_a_heap_that_gets_no_more() {
    // The filter would end a thread that ends: it blocks signals then.
    in_a_fork(|| all_opens_at_once(bed("apex")));
    in_a_fork(|| gets_no_more(bed("apex")));
    in_a_fork(|| takes_what_is_mapped(bed("apex")));
}

fn gets_no_more(bed: &'static Bed) {
    let span = |slices: usize| Filled::new(bed, slices * SLICE - 4096, 4096, slices as u8);
    let address = |block: &Filled| block.block.addr();
    // A segment that is in use, but for two clean slices.
    let full = [8, 8, 8, 5].map(span);
    let last = span(2);
    let hole = address(&last);
    drop(last);
    (bed.purge)();
    // Another one, half of which is open.
    let _eight = span(8);
    kernel::hold_up();
    kernel::refuse(1, Refuse::Access);
    let seven = span(7);
    let two = span(2);
    assert_eq!(address(&two), hole);
    let layout = std::alloc::Layout::from_size_align(5 * SLICE, 8).expect("a layout");
    let mapped = mapped_kib();
    for _ in 0..3 {
        // SAFETY: the size is not 0.
        assert!(unsafe { bed.allocator.alloc(layout) }.is_null());
    }
    assert!(mapped_kib() < mapped + 2048, "addresses without access stay");
    // SAFETY: a live block of this layout. A block that cannot grow stays.
    let moved = unsafe { bed.allocator.realloc(seven.block, seven.layout, 8 * SLICE) };
    assert!(moved.is_null());
    seven.check();
    assert!(kernel::relent() > 3);
    let more = [5, 8, 8].map(span);
    drop((full, seven, two, more));
}

/// The child: the kernel maps nothing more. Addresses that no huge block has become a segment.
fn takes_what_is_mapped(bed: &'static Bed) {
    let _huge = Filled::new(bed, 1 << 20, 8, 1);
    let _first = Filled::new(bed, 8 * SLICE, 8, 1);
    kernel::hold_up();
    kernel::refuse(1, Refuse::Mappings);
    let more = [2, 3, 4, 5].map(|pattern| Filled::new(bed, 8 * SLICE, 8, pattern));
    assert!(kernel::relent() > 0);
    drop(more);
    let _ = bed.audit();
}

fn fresh(bed: &'static Bed) {
    child_succeeds(&["access", bed.id, "fresh"]);
}

for_each_bed!(fresh);

#[test]
fn refused() {
    child_succeeds(&["access", "apex", "refused"]);
}
