//! The lock: one thread at a time is inside, and it sees what the one before did there.

use super::{check, finds_a_fault};
use crate::locking::atomic::{AtomicU32, Ordering};
use crate::locking::lock::Lock;
use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;

struct Counted {
    lock: Lock<1>,
    /// For the lock without its guard: 1 is held.
    plain: AtomicU32,
    count: UnsafeCell<u32>,
}

impl Counted {
    fn add(&self) {
        // SAFETY: under test; loom reports a second thread in here.
        self.count.with_mut(|count| unsafe { *count += 1 });
    }
}

/// So many threads, each with one `turn`, which counts one; none may be lost.
fn contend(threads: u32, turn: fn(&Counted)) {
    // Not loom's: its drop is no use where a run ends in a deadlock.
    #[allow(clippy::arc_with_non_send_sync, reason = "loom runs its threads one at a time")]
    let counted = Arc::new(Counted {
        lock: Lock::over(AtomicU32::new(0)),
        plain: AtomicU32::new(0),
        count: UnsafeCell::new(0),
    });
    let others: Vec<_> = (1..threads)
        .map(|_| {
            let counted = Arc::clone(&counted);
            thread::spawn(move || turn(&counted))
        })
        .collect();
    turn(&counted);
    others.into_iter().for_each(|thread| thread.join().expect("it ends"));
    // SAFETY: the other threads have ended.
    let count = counted.count.with(|count| unsafe { *count });
    assert_eq!(count, threads, "a turn is lost");
}

/// See the name.
pub fn two_threads_take_turns() {
    check(|| contend(2, |counted| counted.lock.with(|| counted.add())));
}

/// See the name.
pub fn three_threads_take_turns() {
    check(|| contend(3, |counted| counted.lock.with(|| counted.add())));
}

/// The guard is that giving up and looking who waits is one operation.
pub fn looking_before_giving_up_forgets_a_waiter() {
    assert!(finds_a_fault(|| {
        contend(2, |counted| {
            // ORDERING: acquire, here and in the loop, paired with the release below: the lock's own way in.
            let order = Ordering::Acquire;
            if counted.plain.compare_exchange(0, 1, order, Ordering::Relaxed).is_err() {
                while counted.plain.swap(2, order) != 0 {
                    counted.plain.wait_while(2);
                }
            }
            counted.add();
            // ORDERING: relaxed; the look.
            let awaited = counted.plain.load(Ordering::Relaxed) == 2;
            // ORDERING: release, paired with the acquire above.
            counted.plain.store(0, Ordering::Release);
            if awaited {
                counted.plain.wake_one();
            }
        });
    }));
}

/// The guard is that looking and taking is one operation.
pub fn looking_first_and_storing_lets_two_in() {
    assert!(finds_a_fault(|| {
        contend(2, |counted| {
            // ORDERING: acquire, paired with the release below, as in the lock.
            while counted.plain.load(Ordering::Acquire) != 0 {
                thread::yield_now();
            }
            // ORDERING: relaxed, as the lock's own when it takes the word.
            counted.plain.store(1, Ordering::Relaxed);
            counted.add();
            // ORDERING: release, paired with the acquire above.
            counted.plain.store(0, Ordering::Release);
        });
    }));
}
