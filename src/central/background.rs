//! A thread that gives memory back while the program does nothing: for programs that ask for one.
//!
//! | state | event | becomes |
//! |---|---|---|
//! | `OFF` | the program asks | `WANTED` |
//! | `WANTED` | a second thread allocates, or has done so and the clock moves, or a large block is freed | `RUNS` |
//! | `WANTED`, `LOST` | the same, and the system has no room for a thread | `OFF` |
//! | `RUNS` | a fork, in the child | `LOST` |
//! | `LOST` | the clock is seen to move | `RUNS` |
//! | `RUNS` | the object that it is part of is unloaded | `STOPPED` |
//!
//! It does what slow paths do: a round each time, without a bound on what that costs. In between it sleeps for a quarter of
//! `purge_ms`, or, where there was nothing to do, for longer each time, up to [`LONGEST`]. While it runs, other threads need
//! not hurry.
//!
//! Never: takes a block, or runs a handler of a signal.

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

/// Milliseconds of its longest sleep.
const LONGEST: u64 = 1000;

/// See the module.
pub(crate) struct Background {
    /// As in the table. [shared]
    state: AtomicU32,
    /// The thread's handle, while it runs. [shared]
    thread: AtomicUsize,
    /// Threads that have had lists: 0, 1, or 2 for more. [shared]
    opened: AtomicU32,
}

impl Background {
    pub(super) const fn new() -> Self {
        Self { state: AtomicU32::new(OFF), thread: AtomicUsize::new(0), opened: AtomicU32::new(0) }
    }

    /// Notes that a thread has lists now; whether another had some before.
    pub(crate) fn note_opened(&self) -> bool {
        // ORDERING: relaxed; it counts, and publishes nothing.
        let before = self.opened.load(Ordering::Relaxed);
        if before < 2 {
            // ORDERING: relaxed, as above; of two that come at once, one may not be counted, and a third is.
            self.opened.store(before + 1, Ordering::Relaxed);
        }
        before > 0
    }

    /// Whether the thread runs.
    pub(super) fn runs(&self) -> bool {
        // ORDERING: relaxed; who does not see it yet hurries in vain.
        self.state.load(Ordering::Relaxed) == RUNS
    }

    fn changes(&self, from: u32, to: u32) -> bool {
        // ORDERING: acquire and release, paired with each other: what a state's thread has done comes before what the
        // next state's does.
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// In a child, where no other thread is.
    pub(crate) fn lose(&self) {
        self.changes(RUNS, LOST);
    }
}

/// Asks for the thread. False where the variant gives nothing back by itself.
pub(crate) fn ask<V: Shared>() -> bool {
    if V::PURGE_MS.is_none() {
        return false;
    }
    V::page_heap().background.changes(OFF, WANTED);
    true
}

/// Starts the thread, if it is asked for and does not run. With no lock held: this allocates.
pub(crate) fn start_if_wanted<V: Shared>() {
    start_from::<V>(WANTED);
}

/// The same where the clock is seen to move: in the child of a process in which it ran, and where the wish came after
/// what it waits for.
pub(super) fn start_if_due<V: Shared>() {
    start_from::<V>(LOST);
    // ORDERING: relaxed, as in `note_opened`.
    if V::page_heap().background.opened.load(Ordering::Relaxed) > 1 {
        start_from::<V>(WANTED);
    }
}

fn start_from<V: Shared>(state: u32) {
    let background = &V::page_heap().background;
    // ORDERING: relaxed; a look, confirmed by the compare-and-swap.
    if background.state.load(Ordering::Relaxed) == state && background.changes(state, RUNS) {
        match thread::start(run::<V>) {
            // ORDERING: release, paired with the acquire in `stop`.
            Some(handle) => background.thread.store(handle, Ordering::Release),
            // The system has no room: as if nobody had asked.
            None => {
                background.changes(RUNS, OFF);
            }
        }
    }
}

/// Ends the thread, and waits until it has: before its code goes away.
pub(crate) fn stop<V: Shared>() {
    let background = &V::page_heap().background;
    background.changes(WANTED, STOPPED);
    if background.changes(RUNS, STOPPED) {
        futex::wake_all(&background.state);
        // ORDERING: acquire, paired with the release in `start_from`.
        thread::join(background.thread.load(Ordering::Acquire));
    }
}

extern "C" fn run<V: Shared>(_: *mut c_void) -> *mut c_void {
    thread::set_name(c"hakmem");
    let state = &V::page_heap().background.state;
    let shortest = u64::from(V::PURGE_MS.unwrap_or(0)) / 4;
    let (mut pause, mut before) = (shortest, 0);
    // ORDERING: acquire, paired with the release in `changes`.
    while state.load(Ordering::Acquire) == RUNS {
        rest::<V>();
        let idle = idle_bytes::<V>();
        // What cannot go back stays as much as it is: that is nothing to do, either.
        pause = if idle == before { (2 * pause).min(LONGEST) } else { shortest };
        before = idle;
        futex::wait_for(state, RUNS, pause);
    }
    ptr::null_mut()
}
