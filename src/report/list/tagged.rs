//! A lock-free stack of numbered things, with a tag against ABA (Treiber's stack; IBM's tag).
//!
//! ```text
//! 63         32 31           0
//! ┌────────────┬──────────────┐
//! │    tag     │ top, 0 none  │      things are numbered from 1
//! └────────────┴──────────────┘
//! ```
//!
//! T1  A thing is in the stack at most once: only a thread that holds it alone pushes it.
//! T2  A pop that succeeds read a link that was current: the tag has not changed since, so nothing
//!     was pushed or popped. (Without the tag, the top can be popped, change its link and come
//!     back in between, and the pop would install a link that is stale: two threads would get one
//!     slab. `models/` shows both.) The tag wraps after 2^32 operations during one pop.
//!
//! The links belong to the things; the caller finds them. They are atomic, since a pop may read the
//! link of a thing that another thread has popped and is using.
//!
//! Never: waits, or runs out of room.

use crate::sys::atomic::{AtomicU64, Ordering};

const TAG_SHIFT: u32 = 32;
const TOP: u64 = (1 << TAG_SHIFT) - 1;

/// A lock-free stack of numbered things. `TAG_STEP` is 1; the model checker sets it to 0 to remove the guard.
pub(crate) struct TaggedStack<const TAG_STEP: u64 = 1> {
    head: AtomicU64,
}

impl<const TAG_STEP: u64> TaggedStack<TAG_STEP> {
    /// A stack with this head; 0 is the empty one.
    pub(crate) const fn over(head: AtomicU64) -> Self {
        Self { head }
    }

    /// Puts a thing on top; `set_link(next)` stores its link (0 for none), perhaps more than once.
    pub(crate) fn push(&self, thing: u32, set_link: impl Fn(u32)) {
        debug_assert_ne!(thing, 0, "things are numbered from 1");
        // ORDERING: relaxed; only the compare-and-swap below acts on what is read.
        let mut seen = self.head.load(Ordering::Relaxed);
        loop {
            set_link((seen & TOP) as u32);
            let next = Self::retagged(seen) | u64::from(thing);
            // ORDERING: release, paired with the acquire in `pop`: what the pusher did to the
            // thing comes before what the popper does.
            match self.head.compare_exchange_weak(seen, next, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// Removes the top thing, which the caller then holds alone. `link_of(thing)` reads a thing's link.
    pub(crate) fn pop(&self, link_of: impl Fn(u32) -> u32) -> Option<u32> {
        // ORDERING: acquire, paired with the release in `push`: the link that is read next was
        // stored before the thing became the top.
        let mut seen = self.head.load(Ordering::Acquire);
        loop {
            let top = (seen & TOP) as u32;
            if top == 0 {
                return None;
            }
            let next = Self::retagged(seen) | u64::from(link_of(top));
            // ORDERING: relaxed on success: the tag shows that the word is the one that was read by an acquire (T2).
            // Acquire on failure, paired with the release in `push`, for the next link. A pop is a read-modify-write,
            // so it continues the release sequences of the pushes below it.
            match self.head.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Acquire)
            {
                Ok(_) => return Some(top),
                Err(now) => seen = now,
            }
        }
    }

    /// The next tag, with nothing on top.
    fn retagged(word: u64) -> u64 {
        (word >> TAG_SHIFT).wrapping_add(TAG_STEP) << TAG_SHIFT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn last_in_first_out() {
        let links = [const { Cell::new(0) }; 4];
        let stack: TaggedStack = TaggedStack::over(AtomicU64::new(0));
        for thing in 1..=3 {
            stack.push(thing, |next| links[thing as usize].set(next));
        }
        let pop = || stack.pop(|thing| links[thing as usize].get());
        assert_eq!([pop(), pop(), pop(), pop()], [Some(3), Some(2), Some(1), None]);
    }

    #[test]
    fn the_tag_wraps() {
        let stack: TaggedStack = TaggedStack::over(AtomicU64::new(u64::from(u32::MAX) << 32));
        stack.push(1, |_| {});
        assert_eq!(stack.pop(|_| 0), Some(1));
        assert_eq!(stack.pop(|_| 0), None);
    }
}
