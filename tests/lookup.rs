//! What a benchmark of lookups stands on: SuperSlabs mapped ahead, found by `free`'s lookup and by the
//! heap that needs room. Once per variant.
#![cfg(feature = "all-variants")]

mod common;

use common::{Filled, audit};
use hakmem::Observe;

fn superslabs_mapped_ahead_are_found_and_used<V: Observe>() {
    let is_ours = V::CLASSES > 0;
    let until = if is_ours { V::superslabs() + 20 } else { 0 };
    assert_eq!(V::map_superslabs(until), until);
    assert_eq!(V::map_superslabs(1), until, "there are enough");

    let mut addresses = Vec::new();
    V::visit_superslabs(|address| addresses.push(address));
    assert_eq!(addresses.len(), until as usize);
    for &address in addresses.iter().chain(addresses.iter().rev()) {
        assert!(V::lookup(address) && V::owns(address));
    }
    let foreign = 0_u64;
    assert!(!V::lookup((&raw const foreign).cast()));

    // More than the soft cap would let a class map: the room is there.
    let blocks: Vec<Filled<V>> = (0..2000).map(|_| Filled::new(2048, 16, 7)).collect();
    assert_eq!(V::superslabs(), until);
    if is_ours {
        assert!(blocks.iter().all(|block| V::lookup(block.block)));
    }
    drop(blocks);
    assert_eq!(audit::<V>().live(), 0);
}

hakmem::for_each_variant!(stamp_tests, (superslabs_mapped_ahead_are_found_and_used));
