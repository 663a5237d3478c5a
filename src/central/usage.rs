//! How much memory is mapped, and how much of it is in use: for programs that ask.

use super::tidy::runs;
use super::{Shared, lock_all, unlock_all};
use crate::base::{ClassIdx, SEGMENT_BYTES, SLICE_BYTES, SliceIdx};
use crate::stats::Usage;
use crate::variant::Large;

/// Counts with every lock held, so that the counts are of one moment. `listed` returns how many blocks of a class lie
/// in the asking thread's cache.
pub(crate) fn usage<V: Shared>(listed: impl Fn(ClassIdx) -> usize) -> Usage {
    lock_all::<V>();
    let (mut blocks, mut free_blocks, mut superslabs) = (0, 0, 0);
    for segment in V::page_heap().all() {
        superslabs += 1;
        free_blocks += runs(segment.free.get()).count();
        for slice in (1..V::SLICES).map(SliceIdx::new) {
            let slab = segment.slab(slice);
            if slab.capacity() > 0 {
                blocks += slab.used() as usize * V::CLASSES.block_bytes(slab.class());
                free_blocks += (slab.capacity() - slab.used()) as usize;
            } else {
                blocks += usize::from(segment.span[slice.index()].get()) * SLICE_BYTES;
            }
        }
    }
    for class in ClassIdx::all(V::CLASSES.count()) {
        let parked = V::parked().lists::<V>().filter(|(of, _)| *of == class);
        let parked: usize = parked.map(|(_, list)| list.len() as usize).sum();
        let waiting = V::transfer(class).len() as usize;
        let idle = listed(class) + waiting + parked;
        free_blocks += idle;
        blocks = blocks.saturating_sub(idle * V::CLASSES.block_bytes(class));
    }
    let (large_blocks, large) = if V::RECORDS_HUGE { V::huge_blocks().sum() } else { (0, 0) };
    let (_, sampled, open) = V::page_heap().sampled.in_use();
    let freed = if V::LARGE == Large::Fenced { V::fenced().dirty_counted() } else { 0 };
    let usage = Usage {
        mapped: superslabs * SEGMENT_BYTES
            + V::page_heap().map_cache.bytes()
            + large
            + open
            + freed,
        in_use: blocks + large + sampled,
        large_blocks,
        large,
        free_blocks: free_blocks + V::page_heap().map_cache.extents(),
        superslabs,
    };
    unlock_all::<V>();
    usage
}
