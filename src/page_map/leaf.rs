//! A place for one leaf of a map. It is empty at first, is filled once, and then never changes.
//!
//! F1  If several threads put a leaf there, one leaf stays, and every thread finds that leaf.
//! F2  A thread that finds a leaf by `get` sees everything that was written to the leaf before `put`.
//!
//! Never: maps memory, or gives it back.

use crate::sys::atomic::{AtomicPtr, Ordering};
use core::ptr;

/// A place for one leaf. All bytes of an empty place are zero.
pub(crate) struct LeafPlace<T> {
    leaf: AtomicPtr<T>,
}

impl<T> LeafPlace<T> {
    /// A place in this pointer, which is null. The model checker creates the pointer.
    pub(crate) const fn over(leaf: AtomicPtr<T>) -> Self {
        Self { leaf }
    }

    /// The leaf, or null.
    #[inline(always)]
    pub(crate) fn get(&self) -> *mut T {
        // ORDERING: acquire, paired with the release in `put` (F2).
        self.leaf.load(Ordering::Acquire)
    }

    /// The leaf, or null. The caller must have learned through synchronisation that `put` came before, if it relies on
    /// the leaf's content.
    #[inline(always)]
    pub(crate) fn peek(&self) -> *mut T {
        // ORDERING: relaxed; the caller's own chain of synchronisation starts after `put`.
        self.leaf.load(Ordering::Relaxed)
    }

    /// Puts a leaf here. False if the place had a leaf already, which stays.
    pub(crate) fn put(&self, leaf: *mut T) -> bool {
        // ORDERING: release, paired with the acquire in `get` (F2); relaxed on failure, which writes nothing.
        self.leaf
            .compare_exchange(ptr::null_mut(), leaf, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }
}
