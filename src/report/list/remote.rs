//! The list of blocks that other threads freed into a slab, and the slab's owner, in one word.
//!
//! ```text
//! 63            32 31         16 15          0
//! ┌───────────────┬─────────────┬────────────┐
//! │ owner, 0 none │    count    │ head + 1   │     head: index of a block in its slot
//! └───────────────┴─────────────┴────────────┘
//! ```
//!
//! Any thread pushes; only the owner takes, and it takes all, so no block can come back to `head`
//! while a push is under way and be mistaken for what it was (no ABA: a push that finds the same
//! head links to the same block, whatever happened in between).
//!
//! R1  Each push is taken exactly once: by the owner at that time, or by a later one.
//! R2  An owner gives the slab up only when the list is empty, which the same compare-and-swap
//!     checks; so no block stays behind unseen by an owner that has gone.
//!
//! The links live in the blocks; the caller writes and reads them. Never: waits.

use crate::sys::atomic::{AtomicU64, Ordering};

const COUNT_SHIFT: u32 = 16;
const OWNER_SHIFT: u32 = 32;
const FIELD: u64 = 0xFFFF;
const LIST: u64 = (1 << OWNER_SHIFT) - 1;

/// The owner of a slab that has none.
pub(crate) const NO_OWNER: u32 = 0;

/// The remote list of a slab, with the slab's owner. All bytes are zero if there is no owner and no block.
pub(crate) struct RemoteList {
    word: AtomicU64,
}

/// The state that a push found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pushed {
    /// The slab's owner at that moment.
    pub(crate) owner: u32,
    /// True if the list was empty, so that the owner has not been told yet.
    pub(crate) first: bool,
}

/// A chain of blocks that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Index of the first block.
    pub(crate) head: Option<u16>,
    /// Blocks in the chain.
    pub(crate) count: u32,
}

impl RemoteList {
    /// A list in the state that `word` describes; 0 is: no owner, no blocks.
    #[cfg_attr(not(test), allow(dead_code, reason = "fresh pages are lists already"))]
    pub(crate) const fn over(word: AtomicU64) -> Self {
        Self { word }
    }

    /// The owner. Only an answer of "me" stays true: no other thread can change it.
    #[inline(always)]
    pub(crate) fn owner(&self) -> u32 {
        // ORDERING: relaxed; a thread that reads its own id wrote it itself, and one that reads
        // another id goes on to `push`, which synchronises with the thread that put it there.
        (self.word.load(Ordering::Relaxed) >> OWNER_SHIFT) as u32
    }

    /// Blocks waiting to be taken; a snapshot.
    pub(crate) fn count(&self) -> u32 {
        // ORDERING: relaxed; a hint, confirmed by `take`.
        ((self.word.load(Ordering::Relaxed) >> COUNT_SHIFT) & FIELD) as u32
    }

    /// Adds a block, from any thread. `link(next)` writes the block's link, perhaps more than once; the last write
    /// counts.
    pub(crate) fn push(&self, block: u16, mut link: impl FnMut(Option<u16>)) -> Pushed {
        // ORDERING: relaxed; only the compare-and-swap below acts on what is read.
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            link(((seen & FIELD) as u16).checked_sub(1));
            let next = (seen & !FIELD) + (1 << COUNT_SHIFT) + u64::from(block) + 1;
            // ORDERING: release, paired with the acquire in `take` and `adopt`: the link, and
            // whatever the freeing thread did to the block, come before its reuse. Acquire, paired
            // with the release in `adopt`: the owner's heap can be found by the id that was read.
            match self.word.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    return Pushed { owner: (seen >> OWNER_SHIFT) as u32, first: seen & LIST == 0 };
                }
                Err(now) => seen = now,
            }
        }
    }

    /// Removes every block. Only the owner may call it.
    pub(crate) fn take(&self) -> Taken {
        // ORDERING: acquire, paired with the release in each `push` of the chain: each later push
        // is a read-modify-write, hence in the release sequence of the ones before it.
        let seen = self.word.fetch_and(!LIST, Ordering::Acquire);
        Taken {
            head: ((seen & FIELD) as u16).checked_sub(1),
            count: ((seen >> COUNT_SHIFT) & FIELD) as u32,
        }
    }

    /// Gives the slab up; false, and nothing changed, if blocks are waiting (R2).
    pub(crate) fn abandon(&self, owner: u32) -> bool {
        let mine = u64::from(owner) << OWNER_SHIFT;
        // ORDERING: release, paired with the acquire in `adopt`: what the old owner did to the
        // slab's own fields comes before what the next one does.
        self.word.compare_exchange(mine, 0, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// Makes the caller the owner of a slab without an owner, and keeps the waiting blocks. False if the slab has an
    /// owner.
    pub(crate) fn adopt(&self, owner: u32) -> bool {
        // ORDERING: relaxed; confirmed by the compare-and-swap below.
        let mut seen = self.word.load(Ordering::Relaxed);
        while seen >> OWNER_SHIFT == u64::from(NO_OWNER) {
            let mine = seen | u64::from(owner) << OWNER_SHIFT;
            // ORDERING: acquire, paired with the release in `abandon`, whose release sequence the
            // pushes since then continue.
            // Release, paired with the acquire in `push`: the owner's heap can be found by its id.
            match self.word.compare_exchange_weak(seen, mine, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Names the owner of a slab of which no block is in use, so that no thread can push.
    pub(crate) fn assign(&self, owner: u32) {
        // ORDERING: relaxed; the slab is the caller's alone, and changes hands through the pool's
        // lists or masks, which synchronise. A thread that pushes later holds a block of it, and so
        // comes after this store and after the owner's heap was made.
        self.word.store(u64::from(owner) << OWNER_SHIFT, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_out_newest_first_and_once() {
        let list = RemoteList::over(AtomicU64::new(0));
        list.assign(7);
        let mut links = [None; 3];
        assert_eq!(list.push(0, |next| links[0] = next), Pushed { owner: 7, first: true });
        assert_eq!(list.push(2, |next| links[2] = next), Pushed { owner: 7, first: false });
        assert_eq!(links, [None, None, Some(0)]);
        assert_eq!(list.count(), 2);
        assert_eq!(list.take(), Taken { head: Some(2), count: 2 });
        assert_eq!(list.take(), Taken { head: None, count: 0 });
        assert_eq!(list.owner(), 7);
    }

    #[test]
    fn an_owner_leaves_only_an_empty_list() {
        let list = RemoteList::over(AtomicU64::new(0));
        list.assign(7);
        list.push(8191, |_| {});
        assert!(!list.abandon(7));
        assert_eq!(list.take().head, Some(8191));
        assert!(list.abandon(7));
        assert_eq!(list.push(5, |_| {}).owner, NO_OWNER);
        assert!(list.adopt(9) && !list.adopt(10));
        assert_eq!(list.take(), Taken { head: Some(5), count: 1 });
    }
}
