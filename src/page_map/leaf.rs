//! A place for a leaf of a map, which is filled once and then stays as it is.
//!
//! F1  Of several that are put there, one stays, and all who look find that one.
//! F2  Who finds a leaf finds what was done to it before it was put there.
//!
//! Never: maps memory, or gives it back.

use crate::sys::atomic::{AtomicPtr, Ordering};
use core::ptr;

/// See the module. All bytes zero is an empty place.
pub(crate) struct LeafPlace<T> {
    leaf: AtomicPtr<T>,
}

impl<T> LeafPlace<T> {
    /// A place over this pointer, which is null: the model checker makes its own.
    pub(crate) const fn over(leaf: AtomicPtr<T>) -> Self {
        Self { leaf }
    }

    /// The leaf, or null.
    #[inline(always)]
    pub(crate) fn get(&self) -> *mut T {
        // ORDERING: acquire, paired with the release in `put` (F2).
        self.leaf.load(Ordering::Acquire)
    }

    /// The leaf, or null, for who knows from elsewhere that what it is asked about has been noted there.
    #[inline(always)]
    pub(crate) fn peek(&self) -> *mut T {
        // ORDERING: relaxed; by the caller's knowledge, which is a chain of synchronisation, `put` came before.
        self.leaf.load(Ordering::Relaxed)
    }

    /// Puts a leaf here; false if one was here before, and stays.
    pub(crate) fn put(&self, leaf: *mut T) -> bool {
        // ORDERING: release, paired with the acquire in `get`; relaxed where nothing is put.
        self.leaf
            .compare_exchange(ptr::null_mut(), leaf, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }
}
