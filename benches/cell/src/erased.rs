//! The allocator of a workload: the variant; or, if only events are counted, any variant by its address.
//!
//! The events do not differ, and one copy of the workloads for all variants is built in a third of the time.

use hakmem::Observe;

#[cfg(not(feature = "stats"))]
pub(crate) fn allocator<V: Observe>() -> V {
    V::default()
}

#[cfg(feature = "stats")]
pub(crate) fn allocator<V: Observe>() -> Erased {
    Erased(Box::leak(Box::new(V::default())))
}

/// A variant whose type is erased.
#[cfg(feature = "stats")]
pub(crate) struct Erased(&'static (dyn std::alloc::GlobalAlloc + Sync));

// SAFETY: all methods are those of one allocator.
#[cfg(feature = "stats")]
unsafe impl std::alloc::GlobalAlloc for Erased {
    unsafe fn alloc(&self, layout: std::alloc::Layout) -> *mut u8 {
        // SAFETY: the caller's condition.
        unsafe { self.0.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: std::alloc::Layout) -> *mut u8 {
        // SAFETY: the caller's condition.
        unsafe { self.0.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: std::alloc::Layout) {
        // SAFETY: the caller's condition.
        unsafe { self.0.dealloc(block, layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: std::alloc::Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's condition.
        unsafe { self.0.realloc(block, layout, size) }
    }
}
