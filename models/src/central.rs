//! What threads share behind a lock: transfer caches and parked lists, and what these find beside themselves.

#[path = "../../src/central/parked.rs"]
#[allow(dead_code, reason = "the models use some of it")]
mod parked;
#[path = "../../src/central/transfer.rs"]
#[allow(dead_code, reason = "the models use some of it")]
mod transfer;

pub(crate) use parked::Parked;
pub(crate) use transfer::Transfer;

use crate::base::{ArenaIdx, ClassIdx};
use crate::free_list::FreeList;
use crate::stats::Counters;
use crate::variant::Variant;
use std::cell::Cell;

#[allow(dead_code, reason = "the models have one central list, which they need not name")]
pub(crate) struct ListId {
    pub(crate) arena: ArenaIdx,
    pub(crate) class: ClassIdx,
}

pub(crate) trait Shared: Variant {
    fn counters() -> Counters {
        Counters
    }
    fn page_heap() -> PageHeap {
        PageHeap
    }
}

pub(crate) struct PageHeap;

impl PageHeap {
    pub(crate) fn now(&self) -> u64 {
        0
    }
}

fn at_stake<V: Shared>(class: ClassIdx) -> usize {
    V::CLASSES.block_bytes(class)
}

std::thread_local! {
    /// Blocks that went to the central lists. All threads of a model run in one thread of the system.
    static HOME: Cell<u32> = const { Cell::new(0) };
}

fn give_some<V: Shared>(_: ListId, list: &FreeList, _: u32) {
    HOME.set(HOME.get() + list.empty());
}

/// The blocks that went to the central lists since the last call.
pub(crate) fn take_home() -> u32 {
    HOME.take()
}
