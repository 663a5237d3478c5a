//! Out of memory is a null pointer, on every path, and no block is lost: a test for each variant. A refusal changes
//! nothing (P3).

use crate::testbed::{Bed, child, for_each_bed};
use std::alloc::Layout;

/// The child: lowers the limit of address space to what is in use and `spare` KiB more, then
/// allocates from a fresh thread until it gets null, frees everything, and does it again.
pub(crate) fn run_dry(bed: &'static Bed, spare_kib: &str) {
    let spare_kib = spare_kib.parse().expect("KiB");
    let allocator = bed.allocator;
    let layouts: Vec<Layout> = [16, 64, 100, 400, 1000, 2048, 5000]
        .map(|size| Layout::from_size_align(size, 8).expect("a layout"))
        .to_vec();
    // Its stack must be there before the limit.
    let thread = std::thread::spawn(move || {
        // All that the test itself needs must be there before the limit.
        let mut blocks: Vec<(*mut u8, Layout)> = Vec::with_capacity(1 << 20);
        let mut counts = Vec::with_capacity(3);
        limit_address_space(spare_kib);
        for _ in 0..3 {
            // The heap is dry once it has refused every size in turn.
            let mut refused = 0;
            for layout in layouts.iter().cycle() {
                // SAFETY: no size is 0.
                let block = unsafe { allocator.alloc(*layout) };
                refused = if block.is_null() { refused + 1 } else { 0 };
                if refused == layouts.len() || blocks.len() == blocks.capacity() {
                    break;
                }
                if block.is_null() {
                    continue;
                }
                // SAFETY: the block has at least 8 bytes, and is ours.
                unsafe { block.cast::<u64>().write_unaligned(block.addr() as u64) };
                blocks.push((block, *layout));
            }
            counts.push(blocks.len());
            if let Some(&(block, layout)) = blocks.last() {
                // A failed `realloc` leaves the block as it was.
                // SAFETY: live, with this layout; the size is far below the limit.
                let moved = unsafe { allocator.realloc(block, layout, 1 << 40) };
                assert!(moved.is_null());
            }
            for (block, layout) in blocks.drain(..) {
                // SAFETY: the block was written above.
                let word = unsafe { block.cast::<u64>().read_unaligned() };
                assert_eq!(word, block.addr() as u64);
                // SAFETY: live, with this layout, and forgotten.
                unsafe { allocator.dealloc(block, layout) };
            }
        }
        counts
    });
    let counts = thread.join().expect("no panic");
    let audit = bed.audit();
    assert_eq!(audit.live(), 0);
    println!("{} ran dry at {counts:?} blocks", bed.id);
}

fn limit_address_space(spare_kib: u64) {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).expect("VmSize");
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
    let limit = libc::rlimit { rlim_cur: (kib + spare_kib) << 10, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` is readable.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
}

/// Room for nothing, for a heap, for part of a SuperSlab, for one, for a few: each mapping call fails first in one of
/// the runs.
fn null_and_no_more(bed: &Bed) {
    for spare_kib in [0, 4, 16, 64, 512, 1100, 2048, 4200, 8192, 40_000] {
        let output = child(&["exhaustion", bed.id, &spare_kib.to_string()]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} with {spare_kib} KiB: {stderr}", bed.id);
        assert!(String::from_utf8_lossy(&output.stdout).contains("ran dry at"), "{}", bed.id);
    }
}

for_each_bed!(null_and_no_more);
