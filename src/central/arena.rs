//! Arenas: sets of central lists. A thread takes blocks from its own arena's slabs and brings them home there, so threads
//! of different arenas wait for each other only when they share slabs.
//!
//! ```text
//!  thread ──▶ arena ──▶ a central list per class ──▶ the slabs of this class that have free blocks
//! ```
//!
//! A slab all of whose blocks are out belongs to no arena. It joins that of the next thread that brings one of them home:
//! where one thread allocates and another frees, slabs change hands whole, and two threads meet once a slab, not once a
//! batch. A block whose slab belongs to another arena goes home there. Before an arena grows, it takes over slabs of
//! others that have many free blocks, so memory does not pile up where it is freed (after Hoard, by Berger and
//! others, 2000).
//!
//! AR1  `used` of [`Spans`](super::Spans) is above the index of each arena that a thread has, or has had.
//! AR2  `users` is how many threads have the arena. It changes with the lock of the idle caches held, as `used` does.

use super::{Central, Shared};
use crate::base::{ArenaIdx, ClassIdx, MAX_CLASSES};
use crate::sys::atomic::{AtomicU32, Ordering};

/// One set of central lists.
pub(crate) struct Arena {
    lists: [Central; MAX_CLASSES],
    /// Threads that have it (AR2). [shared]
    users: AtomicU32,
}

impl Arena {
    pub(crate) const fn new() -> Self {
        Self { lists: [const { Central::new() }; MAX_CLASSES], users: AtomicU32::new(0) }
    }

    /// The central list of a class.
    #[inline]
    pub(crate) fn list(&self, class: ClassIdx) -> &Central {
        &self.lists[class.index()]
    }
}

/// Gives a thread the arena that the fewest threads have: the first of several. The caller holds the lock of the idle
/// caches.
pub(crate) fn join<V: Shared>() -> ArenaIdx {
    // ORDERING: relaxed, here and below: changed under the lock that the caller holds (AR2).
    let users =
        |index: &usize| V::arenas().get(*index).map(|arena| arena.users.load(Ordering::Relaxed));
    let index = (0..V::ARENAS).min_by_key(users).unwrap_or(0);
    let arena = ArenaIdx::new(index);
    V::arena(arena).users.fetch_add(1, Ordering::Relaxed);
    V::spans().threads.fetch_add(1, Ordering::Relaxed);
    V::spans().arenas_used.fetch_max(index as u32 + 1, Ordering::Relaxed);
    arena
}

/// Notes that a thread has ended, or has no use for its arena. The caller holds the lock of the idle caches.
pub(crate) fn leave<V: Shared>(arena: ArenaIdx) {
    // ORDERING: relaxed; as in `join`.
    V::arena(arena).users.fetch_sub(1, Ordering::Relaxed);
    V::spans().threads.fetch_sub(1, Ordering::Relaxed);
}

/// The arenas that threads have, or have had (AR1).
pub(crate) fn used<V: Shared>() -> impl Iterator<Item = ArenaIdx> {
    // ORDERING: relaxed; with the lock of the idle caches held it is exact, and without it an arena that is missed has
    // just come into use.
    let used = V::spans().arenas_used.load(Ordering::Relaxed) as usize;
    (0..used.clamp(1, V::ARENAS)).map(ArenaIdx::new)
}
