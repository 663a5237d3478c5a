//! A pointer by which a thread shows all others a thing that it made. It is null at first.
//!
//! | [`put`](Published::put) | the first thing stays for good |
//! |---|---|
//! | [`set`](Published::set) | the newest thing takes the place of the one before |
//!
//! F1  If several threads put a thing there, one stays, and every thread finds that one.
//! F2  A thread that finds a thing by `get` sees everything that was written to it before `put` or `set`.
//!
//! Never: maps memory, or gives it back.

use crate::sys::atomic::{AtomicPtr, Ordering};
use core::ptr;

/// A pointer to a thing of another thread's making. All bytes of a null one are zero.
pub(crate) struct Published<T> {
    thing: AtomicPtr<T>,
}

impl<T> Published<T> {
    /// This pointer, which is null. The model checker creates it.
    pub(crate) const fn over(thing: AtomicPtr<T>) -> Self {
        Self { thing }
    }

    /// The thing, or null.
    #[inline(always)]
    pub(crate) fn get(&self) -> *mut T {
        // ORDERING: acquire, paired with the releases in `put` and `set` (F2).
        self.thing.load(Ordering::Acquire)
    }

    /// The thing, or null. The caller must have learned through synchronisation that `put` came before, if it relies on
    /// the thing's content.
    #[inline(always)]
    pub(crate) fn peek(&self) -> *mut T {
        // ORDERING: relaxed; the caller's own chain of synchronisation starts after `put`.
        self.thing.load(Ordering::Relaxed)
    }

    /// Puts a thing here. False if there was one already, which stays.
    pub(crate) fn put(&self, thing: *mut T) -> bool {
        // ORDERING: release, paired with the acquire in `get` (F2); relaxed on failure, which writes nothing.
        self.thing
            .compare_exchange(ptr::null_mut(), thing, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    /// Puts a thing here in place of another.
    pub(crate) fn set(&self, thing: *mut T) {
        // ORDERING: release, paired with the acquire in `get` (F2).
        self.thing.store(thing, Ordering::Release);
    }
}
