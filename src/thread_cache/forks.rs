//! The state of a variant's fork handlers: who registers them, and which thread holds all locks around a fork.
//!
//! | `preparing` | event | becomes |
//! |---|---|---|
//! | 0, or another process | a thread is about to take a lock for the first time | this process; the thread registers |
//! | this process | the handlers are registered | [`PREPARED`] |
//! | any | a handler runs after a fork, so it is registered | [`PREPARED`] |
//!
//! A fork may come while another thread registers the handlers, and that thread is missing in the child. The number in
//! `preparing` is then the parent's, so a thread of the child starts again.
//!
//! FK1  `prepare` returns once the handlers are registered; in the thread that registers them it returns at once.
//! FK2  A thread gives up the locks after a fork exactly if it took them before that fork.
//!
//! Never: registers a handler, or takes a lock itself.

use crate::sys::atomic::{AtomicU32, AtomicUsize, Ordering};

/// The value of `preparing` once the fork handlers are registered. No process has this number.
const PREPARED: u32 = u32::MAX;

/// The state of the handlers of one variant.
pub(crate) struct Forks {
    /// The process that is registering the fork handlers; 0 before any does, [`PREPARED`] afterwards. [shared]
    preparing: AtomicU32,
    /// The thread that is registering the fork handlers. [shared]
    preparer: AtomicU32,
    /// The thread that took all locks for a fork; 0 for none. [shared]
    forker: AtomicUsize,
}

/// The calling thread and its process.
pub(super) trait Caller {
    /// The number of the process.
    fn process(&self) -> u32;
    /// The number of the thread.
    fn thread(&self) -> u32;
    /// The number of the thread that stays the same in a child.
    fn handle(&self) -> usize;
    /// Lets other threads run first.
    fn give_way(&self);
}

impl Forks {
    /// A state in these words, which are 0. The model checker creates the words.
    pub(super) const fn over(
        preparing: AtomicU32,
        preparer: AtomicU32,
        forker: AtomicUsize,
    ) -> Self {
        Self { preparing, preparer, forker }
    }

    /// Makes sure that the handlers are registered: by `register` in this thread, or by another thread (FK1).
    pub(super) fn prepare(&self, caller: &impl Caller, register: impl FnOnce()) {
        let by = loop {
            // ORDERING: acquire, paired with the release stores of `PREPARED`: the handlers are registered (FK1).
            let by = self.preparing.load(Ordering::Acquire);
            if by == PREPARED {
                return;
            }
            if by != caller.process() {
                break by;
            }
            // The registration may allocate with this very variant, and so come here again.
            // ORDERING: relaxed; the thread only compares the number with its own, which it stored itself.
            if self.preparer.load(Ordering::Relaxed) == caller.thread() {
                return;
            }
            caller.give_way();
        };
        // ORDERING: relaxed; the number claims the task, and publishes nothing.
        let claimed = self.preparing.compare_exchange(
            by,
            caller.process(),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if claimed.is_err() {
            return self.prepare(caller, register);
        }
        // ORDERING: relaxed; only this thread compares the number with its own.
        self.preparer.store(caller.thread(), Ordering::Relaxed);
        register();
        // ORDERING: release, paired with the acquire above.
        self.preparing.store(PREPARED, Ordering::Release);
    }

    /// Takes the locks by `lock`, and notes that this thread has them.
    pub(super) fn before(&self, caller: &impl Caller, lock: impl FnOnce()) {
        lock();
        // ORDERING: relaxed; only this thread compares the number with its own.
        self.forker.store(caller.handle(), Ordering::Relaxed);
    }

    /// Gives the locks up by `unlock`, if this thread took them before the fork (FK2). True if it did.
    pub(super) fn after(&self, caller: &impl Caller, unlock: impl FnOnce()) -> bool {
        // This handler runs, so it is registered, even if the fork interrupted the registration.
        // ORDERING: release, paired with the acquire in `prepare`.
        self.preparing.store(PREPARED, Ordering::Release);
        // ORDERING: relaxed; the thread only compares the number with its own, which it stored itself.
        let is_mine = self.forker.load(Ordering::Relaxed) == caller.handle();
        if is_mine {
            // ORDERING: relaxed. It comes before the locks are given up, so it does not undo the store of a thread that
            // takes them next.
            self.forker.store(0, Ordering::Relaxed);
            unlock();
        }
        is_mine
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// A thread of a process, with the same number.
    struct Only(u32);

    impl Caller for Only {
        fn process(&self) -> u32 {
            self.0
        }
        fn thread(&self) -> u32 {
            self.0
        }
        fn handle(&self) -> usize {
            1
        }
        fn give_way(&self) {
            panic!("FK1: it waits for itself, or for a thread that is gone");
        }
    }

    fn forks(preparing: u32, preparer: u32) -> Forks {
        Forks::over(AtomicU32::new(preparing), AtomicU32::new(preparer), AtomicUsize::new(0))
    }

    fn prepares(forks: &Forks, caller: &Only) -> bool {
        let registered = Cell::new(false);
        forks.prepare(caller, || {
            // The registration allocates.
            forks.prepare(caller, || panic!("FK1: registered twice"));
            registered.set(true);
        });
        registered.get()
    }

    #[test]
    fn a_thread_registers_once_though_the_registration_comes_here_again() {
        let forks = forks(0, 0);
        assert!(prepares(&forks, &Only(7)) && !prepares(&forks, &Only(7)));
    }

    #[test]
    fn a_child_registers_what_its_parent_was_about_to() {
        // The child's only thread has not the number of the thread that was registering.
        assert!(prepares(&forks(7, 9), &Only(8)));
    }

    #[test]
    fn a_handler_that_runs_is_registered() {
        // The fork came in the middle of the registration, after the handlers were in place.
        let forks = forks(7, 9);
        assert!(!forks.after(&Only(8), || panic!("FK2: it took no lock")));
        assert!(!prepares(&forks, &Only(8)));
    }

    #[test]
    fn the_child_gives_up_the_locks_that_the_forking_thread_took() {
        let (forks, locks) = (forks(0, 0), Cell::new(0));
        forks.before(&Only(7), || locks.set(locks.get() + 1));
        assert!(forks.after(&Only(8), || locks.set(locks.get() - 1)) && locks.get() == 0);
        assert!(!forks.after(&Only(8), || panic!("FK2: given up twice")));
    }
}
