//! The number of a pthread key that several threads may want to create at once.
//!
//! | number | event | becomes |
//! |---|---|---|
//! | none | a thread has created a key | that key |
//! | a key | another thread has created one, too | the first key; the thread deletes its own |
//! | none, a key | the hook is disarmed | *disarmed*, for good; the caller deletes the key |
//! | *disarmed* | a thread has created a key meanwhile | *disarmed*; the thread deletes its own |
//!
//! EK1  Every thread gets the same key, and sees what the C library wrote when it created that key.
//! EK2  A created key is deleted once: by its creator if it lost, or else by the thread that disarms.
//!
//! Never: calls the C library itself.

use crate::sys::atomic::{AtomicU32, Ordering};

/// The number once the hook is disarmed. No key has it: there are only some thousand.
const DISARMED: u32 = u32::MAX;

/// A place for the number of a key.
pub(crate) struct KeyPlace {
    /// The pthread key plus one; 0 before the first thread created one, and [`DISARMED`] at last. [shared]
    key: AtomicU32,
}

impl KeyPlace {
    /// A place in this word, which is 0. The model checker creates the word.
    pub(crate) const fn over(key: AtomicU32) -> Self {
        Self { key }
    }

    /// The key. The first thread that asks creates it; a thread that creates one too late deletes its own. `None` if the
    /// system has no room for a key, or once the hook is disarmed.
    pub(crate) fn get(
        &self,
        create: impl FnOnce() -> Option<u32>,
        delete: impl FnOnce(u32),
    ) -> Option<u32> {
        // ORDERING: acquire, paired with the release below: what the C library wrote when it created the key comes
        // before this thread's use of it (EK1).
        let known = self.key.load(Ordering::Acquire);
        match known {
            0 => {}
            DISARMED => return None,
            known => return Some(known - 1),
        }
        let fresh = create()?;
        // ORDERING: release on success, paired with the acquire on failure, the one above, and the one in `disarm`. The
        // C library wrote the key's data before any thread uses the key.
        match self.key.compare_exchange(0, fresh + 1, Ordering::Release, Ordering::Acquire) {
            Ok(_) => Some(fresh),
            Err(winner) => {
                delete(fresh);
                (winner != DISARMED).then(|| winner - 1)
            }
        }
    }

    /// Ends all use of the key. Returns the key that the caller is to delete, if there is one.
    pub(crate) fn disarm(&self) -> Option<u32> {
        // ORDERING: acquire, paired with the release in `get`: the creation of the key comes before its deletion. No
        // thread reads anything else that this one wrote, so there is no release.
        let known = self.key.swap(DISARMED, Ordering::Acquire);
        (known != 0 && known != DISARMED).then(|| known - 1)
    }
}
