//! The background thread: it gives memory back while the program does nothing. It runs if the program asks for it.
//!
//! | state | event | becomes |
//! |---|---|---|
//! | `OFF` | the program asks | `WANTED` |
//! | `WANTED` | a second thread allocates, or has done so and the clock moves, or a large block is freed | `RUNS` |
//! | `WANTED`, `LOST` | such an event, but the system has no room for a thread | `OFF` |
//! | `RUNS` | a fork, in the child | `LOST` |
//! | `LOST` | the clock is seen to move | `RUNS` |
//! | `RUNS`, `WANTED`, `LOST` | the shared object with the thread's code is unloaded | `STOPPED` |
//!
//! The thread makes whole rounds of purging, without a bound on their cost. In between it sleeps for a quarter of
//! `purge_ms`. After a round that had nothing to do it sleeps for longer each time, up to [`LONGEST`]. While it runs,
//! other threads need not hurry.
//!
//! Never: takes a block, or runs a signal handler.

use super::Shared;
use super::purge::{idle_bytes, rest};
use crate::sys::atomic::{AtomicU32, AtomicUsize, Ordering};
use crate::sys::{futex, thread};
use core::ffi::c_void;
use core::ptr;

const OFF: u32 = 0;
const WANTED: u32 = 1;
const RUNS: u32 = 2;
const LOST: u32 = 3;
const STOPPED: u32 = 4;

/// Milliseconds of the longest sleep.
const LONGEST: u64 = 1000;

/// The state of the background thread.
pub(crate) struct Background {
    /// One of the states in the table. [shared]
    state: AtomicU32,
    /// The handle of the thread, while it runs. [shared]
    thread: AtomicUsize,
    /// Threads that have had a thread cache: 0, 1, or 2 for more. [shared]
    opened: AtomicU32,
}

impl Background {
    pub(super) const fn new() -> Self {
        Self { state: AtomicU32::new(OFF), thread: AtomicUsize::new(0), opened: AtomicU32::new(0) }
    }

    /// Notes that a thread has a thread cache now. Returns true if another had one before.
    pub(crate) fn note_opened(&self) -> bool {
        // ORDERING: relaxed; a count, which publishes nothing.
        let before = self.opened.load(Ordering::Relaxed);
        if before < 2 {
            // ORDERING: relaxed; a count, which publishes nothing. Of two threads that come at once it may miss one,
            // and then counts a third.
            self.opened.store(before + 1, Ordering::Relaxed);
        }
        before > 0
    }

    /// True if the thread runs.
    pub(super) fn runs(&self) -> bool {
        // ORDERING: relaxed; a thread that does not see the state yet hurries in vain.
        self.state.load(Ordering::Relaxed) == RUNS
    }

    fn changes(&self, from: u32, to: u32) -> bool {
        // ORDERING: relaxed; the state publishes nothing. The start of the thread orders what came before it, and its
        // join what comes after it.
        self.state.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Notes in a child, after a fork, that the thread is gone.
    pub(crate) fn lose(&self) {
        self.changes(RUNS, LOST);
    }
}

/// Asks for the thread. Returns false if the variant gives nothing back by itself.
pub(crate) fn ask<V: Shared>() -> bool {
    if V::PURGE_MS.is_none() {
        return false;
    }
    V::page_heap().background.changes(OFF, WANTED);
    true
}

/// Starts the thread if the program asked for it and it does not run. With no lock held: the start allocates.
pub(crate) fn start_if_wanted<V: Shared>() {
    start_from::<V>(WANTED);
}

/// Starts the thread when the clock is seen to move. It is due in a child whose parent had it, and where the program
/// asked for it after a second thread had come.
pub(super) fn start_if_due<V: Shared>() {
    start_from::<V>(LOST);
    // ORDERING: relaxed; a count, which publishes nothing.
    if V::page_heap().background.opened.load(Ordering::Relaxed) > 1 {
        start_from::<V>(WANTED);
    }
}

fn start_from<V: Shared>(state: u32) {
    let background = &V::page_heap().background;
    // ORDERING: relaxed; a look, which the compare-and-swap confirms.
    if background.state.load(Ordering::Relaxed) == state && background.changes(state, RUNS) {
        match thread::start(run::<V>) {
            // ORDERING: relaxed; the thread that reads it in `stop` comes after all others (UN1).
            Some(handle) => background.thread.store(handle, Ordering::Relaxed),
            // The system has no room for a thread, so the program's wish is dropped.
            None => {
                background.changes(RUNS, OFF);
            }
        }
    }
}

/// Ends the thread and waits for its end, before its code goes away.
pub(crate) fn stop<V: Shared>() {
    let background = &V::page_heap().background;
    background.changes(WANTED, STOPPED);
    background.changes(LOST, STOPPED);
    if background.changes(RUNS, STOPPED) {
        futex::wake_all(&background.state);
        // ORDERING: relaxed; no other thread runs code of the variant any more, so each start has stored its handle (UN1).
        thread::join(background.thread.load(Ordering::Relaxed));
    }
}

extern "C" fn run<V: Shared>(_: *mut c_void) -> *mut c_void {
    thread::set_name(c"hakmem");
    let state = &V::page_heap().background.state;
    let shortest = u64::from(V::PURGE_MS.unwrap_or(0)) / 4;
    let (mut pause, mut before) = (shortest, 0);
    // ORDERING: relaxed; the state publishes nothing.
    while state.load(Ordering::Relaxed) == RUNS {
        rest::<V>();
        let idle = idle_bytes::<V>();
        // Memory that cannot go back leaves the number as it is, so there is nothing to do either.
        pause = if idle == before { (2 * pause).min(LONGEST) } else { shortest };
        before = idle;
        futex::wait_for(state, RUNS, pause);
    }
    ptr::null_mut()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Apex;
    use crate::central::PageHeap;

    /// The child of a fork does not have the thread, so memory that waits there is worth a hurry.
    #[test]
    fn a_child_has_lost_the_thread() {
        let heap = PageHeap::new();
        let background = &heap.background;
        let waits = || {
            heap.note_pending();
            heap.pending.load(Ordering::Relaxed) != 0
        };
        assert!(background.changes(OFF, WANTED) && waits(), "the thread does not run yet");
        assert!(background.changes(WANTED, RUNS) && !waits(), "the thread purges");
        heap.after_fork();
        assert!(waits() && background.changes(LOST, RUNS));
    }

    /// No code of a library that is to go away may run in a thread that starts after its end.
    #[test]
    fn a_thread_that_was_asked_for_does_not_start_after_the_end() {
        assert!(ask::<Apex>());
        stop::<Apex>();
        start_if_wanted::<Apex>();
        let background = &Apex::page_heap().background;
        assert!(!background.runs());
        // Nor does one that the parent had.
        assert!(background.changes(STOPPED, LOST));
        stop::<Apex>();
        start_if_due::<Apex>();
        assert!(!background.runs());
    }

    #[test]
    fn a_second_thread_is_noticed() {
        let background = Background::new();
        assert_eq!([(); 4].map(|()| background.note_opened()), [false, true, true, true]);
    }
}
