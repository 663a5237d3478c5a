//! A look inside a variant, for benchmarks and tests.

use crate::backend::{LimitHandler, Managed};
use crate::stats::{Audit, Events, Unsound};
use crate::sys::{clock, futex};
use crate::variant::{STATS, Variant};
use core::alloc::GlobalAlloc;

/// What every variant tells about itself.
///
/// Only [`map_superslabs`](Self::map_superslabs), [`purge`](Self::purge), [`sample`](Self::sample),
/// [`set_clock`](Self::set_clock) and the limit change the allocator's state.
///
/// ```
/// use hakmem::Observe;
///
/// println!("this program's allocator is {}", hakmem::Hakmem::ID);
/// ```
pub trait Observe: GlobalAlloc + Copy + Default + Send + Sync + 'static + sealed::Sealed {
    /// The variant's id: its file name in `variants/`, and its Cargo feature.
    const ID: &'static str;

    /// The id of the variant that this one is one knob away from.
    const PARENT: Option<&'static str>;

    /// Number of size classes; 0 for the system's malloc.
    const CLASSES: usize;

    /// The events since the process started; `None` unless feature `stats` is on.
    fn events() -> Option<Events>;

    /// SuperSlabs mapped since the process started.
    fn superslabs() -> u32;

    /// Maps SuperSlabs until there are `until` of them, as room for every class. Returns their number.
    ///
    /// It serves a benchmark of lookups among many SuperSlabs. They stay mapped, and the soft cap does not count them.
    /// Threads that call this at the same time may map more.
    fn map_superslabs(until: u32) -> u32;

    /// Calls `visit` with the address of every SuperSlab. `visit` must not allocate with this variant, since a lock may
    /// be held meanwhile.
    fn visit_superslabs(visit: impl FnMut(*const u8));

    /// Looks an address up as a free does, including the thread's hint. True if it is in a SuperSlab. It serves a
    /// benchmark of lookups.
    fn lookup(address: *const u8) -> bool;

    /// True if an address lies in memory from which this variant hands out blocks. Blocks that the system's malloc
    /// serves for it do not count.
    fn owns(address: *const u8) -> bool;

    /// Gives unused memory back to the kernel at once. It first empties this thread's lists; other threads keep theirs.
    ///
    /// Unused are free slices, cached mappings, and pages of slabs that no block touches. It does nothing if the
    /// variant keeps its memory for good, as the founding report's variants do.
    fn purge();

    /// Samples one block in so many, on average, in all threads; 0 samples none. False if the variant cannot, or memory
    /// is exhausted; see [`sample`](crate::sample).
    fn sample(mean: u32) -> bool;

    /// Checks what the threads share every so many milliseconds, while they go on; 0 stops it. A broken invariant ends the
    /// process with one line. False, and nothing happens, if the variant looks at no clock, as the founding report's.
    ///
    /// It takes each lock in turn, so other threads may wait meanwhile.
    fn audit_every(ms: u64) -> bool;

    /// Limits this variant's memory, as [`set_limit`](crate::set_limit) does for the selected one.
    fn set_limit(bytes: usize) -> bool;

    /// Sets this variant's limit handler, as [`set_limit_handler`](crate::set_limit_handler) does for the selected one.
    fn set_limit_handler(handler: Option<LimitHandler>) -> bool;

    /// The bytes that a limit limits: what the variant has from the kernel, without what a purge has given back.
    fn counted() -> usize;

    /// Stops the clock of all variants at this millisecond, until it is set again. Timed purges then depend on this
    /// clock alone, so that event counts are reproducible.
    ///
    /// Call it before a variant's first allocation, and never set the clock back.
    fn set_clock(ms: u64);

    /// Checks the whole heap against its invariants.
    ///
    /// # Safety
    /// No other thread allocates or frees with this variant. No thread that did so is ending. Such a thread would write
    /// to memory that the audit reads.
    ///
    /// # Errors
    /// The first broken invariant that the audit finds.
    unsafe fn audit() -> Result<Audit, Unsound>;
}

mod sealed {
    pub trait Sealed {}
    impl<V: super::Variant> Sealed for V {}
}

impl<V: Variant<Backend: Managed> + GlobalAlloc + Default> Observe for V {
    const ID: &'static str = V::ID;
    const PARENT: Option<&'static str> = V::PARENT;
    const CLASSES: usize = V::Backend::CLASSES;

    fn events() -> Option<Events> {
        STATS.then(|| {
            let mut sum = Events::default();
            V::Backend::events(&mut sum);
            sum.superslabs = u64::from(Self::superslabs());
            sum.lock_waits = futex::waits();
            sum
        })
    }

    fn superslabs() -> u32 {
        V::Backend::superslabs()
    }

    fn map_superslabs(until: u32) -> u32 {
        while Self::superslabs() < until && V::Backend::map_spare() {}
        Self::superslabs()
    }

    fn visit_superslabs(visit: impl FnMut(*const u8)) {
        V::Backend::visit_superslabs(visit);
    }

    #[inline]
    fn lookup(address: *const u8) -> bool {
        V::Backend::lookup(address.addr())
    }

    fn owns(address: *const u8) -> bool {
        V::Backend::owns(address.addr())
    }

    unsafe fn audit() -> Result<Audit, Unsound> {
        // SAFETY: the caller's condition.
        unsafe { V::Backend::audit() }
    }

    fn audit_every(ms: u64) -> bool {
        V::Backend::audit_every(ms)
    }

    fn set_limit(bytes: usize) -> bool {
        V::Backend::set_limit(bytes)
    }

    fn set_limit_handler(handler: Option<LimitHandler>) -> bool {
        V::Backend::set_limit_handler(handler)
    }

    fn counted() -> usize {
        V::Backend::counted()
    }

    fn set_clock(ms: u64) {
        clock::set(ms);
    }

    fn purge() {
        V::Backend::purge();
    }

    fn sample(mean: u32) -> bool {
        V::Backend::sample(mean)
    }
}
