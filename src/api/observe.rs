//! A look inside a variant, for benchmarks and tests.

use super::backend::{Backend, Served};
use crate::stats::{Audit, Events, Unsound};
use crate::sys::clock;
use crate::variant::STATS;
use core::alloc::GlobalAlloc;

/// What every variant tells about itself. Observation only, but for
/// [`map_superslabs`](Self::map_superslabs).
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

    /// What happened since the process started; `None` unless feature `stats` is on.
    fn events() -> Option<Events>;

    /// SuperSlabs mapped since the process started.
    fn superslabs() -> u32;

    /// Maps SuperSlabs until there are this many, as room for every class; returns how many there are.
    /// For a benchmark of lookups among many: they stay mapped, the soft cap does not count them, and
    /// threads that call this at once may map more.
    fn map_superslabs(until: u32) -> u32;

    /// Calls `visit` with the address of every SuperSlab. It must not allocate with this variant: what tells
    /// the SuperSlabs apart from those that come and go may be locked.
    fn visit_superslabs(visit: impl FnMut(*const u8));

    /// Looks an address up as freeing a block does, the thread's hint included; says whether it is in
    /// a SuperSlab. For a benchmark of just that.
    fn lookup(address: *const u8) -> bool;

    /// Whether an address lies in memory that this variant hands out blocks from. Blocks that the
    /// system's malloc served for it do not count.
    fn owns(address: *const u8) -> bool;

    /// Gives back to the kernel, at once, what nobody uses: what this thread's lists and the central ones
    /// hold, free slices, and pages of slabs that no block touches. Other threads' lists stay as they are.
    ///
    /// Nothing where the variant keeps its memory for good, as the founding report's do.
    fn purge();

    /// Sets the clock of all variants to this millisecond, where it stands until it is set again. Memory goes back
    /// when a while has passed, and what is counted must not depend on how long it takes.
    ///
    /// Call it before a variant's first allocation, and never set it back.
    fn set_clock(ms: u64);

    /// Checks the whole heap against its invariants.
    ///
    /// # Safety
    /// No other thread allocates or frees with this variant, or is ending after having done so: the
    /// audit reads what it would be writing.
    ///
    /// # Errors
    /// The first invariant found broken.
    unsafe fn audit() -> Result<Audit, Unsound>;
}

mod sealed {
    pub trait Sealed {}
    impl<V: super::Served> Sealed for V {}
}

impl<V: Served + GlobalAlloc + Default> Observe for V {
    const ID: &'static str = V::ID;
    const PARENT: Option<&'static str> = V::PARENT;
    const CLASSES: usize = V::Backend::CLASSES;

    fn events() -> Option<Events> {
        STATS.then(|| {
            let mut sum = Events::default();
            V::Backend::events(&mut sum);
            sum.superslabs = u64::from(Self::superslabs());
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

    fn set_clock(ms: u64) {
        clock::set(ms);
    }

    fn purge() {
        V::Backend::purge();
    }
}
