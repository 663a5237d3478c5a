//! The key of an exit hook: all threads get one key, whole, and each created key is deleted once.

use super::check;
use crate::key::KeyPlace;
use crate::sys::atomic::AtomicU32;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// The C library's data of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Uncreated,
    Created,
    Deleted,
}

struct Shared {
    place: KeyPlace,
    /// A key for each thread that may create one.
    keys: [UnsafeCell<Key>; 2],
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            place: KeyPlace::over(AtomicU32::new(0)),
            keys: std::array::from_fn(|_| UnsafeCell::new(Key::Uncreated)),
        })
    }

    fn change(&self, key: u32, from: Key, to: Key) {
        // SAFETY: under test; loom reports a second thread in here.
        let before =
            self.keys[key as usize].with_mut(|key| unsafe { std::mem::replace(&mut *key, to) });
        assert_eq!(before, from, "EK2: created or deleted twice");
    }

    /// A thread asks for the key; it creates the one of its number.
    fn get(&self, thread: u32) -> Option<u32> {
        let create = || {
            self.change(thread, Key::Uncreated, Key::Created);
            Some(thread)
        };
        self.place.get(create, |key| self.change(key, Key::Created, Key::Deleted))
    }

    /// A thread uses the key that it got.
    fn uses(&self, key: u32) {
        // SAFETY: as above.
        let data = self.keys[key as usize].with(|key| unsafe { *key });
        assert_eq!(data, Key::Created, "EK1: a key that is not there");
    }

    fn disarm(&self) {
        if let Some(key) = self.place.disarm() {
            self.change(key, Key::Created, Key::Deleted);
        }
    }
}

/// Two threads ask for the key at once, and use it; it is disarmed when both have ended.
pub fn all_threads_get_one_key() {
    check(|| {
        let shared = Shared::new();
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let key = shared.get(1).expect("it is armed");
                shared.uses(key);
                key
            })
        };
        let key = shared.get(0).expect("it is armed");
        shared.uses(key);
        assert_eq!(key, other.join().expect("it ends"), "EK1: two keys");
        shared.disarm();
        assert_eq!(shared.get(0), None, "a key after the end");
        for key in &shared.keys {
            // SAFETY: as above.
            assert_ne!(key.with(|key| unsafe { *key }), Key::Created, "EK2: a key is left");
        }
    });
}

/// A thread asks for the key while another ends its use.
pub fn a_key_that_comes_too_late_is_deleted() {
    check(|| {
        let shared = Shared::new();
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || _ = shared.get(0))
        };
        shared.disarm();
        other.join().expect("it ends");
        // SAFETY: as above.
        let data = shared.keys[0].with(|key| unsafe { *key });
        assert_ne!(data, Key::Created, "EK2: a key is left");
        shared.disarm();
    });
}
