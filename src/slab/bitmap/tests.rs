//! Tests of slabs.

use super::*;
use crate::Apex;
use crate::sys::atomic::AtomicU32;
use crate::sys::lock::Lock;
use crate::sys::pages;

/// Checks Y1 to Y4 of a slab in a segment of its own: which blocks are out, and which pages a purge may take.
#[test]
fn a_slab_knows_its_blocks_and_pages() {
    let pages = pages::map_aligned(SEGMENT_BYTES, SEGMENT_BYTES).expect("address space");
    // SAFETY: fresh pages of a segment, which only this test has.
    let segment = unsafe { Segment::create::<Apex>(pages, MAX_SLICES, false) };
    let slab = segment.slab(SliceIdx::new(1));
    let class = <Apex as Variant>::CLASS_TABLE.at(1024, 1).expect("a class");
    let lock = Lock::<{ rank::CENTRAL_LIST }>::over(AtomicU32::new(0));
    lock.with(|| {
        for (is_clean, has_memory) in [(false, 0xFFFF), (true, 0)] {
            slab.set_up::<Apex>(class, is_clean);
            assert_eq!(slab.pages_to_purge::<Apex>(), has_memory, "no block was out");
            let mut batch = Batch::new();
            // Two pages and a block.
            slab.take::<Apex>(&mut batch, 9);
            assert_eq!(slab.pages_to_purge::<Apex>(), has_memory & !0b111);
            let first = slab.page(0).addr().get();
            let out = |at: usize| slab.has_out::<Apex>(first + at);
            assert!(out(0) && out(8 * 1024) && !out(512) && !out(9 * 1024));
            // The first page's blocks come home, and the one that is alone on its page.
            let mut all = Vec::new();
            while let Some(block) = batch.pop() {
                all.push(block);
            }
            all.sort_by_key(FreeBlock::address);
            let second = all.drain(4..8).collect::<Vec<_>>();
            slab.put::<Apex>(class, &all);
            assert!(!out(0) && out(4 * 1024) && !out(8 * 1024) && slab.used() == 4);
            assert_eq!(slab.pages_to_purge::<Apex>(), has_memory & !0b111 | 0b101);
            slab.note_decommitted(0, 1);
            assert_eq!(slab.pages_to_purge::<Apex>(), has_memory & !0b111 | 0b100);
            assert!(slab.is_sound::<Apex>());
            slab.put::<Apex>(class, &second);
            slab.take_down();
            assert!(slab.capacity() == 0);
        }
    });
    // SAFETY: mapped above, and no code refers to the segment any more.
    assert!(unsafe { pages::unmap(pages, SEGMENT_BYTES) });
}
