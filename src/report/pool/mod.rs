//! The shared pool, which hands out slabs in stages.
//!
//! | stage | file | hands out |
//! |---|---|---|
//! | 0.5 | `scan` | an EMPTY slab that no drain retired, or one that a dead thread left in part-use |
//! | 1 | `freelist` | an EMPTY slab that a drain retired |
//! | 2 | `claim_unused` | an UNUSED slot of an existing SuperSlab |
//! | 3 | `grow` | slot 0 of a new SuperSlab, unless the class has its soft cap of them |
//!
//! The way back is `release`. The stages and their order are the founding report's.
//!
//! P1  A slab that is on offer is on offer in one place: its bit in one claim mask, or the freelist.
//! P2  A thread that acquires a slab has it alone; it is ACTIVE, and owned by the thread's heap.
//! P3  A refusal changes nothing, and is no error: the caller falls back.
//!
//! Never: waits, or looks into a slab that is not on offer.

mod claim_unused;
mod freelist;
mod grow;
mod release;
mod scan;

use crate::base::{ClassIdx, MAX_CLASSES};
use crate::report::Statics;
use crate::report::list::TaggedStack;
use crate::report::slab::{Slab, State};
use crate::stats::{Counters, Event};
use crate::sys::atomic::{AtomicU32, AtomicU64};
use crate::sys::fatal::fatal;
use core::cell::Cell;
use core::ptr;

/// The shared pool of a variant.
pub(crate) struct Pool {
    /// EMPTY slabs that drains retired. [shared]
    freelist: TaggedStack,
    /// SuperSlabs mapped for each class. [shared]
    mapped: [AtomicU32; MAX_CLASSES],
}

/// The heap that asks for a slab, and the state of its scan.
pub(crate) struct Seeker<'a> {
    /// The heap that will own it.
    pub(crate) heap: u32,
    /// Where that heap's last scan ended, in slots since the oldest SuperSlab.
    pub(crate) cursor: &'a Cell<u32>,
    pub(crate) counters: &'a Counters,
}

impl Pool {
    pub(crate) const fn new() -> Self {
        Self {
            freelist: TaggedStack::over(AtomicU64::new(0)),
            mapped: [const { AtomicU32::new(0) }; MAX_CLASSES],
        }
    }

    /// A slab for a class, ready for a refill (P2); `None` when every stage refuses.
    pub(crate) fn acquire<V: Statics>(
        &self,
        class: ClassIdx,
        seeker: &Seeker<'_>,
    ) -> Option<&'static Slab> {
        let slab = self
            .scan::<V>(class, seeker)
            .or_else(|| self.pop_empty::<V>(seeker))
            .or_else(|| self.claim_unused::<V>(seeker))
            .or_else(|| self.grow::<V>(class, seeker))?;
        if slab.used() == 0 {
            slab.carve::<V>(class);
        }
        debug_assert!(slab.state() == State::Active && slab.remote.owner() == seeker.heap, "P2");
        Some(slab)
    }
}

/// Makes a slab that was won from `from` the seeker's, and counts the stage.
fn activate(slab: &'static Slab, from: State, seeker: &Seeker<'_>, stage: Event) -> &'static Slab {
    if !slab.enter(from, State::Active) {
        // Two threads have won one slab: P1 is broken, and so is the heap.
        fatal("a slab was handed out twice, metadata at", ptr::from_ref(slab).addr());
    }
    slab.remote.assign(seeker.heap);
    seeker.counters.count(stage);
    slab
}
