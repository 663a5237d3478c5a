//! Layer 6: what the threads of a variant of the central backend share.
//!
//! ```text
//!         refill: a batch ▲            │ drain: a batch
//!        ┌────────────────┴────────────▼────────────────┐
//!        │ class: batches that wait ("transfer")        │  one lock per class
//!        │        slabs with blocks, by fullness        │
//!        └────────────────▲────────────┬────────────────┘
//!          a free slot    │            │ a slab with every block home
//!        ┌────────────────┴────────────▼────────────────┐   spans of slots for large blocks
//!        │ spans: chunks with free slots                │ ◀──────────────────────────────────
//!        └────────────────▲────────────┬────────────────┘   mappings of their own for larger ones
//!                    map  │            │ purge, unmap
//! ```
//!
//! N1  A block of a class is in exactly one place: its slab (a bit), a batch that waits, a thread's list, a
//!     parked list, or the program's hands.
//! N2  A slab is in its class's list of slabs of its fullness exactly while it has blocks.
//! N3  Locks are taken in the order: the idle caches', the round's of purging, the parked lists', classes from the first
//!     to the last, then the spans, then the records. A thread holds more than one only to purge, to get or give a slot,
//!     to count all that is in use, and around a fork. Who reclaims holds a class's lock and takes others' as they come, but never waits for one.
//!
//! Never: touches a thread's lists.

mod background;
mod class;
mod kept;
mod own;
mod parked;
mod purge;
mod records;
mod retained;
mod spans;
mod tuning;
mod usage;

pub(crate) use background::{ask, start_if_wanted, stop};
pub(crate) use class::Central;
pub(crate) use own::{HOPELESS, Moved, mapping_bytes, own_alloc, own_free, own_resize};
pub(crate) use parked::Parked;
use parked::parks;
pub(crate) use purge::{at_stake, idle_bytes, purge_all, tend, tend_alone};
pub(crate) use records::Records;
pub(crate) use spans::Spans;
pub use usage::Usage;
pub(crate) use usage::usage;

use crate::base::{ClassIdx, MAX_CLASSES};
use crate::list::Step;
use crate::page_map::PageMap;
use crate::stats::Counters;
use crate::variant::Variant;

/// A variant with what its threads share.
pub(crate) trait Shared: Variant {
    /// The central lists, by class.
    fn centrals() -> &'static [Central; MAX_CLASSES];
    /// The lists of threads that ended.
    fn parked() -> &'static Parked;
    /// The slots.
    fn spans() -> &'static Spans;
    /// What lies where.
    fn page_map() -> &'static PageMap;
    /// Which blocks have mappings of their own, for who frees by address alone.
    fn records() -> &'static Records;
    /// What is counted for all threads at once: nothing on a hot path.
    fn counters() -> &'static Counters;

    /// The central list of a class.
    fn central(class: ClassIdx) -> &'static Central {
        &Self::centrals()[class.index()]
    }
}

/// How a list of this class counts.
#[inline(always)]
pub(crate) fn step<V: Variant>(class: ClassIdx) -> Step {
    let step = V::STEPS[class.index()];
    if V::COUNTED { Step::Plain(step as u32) } else { Step::Signed(step) }
}

/// Takes every lock, for a fork: nobody else is in the middle of anything then.
pub(crate) extern "C" fn lock_all<V: Shared>() {
    V::spans().round.lock.lock();
    if parks::<V>() {
        V::parked().lock.lock();
    }
    for class in ClassIdx::all(V::CLASSES.count()) {
        V::central(class).lock.lock();
    }
    V::spans().lock.lock();
    if V::BY_ADDRESS {
        V::records().lock.lock();
    }
}

/// Gives every lock up, in the parent and in the child.
pub(crate) extern "C" fn unlock_all<V: Shared>() {
    if V::BY_ADDRESS {
        V::records().lock.unlock();
    }
    V::spans().lock.unlock();
    for class in ClassIdx::all(V::CLASSES.count()) {
        V::central(class).lock.unlock();
    }
    if parks::<V>() {
        V::parked().lock.unlock();
    }
    V::spans().round.lock.unlock();
}
