//! Transfer caches and parked lists: what threads put there comes out once, and nothing is lost.

use super::check;
use crate::base::{ClassIdx, MAX_CLASSES};
use crate::batch::Batch;
use crate::central::{Parked, Transfer, take_home};
use crate::free_block::FreeBlock;
use crate::free_list::FreeList;
use crate::locking::atomic::AtomicU32 as Word;
use crate::locking::lock::Lock;
use crate::sys::atomic::AtomicU32;
use crate::variant::Only;
use loom::thread;
use std::ptr::{self, NonNull};
use std::sync::Arc;

const CLASS: ClassIdx = ClassIdx::new(0);

/// The block of a number, which no thread touches.
fn block(number: usize) -> FreeBlock {
    let start = NonNull::new(ptr::without_provenance_mut(16 * number)).expect("from 1 on");
    // SAFETY: the stand-in asks for nothing.
    unsafe { FreeBlock::new(start) }
}

/// The numbers of the blocks in a batch.
fn numbers(batch: &mut Batch) -> Vec<usize> {
    std::iter::from_fn(|| batch.pop()).map(|block| block.into_start().addr().get() / 16).collect()
}

/// Two threads put two blocks each, where two have room, and take one.
pub fn a_transfer_cache_hands_each_block_out_once() {
    check(|| {
        #[allow(clippy::arc_with_non_send_sync, reason = "loom runs its threads one at a time")]
        let transfer = Arc::new(Transfer::over(Lock::over(Word::new(0)), AtomicU32::new(0)));
        let turn = |transfer: &Transfer, first: usize| {
            let mut batch = Batch::new();
            [first, first + 1].into_iter().for_each(|number| batch.push(block(number)));
            transfer.put::<Only>(CLASS, &mut batch);
            assert!(transfer.len() <= 2, "more blocks than there is room for");
            let mut all = numbers(&mut batch);
            transfer.take(1, &mut batch);
            all.extend(numbers(&mut batch));
            all
        };
        let other = {
            let transfer = Arc::clone(&transfer);
            thread::spawn(move || turn(&transfer, 3))
        };
        let mut all = turn(&transfer, 1);
        all.extend(other.join().expect("it ends"));
        let left = transfer.len();
        let mut rest = Batch::new();
        transfer.take(4, &mut rest);
        assert_eq!(rest.len(), left, "TC1: fewer blocks than it says");
        all.extend(numbers(&mut rest));
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3, 4], "TC1: a block is lost, or handed out twice");
    });
}

/// Threads whose lists can be parked at a time.
const PLACES: usize = 16;

/// A thread's lists, with so many blocks.
fn lists(blocks: u32) -> Box<[FreeList; MAX_CLASSES]> {
    let lists = Box::new([const { FreeList::unbounded() }; MAX_CLASSES]);
    lists[0].add(blocks);
    lists
}

/// Two threads end and park a block each, a third starts, and a purge sends home what it finds.
pub fn a_parked_list_goes_to_one_thread() {
    check(|| {
        take_home();
        #[allow(clippy::arc_with_non_send_sync, reason = "loom runs its threads one at a time")]
        let parked = Arc::new(Parked::over(Lock::over(Word::new(0))));
        let spawn = |turn: fn(&Parked) -> u32| {
            let parked = Arc::clone(&parked);
            thread::spawn(move || turn(&parked))
        };
        let ends = |parked: &Parked| {
            let lists = lists(1);
            parked.park::<Only>(&lists);
            lists[0].empty()
        };
        let starts = |parked: &Parked| {
            let lists = lists(0);
            parked.take::<Only>(&lists);
            lists[0].empty()
        };
        let others = [spawn(ends), spawn(starts)];
        let mut blocks = ends(&parked);
        parked.send_home::<Only>(0, 0, 1);
        blocks += others.into_iter().map(|other| other.join().expect("it ends")).sum::<u32>();
        blocks += take_home() + parked.lists::<Only>().map(|(_, list)| list.len()).sum::<u32>();
        assert_eq!(blocks, 2, "Q2: a block is lost, or in two lists");
        // Nothing is in the way now, so what is parked comes out.
        let mut left = parked.lists::<Only>().map(|(_, list)| list.len()).sum::<u32>();
        while left > 0 {
            assert_eq!(starts(&parked), 1, "Q1: blocks in a place that is not taken");
            left -= 1;
        }
        assert_eq!(starts(&parked), 0);
        for _ in 0..PLACES {
            assert_eq!(ends(&parked), 0, "Q1: an empty place counts as taken");
        }
    });
}
