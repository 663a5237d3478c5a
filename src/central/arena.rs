//! Arenas: sets of central lists, one list for each size class.
//!
//! A thread takes blocks from its own arena's slabs and brings them home there. So threads of different arenas wait for
//! each other only when they share slabs.
//!
//! ```text
//!  thread ──▶ arena ──▶ a central list per class ──▶ the slabs of this class that have free blocks
//! ```
//!
//! A slab all of whose blocks are out belongs to no arena. It joins the arena of the next thread that brings one of
//! them home. Where one thread allocates and another frees, slabs thus change hands whole, and the two threads meet
//! once a slab instead of once a batch. A block whose slab belongs to another arena waits in the transfer cache of its
//! class, or goes home there if that is full.
//!
//! Before an arena grows, it takes over slabs of other arenas that have many free blocks. So memory does not pile
//! up where it is freed (after Hoard, by Berger and others, 2000).
//!
//! AR1  `in_use` is above the index of each arena that a thread has, or has had.
//! AR2  `users` and `in_use` change with the lock of the cache pool held.
//! AR3  `threads` is the sum of `users`. It counts the threads with an open cache; but not the one that forked, in a
//!      child.
//!
//! Never: frees an arena.

use super::{CentralList, Shared};
use crate::base::{ArenaIdx, ClassIdx, MAX_ARENAS, MAX_CLASSES, rank};
use crate::stats::{Unsound, ensure};
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::{cpus, held};
use core::ptr;

/// Arenas for each processor.
const PER_CPU: usize = 4;

/// One arena, in whole pages.
#[repr(C, align(4096))]
pub(crate) struct Arena {
    lists: [CentralList; MAX_CLASSES],
}

/// The arenas that threads have. They lie apart from the arenas, so a search for an arena touches none.
pub(crate) struct Users {
    /// Threads that have an arena, by its index (AR2). [shared]
    users: [AtomicU32; MAX_ARENAS],
    /// Arenas that threads have come to use: those with a lower index (AR1). [shared]
    in_use: AtomicU32,
    /// Threads that have an arena (AR3). [shared]
    threads: AtomicU32,
    /// Arenas that threads may come to use; 0 before the first thread does. [shared]
    most: AtomicU32,
}

impl Arena {
    pub(crate) const fn new() -> Self {
        Self { lists: [const { CentralList::new() }; MAX_CLASSES] }
    }

    /// The central list of a class.
    #[inline]
    pub(crate) fn list(&self, class: ClassIdx) -> &CentralList {
        &self.lists[class.index()]
    }
}

// ORDERING: relaxed in all of `Users`: the lock under which the numbers change orders what they count (AR2). A thread
// that reads them without it takes them as a hint.
impl Users {
    pub(super) const fn new() -> Self {
        Self {
            users: [const { AtomicU32::new(0) }; MAX_ARENAS],
            in_use: AtomicU32::new(0),
            threads: AtomicU32::new(0),
            most: AtomicU32::new(0),
        }
    }

    /// Arenas that threads may come to use: a few for each processor (after jemalloc). More threads than that seldom
    /// wait for each other, and each arena keeps some memory.
    fn most<V: Shared>(&self) -> usize {
        let known = self.most.load(Ordering::Relaxed) as usize;
        if known > 0 {
            return known;
        }
        let most = (PER_CPU * cpus::count()).min(V::ARENAS);
        self.most.store(most as u32, Ordering::Relaxed);
        most
    }

    fn of(&self, arena: ArenaIdx) -> &AtomicU32 {
        &self.users[arena.index()]
    }

    /// Forgets all threads but the one that a child has. That thread may still leave.
    pub(crate) fn forget(&self) {
        for users in &self.users {
            users.store(0, Ordering::Relaxed);
        }
        self.threads.store(0, Ordering::Relaxed);
    }

    /// An error unless the arenas that threads have are in use, and the threads are counted. Returns the threads. For
    /// audits, with the lock of the cache pool held.
    pub(crate) fn check(&self) -> Result<usize, Unsound> {
        let in_use = self.in_use.load(Ordering::Relaxed) as usize;
        let place = ptr::from_ref(self).addr();
        let count = |users: &AtomicU32| users.load(Ordering::Relaxed) as usize;
        let beyond = self.users.iter().skip(in_use).any(|users| count(users) > 0);
        ensure(!beyond, "AR1, an arena that threads have", place)?;
        let threads = count(&self.threads);
        let is_sum = self.users.iter().map(count).sum::<usize>() == threads;
        ensure(is_sum, "AR3, threads are counted", place)?;
        Ok(threads)
    }

    /// Threads that have a thread cache; 1 when the last has just ended.
    pub(crate) fn threads(&self) -> usize {
        self.threads.load(Ordering::Relaxed).max(1) as usize
    }
}

/// Gives a thread the arena that the fewest threads have, the first of several. The caller holds the lock of the cache
/// pool.
pub(crate) fn join<V: Shared>() -> ArenaIdx {
    held::check_rank(rank::CACHE_POOL); // Checks AR2.
    let users = &V::page_heap().users;
    let count = |arena: &ArenaIdx| users.of(*arena).load(Ordering::Relaxed);
    let arena =
        (0..users.most::<V>()).map(ArenaIdx::new).min_by_key(count).unwrap_or(ArenaIdx::FIRST);
    users.of(arena).fetch_add(1, Ordering::Relaxed);
    users.threads.fetch_add(1, Ordering::Relaxed);
    users.in_use.fetch_max(arena.index() as u32 + 1, Ordering::Relaxed);
    debug_assert!(used::<V>().any(|used| used == arena), "AR1");
    arena
}

/// Notes that a thread has ended, or does without its arena. The caller holds the lock of the cache pool.
pub(crate) fn leave<V: Shared>(arena: ArenaIdx) {
    held::check_rank(rank::CACHE_POOL); // Checks AR2.
    let users = &V::page_heap().users;
    let (of_arena, threads) = (users.of(arena), &users.threads);
    // In a child of a fork the only thread is counted no more, but others that have come since are.
    if of_arena.load(Ordering::Relaxed) > 0 {
        for count in [of_arena, threads] {
            count.store(count.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
        }
    }
}

/// The arenas that threads have, or have had (AR1). A caller without the lock of the cache pool may miss an arena that
/// has just come into use.
pub(crate) fn used<V: Shared>() -> impl Iterator<Item = ArenaIdx> {
    let in_use = V::page_heap().users.in_use.load(Ordering::Relaxed) as usize;
    (0..in_use.clamp(1, V::ARENAS)).map(ArenaIdx::new)
}

/// True if threads have come to use more than one arena. Before that no block waits for another arena.
pub(super) fn are_several<V: Shared>() -> bool {
    V::page_heap().users.in_use.load(Ordering::Relaxed) > 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Apex;
    use crate::sys::lock::Lock;
    use crate::variant::Chosen;

    /// Checks AR1 to AR3. No other test of this program has threads in the variant's arenas.
    #[test]
    fn threads_spread_over_arenas() {
        let pool = Lock::<{ rank::CACHE_POOL }>::over(AtomicU32::new(0));
        let users = &Apex::page_heap().users;
        pool.with(|| {
            assert_eq!(used::<Apex>().count(), 1, "threads without a cache use the first");
            let join = || join::<Apex>().index();
            assert_eq!([(); 4].map(|()| join()), [0, 1, 2, 3]);
            assert!(are_several::<Apex>() && users.check() == Ok(4));
            leave::<Apex>(ArenaIdx::new(1));
            assert_eq!((users.threads(), join()), (3, 1), "the one that the fewest have");
            // An arena whose threads have ended still has slabs, which purges and forks look for.
            for arena in 0..4 {
                leave::<Apex>(ArenaIdx::new(arena));
            }
            assert_eq!((users.check(), used::<Apex>().count(), join()), (Ok(0), 4, 0));
            assert_eq!(used::<Apex>().count(), 4);
            leave::<Apex>(ArenaIdx::FIRST);
            // The most are a few for each processor.
            assert!((4..=<Apex as Chosen>::ARENAS).contains(&users.most::<Apex>()));
            assert!(users.most::<Apex>() <= PER_CPU * cpus::count());
            // So in a program with one thread, as the other tests of this one are, no block waits for another arena.
            users.in_use.store(1, Ordering::Relaxed);
        });
    }
}
