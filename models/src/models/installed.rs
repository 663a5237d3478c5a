//! What is installed once: one thread does it, and who learns of it sees what that thread wrote.

use super::check;
use crate::installed::Installed;
use crate::sys::atomic::AtomicU32;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

struct Shared {
    state: Installed,
    /// What the installing thread writes before, as the handler of a signal reads it.
    written: UnsafeCell<u32>,
}

impl Shared {
    fn new() -> Arc<Self> {
        let state = Installed::over(AtomicU32::new(0));
        Arc::new(Self { state, written: UnsafeCell::new(0) })
    }

    /// A thread installs, and uses what is installed then. False if it is not.
    fn install(&self, succeeds: bool) -> bool {
        let action = || {
            // SAFETY: under test; loom reports a second thread in here.
            self.written.with_mut(|written| unsafe { *written += 1 });
            succeeds
        };
        let is_done = self.state.install(action);
        assert!(!is_done || self.read() > 0, "IS2: nothing was written");
        is_done
    }

    fn read(&self) -> u32 {
        // SAFETY: under test; loom reports a thread that writes meanwhile.
        self.written.with(|written| unsafe { *written })
    }
}

/// Two threads install, and a third uses what is installed.
pub fn once_and_whole() {
    check(|| {
        let shared = Shared::new();
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.install(true))
        };
        let user = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                assert!(!shared.state.is_installed() || shared.read() == 1, "IS2: too early");
            })
        };
        let is_done = shared.install(true);
        assert!(other.join().expect("it ends") | is_done, "nobody installed");
        user.join().expect("it ends");
        assert!(shared.state.is_installed());
        assert_eq!(shared.read(), 1, "IS1: installed twice");
    });
}

/// A thread fails, and another one may be too early, or tries after it.
pub fn after_one_failed_another_tries() {
    check(|| {
        let shared = Shared::new();
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.install(false))
        };
        let is_done = shared.install(true);
        assert!(!other.join().expect("it ends") || is_done, "it failed");
        assert_eq!(shared.state.is_installed(), is_done);
        assert!(shared.install(true) && shared.read() >= 1);
    });
}
