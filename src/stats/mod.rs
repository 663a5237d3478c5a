//! Layer 3: event counters, and the results of an audit and of a count of memory. Without feature `stats` the counters
//! have no size, and counting takes no instruction.
//!
//! S1  A counter only grows, and a heap's counters outlive its threads. So a sum over all heaps, taken while no thread
//!     uses the allocator, is the exact number of events since the process started.
//!
//! Never: decides anything. No branch of the allocator reads a counter.

#![forbid(unsafe_code)]

mod audit;
mod usage;

pub(crate) use audit::ensure;
pub use audit::{Audit, Unsound};
pub use usage::Usage;

use crate::base::{ClassIdx, MAX_CLASSES};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::variant::STATS;

/// An event that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Event {
    /// Stage 0.5 found an EMPTY slab.
    AcquireEmptyScan,
    /// Stage 1 popped an EMPTY slab.
    AcquireFreelist,
    /// Stage 2 claimed an UNUSED slot.
    AcquireUnused,
    /// Stage 3 mapped a SuperSlab.
    AcquireGrow,
    /// A slab that a dead thread had left in part-use was taken over.
    Adopted,
    /// A slab became EMPTY in a drain and was pushed on the freelist.
    Retired,
    /// A thread's list gave blocks back to their slabs.
    ListDrain,
    /// A slab took the blocks that other threads had freed into it.
    RemoteDrain,
    /// A block was freed by a thread that does not own its slab.
    RemoteFree,
    /// An address was looked up.
    Lookup,
    /// A registry entry was compared, the thread-local hint included.
    Probe,
    /// A thread's list was filled from slabs.
    Refill,
    /// A thread's list was filled with a batch that another had given.
    Transfer,
    /// An atomic read-modify-write on a line that threads share.
    Atomic,
    /// A purge began.
    Purge,
    /// A page went back to the kernel.
    PurgedPage,
    /// A walk examined a slab or a segment, other than to move a block of it.
    Look,
}

const EVENTS: usize = Event::Look as usize + 1;
const COUNTERS: usize = if STATS { EVENTS + MAX_CLASSES } else { 0 };

/// One heap's counters: the events, then the fallbacks of each class.
pub(crate) struct Counters {
    /// [shared]
    counts: [AtomicU64; COUNTERS],
}

impl Counters {
    pub(crate) const fn new() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; COUNTERS] }
    }

    /// Counts an event once.
    #[inline(always)]
    pub(crate) fn count(&self, event: Event) {
        self.add(event as usize, 1);
    }

    /// Counts an event `times`.
    #[inline(always)]
    pub(crate) fn count_many(&self, event: Event, times: u64) {
        self.add(event as usize, times);
    }

    /// Counts a request of a class that fell back to the system's malloc.
    #[inline(always)]
    pub(crate) fn count_fallback(&self, class: ClassIdx) {
        self.add(EVENTS + class.index(), 1);
    }

    #[inline(always)]
    fn add(&self, slot: usize, times: u64) {
        if let Some(count) = self.counts.get(slot) {
            // ORDERING: relaxed; a number that publishes nothing. A read-modify-write, since threads without a heap of
            // their own share counters.
            count.fetch_add(times, Ordering::Relaxed);
        }
    }

    /// Adds these counters to a sum.
    pub(crate) fn sum_into(&self, sum: &mut Events) {
        let read = |slot: usize| {
            // ORDERING: relaxed, as in `add`.
            self.counts.get(slot).map_or(0, |count| count.load(Ordering::Relaxed))
        };
        let event = |event: Event| read(event as usize);
        sum.acquire.empty_scan += event(Event::AcquireEmptyScan);
        sum.acquire.freelist += event(Event::AcquireFreelist);
        sum.acquire.unused += event(Event::AcquireUnused);
        sum.acquire.grow += event(Event::AcquireGrow);
        sum.adopted += event(Event::Adopted);
        sum.retired += event(Event::Retired);
        sum.list_drains += event(Event::ListDrain);
        sum.remote_drains += event(Event::RemoteDrain);
        sum.remote_frees += event(Event::RemoteFree);
        sum.lookups += event(Event::Lookup);
        sum.probes += event(Event::Probe);
        sum.refills += event(Event::Refill);
        sum.transfers += event(Event::Transfer);
        sum.atomics += event(Event::Atomic);
        sum.purges += event(Event::Purge);
        sum.purged_pages += event(Event::PurgedPage);
        sum.looks += event(Event::Look);
        for (class, fallbacks) in sum.fallbacks.0.iter_mut().enumerate() {
            *fallbacks += read(EVENTS + class);
        }
    }
}

/// The events of an allocator since the process started.
///
/// The numbers are exact if no other thread allocates or frees. Otherwise each number was true at some moment of the
/// call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Events {
    /// Slabs acquired from the shared pool, by stage.
    pub acquire: Acquisitions,
    /// Requests that fell back to the system's malloc because the pool refused them, per size class. Entries past the
    /// variant's classes are 0.
    pub fallbacks: PerClass,
    /// Slabs that a drain emptied and gave to the pool's freelist.
    pub retired: u64,
    /// Slabs in part-use that were taken over from a thread that had ended.
    pub adopted: u64,
    /// Times that a thread's list gave blocks back to their slabs.
    pub list_drains: u64,
    /// Times that a slab took the blocks that other threads had freed into it.
    pub remote_drains: u64,
    /// Blocks freed by a thread that does not own their slab.
    pub remote_frees: u64,
    /// Addresses looked up.
    pub lookups: u64,
    /// Registry entries compared in those lookups, the thread-local hint included.
    pub probes: u64,
    /// Times that a thread's list was filled from slabs; central backend only.
    pub refills: u64,
    /// Times that a thread's list was filled with a batch that another had given; central backend only.
    pub transfers: u64,
    /// Atomic read-modify-writes on cache lines that threads share, without the retries of threads that collide.
    pub atomics: u64,
    /// Purges that began.
    pub purges: u64,
    /// Pages of 4 KiB given back to the kernel.
    pub purged_pages: u64,
    /// Slabs and SuperSlabs that a walk examined to find slices, or memory to purge; central backend only.
    pub looks: u64,
    /// SuperSlabs mapped.
    pub superslabs: u64,
    /// Times that a thread waited in the kernel for a lock, after some reads of the held lock had not seen it free. This
    /// number is of all variants in the process.
    pub lock_waits: u64,
}

/// A number per size class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerClass([u64; MAX_CLASSES]);

impl Default for PerClass {
    fn default() -> Self {
        Self([0; MAX_CLASSES])
    }
}

impl core::ops::Deref for PerClass {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        &self.0
    }
}

impl core::ops::DerefMut for PerClass {
    fn deref_mut(&mut self) -> &mut [u64] {
        &mut self.0
    }
}

/// Slabs acquired, by the stage of the founding report's pool that served them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Acquisitions {
    /// Stage 0.5: a scan that found an EMPTY slab that no drain had retired.
    pub empty_scan: u64,
    /// Stage 1: the freelist of EMPTY slabs.
    pub freelist: u64,
    /// Stage 2: an UNUSED slot of an existing SuperSlab.
    pub unused: u64,
    /// Stage 3: a new SuperSlab.
    pub grow: u64,
}
