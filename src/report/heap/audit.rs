//! A check of the whole heap, for tests: every invariant that metadata can show.
//!
//! Only sound when no other thread is allocating or freeing: it reads what is theirs.

use super::Heap;
use crate::base::{ClassIdx, SliceIdx};
use crate::report::Statics;
use crate::report::list::NO_OWNER;
use crate::report::registry;
use crate::report::slab::{Slab, State};
use crate::stats::{Audit, Unsound};

/// Checks every slab and every list.
///
/// # Safety
/// No other thread touches this variant's heap.
pub(crate) unsafe fn audit<V: Statics>() -> Result<Audit, Unsound> {
    let mut sum = Audit::default();
    for superslab in registry::all::<V>() {
        for slot in (0..V::SLICES).map(SliceIdx::new) {
            let slab = superslab.slab::<V>(slot);
            match slab.state() {
                State::Unused => sum.unused += 1,
                State::Active => sum.active += 1,
                State::Empty => sum.empty += 1,
            }
            if !slab.is_sound::<V>() {
                return Err(Unsound::because("B1-B3, a slab's blocks"));
            }
            let owner = slab.remote.owner();
            let orphan = superslab.orphans.peek() & slot.bit() != 0;
            let owned = owner != NO_OWNER;
            if (slab.state() == State::Active) != (owned || orphan) || owned && orphan {
                return Err(Unsound::because("P1, who has a slab"));
            }
            if owned && !V::heaps().get(owner).is_some_and(|heap| lists_slab(heap, slab)) {
                return Err(Unsound::because("K2, a heap's list of its slabs"));
            }
            sum.used += slab.used() as usize;
            sum.waiting += slab.remote.count() as usize;
        }
    }
    for heap in V::heaps().all() {
        for class in ClassIdx::all(V::CLASSES.count()) {
            let list = heap.list(class);
            let is_ours = |address: usize| {
                let owner = registry::find::<V>(address);
                owner.map(|superslab| superslab.slab_at::<V>(address)).is_some_and(|slab| {
                    slab.remote.owner() == heap.id
                        && slab.class() == class
                        && slab.has_block_at::<V>(address)
                })
            };
            if !list.is_sound(|block| is_ours(block.addr().get())) {
                return Err(Unsound::because("I1, I2 or K1, a thread's list"));
            }
            sum.listed += list.len() as usize;
        }
    }
    if sum.used < sum.listed + sum.waiting {
        return Err(Unsound::because("B2, more blocks are on their way home than have left"));
    }
    Ok(sum)
}

fn lists_slab(heap: &'static Heap, slab: &'static Slab) -> bool {
    heap.slabs(slab.class()).iter().any(|listed| core::ptr::eq(listed, slab))
}
