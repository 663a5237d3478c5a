//! A pool by itself: what it counts, how much is open, and which slot the next block gets.

use super::*;
use crate::base::SLICE_BYTES;
use core::iter;

fn sampled() -> &'static Sampled {
    sampled_with_map().0
}

fn sampled_with_map() -> (&'static Sampled, &'static PageMap) {
    let sampled: &'static Sampled = Box::leak(Box::new(Sampled::new()));
    let map: &'static PageMap = Box::leak(Box::new(PageMap::new()));
    assert!(sampled.lock.with(|| sampled.set_up(map)));
    (sampled, map)
}

fn allocate(sampled: &Sampled, size: usize) -> Option<usize> {
    Some(sampled.allocate(size, 8, true)?.addr().get())
}

/// Checks SP3.
#[test]
fn what_is_open_is_bounded_and_counted() {
    const SIZE: usize = 100_000;
    let sampled = sampled();
    for _ in 0..3 {
        let blocks: Vec<usize> = iter::from_fn(|| allocate(sampled, SIZE)).collect();
        let pages = SIZE.div_ceil(PAGE_BYTES);
        assert_eq!(blocks.len(), 160 / pages);
        let (count, open) = (blocks.len(), blocks.len() * pages * PAGE_BYTES);
        assert_eq!(sampled.in_use(), (count, count * SIZE, open));
        blocks.into_iter().for_each(|block| sampled.free(block));
        assert_eq!(sampled.in_use(), (0, 0, 0));
    }
}

#[test]
fn a_freed_slot_waits_until_all_others_were_used() {
    let sampled = sampled();
    let one = || {
        let block = allocate(sampled, 24).expect("a slot");
        sampled.free(block);
        block / SLICE_BYTES
    };
    let slots: Vec<usize> = (0..500).map(|_| one()).collect();
    let count = slots.iter().skip(1).position(|slot| *slot == slots[0]).expect("a second turn") + 1;
    assert!(count > 100, "{count} slots");
    assert!(slots.windows(count + 1).all(|turn| turn[0] == turn[count]));
    assert!(slots.windows(count).all(|turn| turn[1..].iter().all(|slot| *slot != turn[0])));
}

#[test]
fn each_byte_beside_a_block_is_told() {
    let sampled = sampled();
    for at_end in [true, false] {
        let block = sampled.allocate(100, 16, at_end).expect("a slot").addr().get();
        let page = block & !(PAGE_BYTES - 1);
        let is_beside = |at: &usize| !(block..block + 100).contains(at);
        for at in (page..page + PAGE_BYTES).filter(is_beside) {
            let byte = ptr::with_exposed_provenance_mut::<u8>(at);
            // SAFETY: a byte of the block's page, which is open.
            let old = unsafe { byte.read() };
            // SAFETY: the same byte.
            unsafe { byte.write(old ^ 1) };
            let misuse = sampled.lock.with(|| sampled.pool()?.free(block));
            let told = misuse.map(|misuse| (misuse.what, misuse.address));
            let what = if at < block { report::UNDER } else { report::OVER };
            assert_eq!(told, Some((what, at)), "{at_end}");
            // SAFETY: the same byte.
            unsafe { byte.write(old) };
        }
        assert!(sampled.is_live(block));
        sampled.free(block);
        assert!(!sampled.is_live(block));
    }
}

/// A program may have locked the page of a block, which the kernel then does not take back.
#[test]
fn a_block_is_zero_whatever_the_one_before_has_left() {
    let sampled = sampled();
    for turn in 0..300 {
        let block = allocate(sampled, 24).expect("a slot");
        let bytes = ptr::with_exposed_provenance_mut::<[u8; 24]>(block);
        // SAFETY: a live block of that many bytes.
        assert_eq!(unsafe { bytes.read() }, [0; 24], "{turn}");
        // SAFETY: the same block.
        unsafe { bytes.write([0x55; 24]) };
        if turn == 0 {
            // SAFETY: a page that is open. A system may allow a program no locked pages.
            unsafe { libc::mlock(bytes.cast(), 24) };
        }
        sampled.free(block);
    }
}

/// Checks SP2.
#[test]
fn the_page_map_has_each_slice_and_no_other() {
    let (sampled, map) = sampled_with_map();
    let start = sampled.start();
    for slice in 0..=BYTES / SLICE_BYTES + 1 {
        let at = start + slice * SLICE_BYTES - SLICE_BYTES;
        let is_inside = (start..start + BYTES).contains(&at);
        assert_eq!(
            (sampled.has(at), map.has(at, Kind::Sampled)),
            (is_inside, is_inside),
            "{slice}"
        );
    }
    assert!(sampled.has(start + BYTES - 1));
}
