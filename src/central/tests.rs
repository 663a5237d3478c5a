//! Tests of transfer caches and parked lists. They lie beside these, since the models have their source, too.

use super::*;
use crate::Apex;
use crate::base::MAX_CLASSES;
use crate::batch::Batch;
use crate::free_block::FreeBlock;
use crate::free_list::FreeList;
use crate::variant::list_bytes_limit;
use core::cell::Cell;
use core::ptr::NonNull;

/// Checks TC1: each block comes out once, and no more wait than there is room for.
#[test]
fn blocks_wait_as_long_as_threads_need_them() {
    let mut memory = [[0_u64; 2]; 64];
    let class = <Apex as Variant>::CLASS_TABLE.at(16 << 10, 1).expect("a class");
    let room = transfer::room::<Apex>(class);
    assert!((4..64).contains(&room), "{room} blocks");
    let mut batch = Batch::new();
    for block in &mut memory {
        // SAFETY: 16 bytes, aligned to 8, that only this test uses.
        batch.push(unsafe { FreeBlock::new(NonNull::from(block).cast()) });
    }
    let transfer = Transfer::new();
    transfer.put::<Apex>(class, &mut batch);
    assert_eq!((transfer.len(), batch.len()), (room, 64 - room));
    let went = Cell::new(0);
    let empty = |all| {
        went.set(0);
        transfer.empty(all, |batch| {
            went.set(went.get() + batch.len());
            while batch.pop().is_some() {}
        });
        (went.get(), transfer.len())
    };
    assert_eq!(empty(false), (0, room), "they have just come");
    let mut some = Batch::new();
    transfer.take(3, &mut some);
    assert_eq!((transfer.len(), some.len()), (room - 3, 3));
    transfer.put::<Apex>(class, &mut some);
    assert_eq!(empty(false), (room - 3, 3), "threads needed three of them");
    assert_eq!(empty(true), (3, 0));
    transfer.take(1, &mut some);
    assert_eq!((transfer.len(), some.len()), (0, 0));
}

/// Checks Q1: a place is taken as long as it has lists. A thread parks little, and the next one starts with it.
#[test]
fn a_little_is_parked_for_the_next_thread() {
    let mut memory = [[0_u64; 2]; 16];
    let class = <Apex as Variant>::CLASS_TABLE.at(32 << 10, 1).expect("a class");
    let lists = [const { FreeList::unbounded() }; MAX_CLASSES];
    let list = &lists[class.index()];
    let parked = Parked::new();
    let fill = |memory: &mut [[u64; 2]]| {
        for block in memory {
            // SAFETY: 16 bytes, aligned to 8, that only this test uses.
            list.put::<Apex>(unsafe { FreeBlock::new(NonNull::from(block).cast()) });
        }
    };
    let taken = || {
        let places =
            || parked.places::<Apex>().filter(|(is_taken, at, _)| *is_taken && *at == class);
        parked.lock.with(|| places().count())
    };
    parked.park::<Apex>(&lists);
    assert_eq!(taken(), 0, "nothing to park");
    fill(&mut memory[..9]);
    parked.park::<Apex>(&lists);
    assert_eq!((taken(), list.len()), (0, 9), "too much");
    while list.len() > 7 {
        list.pop::<Apex>();
    }
    list.set_limit(1000);
    parked.park::<Apex>(&lists);
    assert_eq!((taken(), list.len()), (1, 0));
    assert_eq!(parked.bytes::<Apex>(), 7 * (32 << 10), "the background thread has work");
    parked.take::<Apex>(&lists);
    assert_eq!((taken(), list.len()), (0, 7));
    assert_eq!(list.limit(), list_bytes_limit::<Apex>(class), "no more than a thread may have");
    assert!(parked.lock.with(|| parked.lists::<Apex>().all(|(_, list)| list.len() == 0)));
    while list.pop::<Apex>().is_some() {}
}
