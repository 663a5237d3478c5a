//! Forks: the handlers are registered before a thread goes on, and a fork finds no lock held by another thread.

use super::check;
use crate::forks::{Caller, Forks};
use crate::locking::atomic::AtomicU32 as Word;
use crate::locking::lock::Lock;
use crate::sys::atomic::{AtomicU32, AtomicUsize};
use loom::cell::UnsafeCell;
use loom::sync::Mutex;
use loom::thread;
use std::sync::Arc;

/// A thread of the one process.
struct Thread(u32);

impl Caller for Thread {
    fn process(&self) -> u32 {
        9
    }
    fn thread(&self) -> u32 {
        self.0
    }
    fn handle(&self) -> usize {
        self.0 as usize
    }
    fn give_way(&self) {
        thread::yield_now();
    }
}

struct Process {
    forks: Forks,
    /// The C library's list of handlers, behind its lock.
    registered: Mutex<bool>,
    /// What a registration writes, to be seen by all that go on.
    handlers: UnsafeCell<u32>,
    /// Two locks, in their order, and what each guards. A change begins in one and ends in the other.
    locks: [Lock<1>; 2],
    guarded: [UnsafeCell<u32>; 2],
}

impl Process {
    // Not loom's: its drop is no use where a run ends in a deadlock.
    #[allow(clippy::arc_with_non_send_sync, reason = "loom runs its threads one at a time")]
    fn new() -> Arc<Self> {
        Arc::new(Self {
            forks: Forks::over(AtomicU32::new(0), AtomicU32::new(0), AtomicUsize::new(0)),
            registered: Mutex::new(false),
            handlers: UnsafeCell::new(0),
            locks: std::array::from_fn(|_| Lock::over(Word::new(0))),
            guarded: std::array::from_fn(|_| UnsafeCell::new(0)),
        })
    }

    fn prepare(&self, thread: u32) {
        self.forks.prepare(&Thread(thread), || {
            // The registration allocates, and comes here again.
            self.forks.prepare(&Thread(thread), || panic!("FK1: registered twice"));
            let mut registered = self.registered.lock().expect("no thread panics");
            // SAFETY: under test; loom reports a second thread in here.
            self.handlers.with_mut(|handlers| unsafe { *handlers += 1 });
            *registered = true;
        });
    }

    /// How many registrations the thread sees, which is past `prepare`.
    fn handlers(&self) -> u32 {
        // SAFETY: as above.
        self.handlers.with(|handlers| unsafe { *handlers })
    }

    /// A change that takes both locks, one inside the other.
    fn change(&self) {
        self.locks[0].with(|| {
            self.add(0);
            self.locks[1].with(|| self.add(1));
        });
    }

    fn add(&self, place: usize) {
        // SAFETY: as above.
        self.guarded[place].with_mut(|number| unsafe { *number += 1 });
    }

    /// Forks; returns what the child finds behind the locks. The child's copy is made by the forking thread.
    fn fork(&self, thread: u32) -> [u32; 2] {
        self.forks.before(&Thread(thread), || self.locks.iter().for_each(Lock::lock));
        // SAFETY: as above.
        let copy = self.guarded.each_ref().map(|number| number.with(|number| unsafe { *number }));
        assert!(self.after(thread), "FK2: the locks stay taken");
        copy
    }

    /// The handler after a fork.
    fn after(&self, thread: u32) -> bool {
        self.forks.after(&Thread(thread), || self.locks.iter().rev().for_each(Lock::unlock))
    }

    fn spawn(process: &Arc<Self>, turn: impl FnOnce(&Self) + 'static) -> thread::JoinHandle<()> {
        let process = Arc::clone(process);
        thread::spawn(move || turn(&process))
    }
}

/// Two threads come at once; each goes on only when the handlers are there.
pub fn no_thread_goes_on_without_handlers() {
    check(|| {
        let process = Process::new();
        let turn = |process: &Process, thread| {
            process.prepare(thread);
            assert_eq!(process.handlers(), 1, "FK1: not registered once");
        };
        let other = Process::spawn(&process, move |process| turn(process, 2));
        turn(&process, 1);
        other.join().expect("it ends");
    });
}

/// A thread registers; another one forks, and its handler runs before the first has said so; a third goes on.
pub fn a_handler_that_runs_says_that_it_is_registered() {
    check(|| {
        let process = Process::new();
        let registers = Process::spawn(&process, |process| process.prepare(1));
        let forks = Process::spawn(&process, |process| {
            let registered = process.registered.lock().expect("no thread panics");
            if *registered {
                assert!(!process.after(2), "FK2: it took no lock");
            }
        });
        process.prepare(3);
        assert_eq!(process.handlers(), 1, "FK1: not registered once");
        registers.join().expect("it ends");
        forks.join().expect("it ends");
    });
}

/// A thread forks while another one changes what the locks guard: the child finds it whole.
pub fn a_fork_comes_between_changes() {
    check(|| {
        let process = Process::new();
        let changes = Process::spawn(&process, Process::change);
        let [first, second] = process.fork(1);
        assert_eq!(first, second, "the child has half a change");
        changes.join().expect("it ends");
    });
}

/// Two threads fork at once: each takes the locks, and gives up its own.
pub fn two_forks_take_turns() {
    check(|| {
        let process = Process::new();
        let forks = Process::spawn(&process, |process| _ = process.fork(2));
        process.fork(1);
        process.change();
        forks.join().expect("it ends");
    });
}

/// A thread's handler runs after a fork that began before the handlers were there, while another thread forks.
pub fn who_took_no_lock_gives_none_up() {
    check(|| {
        let process = Process::new();
        let after =
            Process::spawn(&process, |process| assert!(!process.after(2), "FK2: not its locks"));
        let changes = Process::spawn(&process, Process::change);
        process.fork(1);
        after.join().expect("it ends");
        changes.join().expect("it ends");
    });
}
