//! The library's lock, and what it finds beside itself there.

pub(crate) mod atomic {
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::Ordering;
    type Sleepers = std::sync::Mutex<Vec<loom::thread::Thread>>;

    /// Enough to come by every line, the wait's too.
    pub(crate) const SPINS: u32 = 1;

    /// Loom's, with the kernel's queue of those that wait for this word.
    pub(crate) struct AtomicU32 {
        word: loom::sync::atomic::AtomicU32,
        queue: loom::sync::Mutex<()>,
        /// Those that sleep; touched with the queue locked.
        sleepers: Sleepers,
    }

    impl AtomicU32 {
        pub(crate) fn new(value: u32) -> Self {
            Self {
                word: loom::sync::atomic::AtomicU32::new(value),
                queue: loom::sync::Mutex::new(()),
                sleepers: Sleepers::default(),
            }
        }

        pub(crate) fn load(&self, order: Ordering) -> u32 {
            self.word.load(order)
        }

        pub(crate) fn store(&self, value: u32, order: Ordering) {
            self.word.store(value, order);
        }

        pub(crate) fn swap(&self, value: u32, order: Ordering) -> u32 {
            self.word.swap(value, order)
        }

        pub(crate) fn compare_exchange(
            &self,
            current: u32,
            new: u32,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u32, u32> {
            self.word.compare_exchange(current, new, success, failure)
        }

        /// Sleeps if the word is `value`, until another thread wakes this one: the look and the sleep are one step for
        /// whoever wakes.
        pub(crate) fn wait_while(&self, value: u32) {
            let queue = self.queue.lock().expect("no thread panics");
            // ORDERING: relaxed; whoever woke before this look did so with the queue locked, after its swap.
            let sleeps = self.word.load(Ordering::Relaxed) == value;
            if sleeps {
                self.sleepers.lock().expect("no thread panics").push(loom::thread::current());
            }
            drop(queue);
            // With nothing held: where a wake is lost, loom ends the run here.
            if sleeps {
                loom::thread::park();
            }
        }

        /// Wakes one of those that sleep.
        pub(crate) fn wake_one(&self) {
            let queue = self.queue.lock().expect("no thread panics");
            let first = self.sleepers.lock().expect("no thread panics").pop();
            drop(queue);
            if let Some(thread) = first {
                thread.unpark();
            }
        }
    }
}

/// The kernel's calls. Nobody wakes by himself: a wake that is lost is a deadlock, which loom reports.
mod futex {
    use super::atomic::AtomicU32;

    pub(super) fn wait(word: &AtomicU32, value: u32) {
        word.wait_while(value);
    }

    pub(super) fn wake_one(word: &AtomicU32) {
        word.wake_one();
    }
}

/// In a model, loom sees for itself what a lock fails to guard.
mod held {
    pub(super) struct Holder<const RANK: u8>;

    impl<const RANK: u8> Holder<RANK> {
        pub(super) const fn new() -> Self {
            Self
        }
        pub(super) fn check_order(&self, _: u8) {}
        pub(super) fn note_taken(&self) {}
        pub(super) fn note_given_up(&self) {}
        pub(super) fn check_held(&self) {}
    }
}

#[path = "../../src/sys/lock.rs"]
#[allow(dead_code, reason = "the models use some of it")]
pub(crate) mod lock;
