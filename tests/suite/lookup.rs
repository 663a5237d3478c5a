//! The benchmark of lookups maps SuperSlabs ahead. `free`'s lookup finds them, and so does a heap that needs room: a
//! test for each variant.
use crate::testbed::{Bed, Filled, for_each_bed};

fn superslabs_mapped_ahead_are_found_and_used(bed: &'static Bed) {
    let is_ours = bed.classes > 0;
    let until = if is_ours { (bed.superslabs)() + 20 } else { 0 };
    assert_eq!((bed.map_superslabs)(until), until);
    assert_eq!((bed.map_superslabs)(1), until, "there are enough");

    let mut addresses = Vec::new();
    (bed.visit_superslabs)(&mut |address| addresses.push(address));
    assert_eq!(addresses.len(), until as usize);
    for &address in addresses.iter().chain(addresses.iter().rev()) {
        assert!((bed.lookup)(address) && (bed.owns)(address));
    }
    // Ours are found, and no other address is (G2).
    let foreign = 0_u64;
    assert!(!(bed.lookup)((&raw const foreign).cast()));

    // More SuperSlabs than the soft cap lets a class map: the room is there.
    let blocks: Vec<Filled> = (0..2000).map(|_| Filled::new(bed, 2048, 16, 7)).collect();
    assert_eq!((bed.superslabs)(), until);
    if is_ours {
        assert!(blocks.iter().all(|block| (bed.lookup)(block.block)));
    }
    drop(blocks);
    assert_eq!(bed.audit().live(), 0);
    // They stay for good (L1).
    (bed.purge)();
    assert!(addresses.iter().all(|&address| (bed.lookup)(address)));
}

/// Segments that a purge gives back are found no more, and one at most stays without memory (V4). The report's
/// SuperSlabs stay for good (L1).
fn superslabs_given_back_are_not_found(bed: &'static Bed) {
    let addresses = || {
        let mut addresses = Vec::new();
        (bed.visit_superslabs)(&mut |address| addresses.push(address));
        addresses
    };
    let blocks: Vec<Filled> = (0..20_000).map(|_| Filled::new(bed, 1000, 8, 7)).collect();
    let before = addresses();
    drop(blocks);
    // At once: the thread's own lists go home by the audit.
    assert_eq!(bed.audit().live(), 0);
    for _ in 0..2 {
        (bed.purge)();
    }
    let after = addresses();
    for address in &before {
        assert_eq!((bed.lookup)(*address), after.contains(address));
    }
    if bed.id == "apex" {
        assert!(after.len() <= 2, "{} of {} segments stay", after.len(), before.len());
    }
}

for_each_bed!(superslabs_mapped_ahead_are_found_and_used, superslabs_given_back_are_not_found);

#[test]
fn events_are_counted_where_the_feature_is_on() {
    assert_eq!((crate::testbed::apex().events)().is_some(), cfg!(feature = "stats"));
}
