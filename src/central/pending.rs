//! The flags that say that much memory waits to be purged. While they do, threads look at the clock more often.
//!
//! | flags | event | become |
//! |---|---|---|
//! | none, or [`SEEN`] | much memory is seen to wait | [`PENDING`] and [`SEEN`] |
//! | [`PENDING`] | much memory is seen to wait | [`SEEN`], too |
//! | [`PENDING`] | a thread asks whether this is news, and tells the others | [`TOLD`], too |
//! | any | a round of purging begins | all but [`SEEN`] |
//! | all but [`SEEN`] | a round ends, and little is left, or rounds have hurried for long enough | none |
//! | any | nothing is to go back now | none |
//!
//! Never: takes a lock.

use super::{PageHeap, Shared};
use crate::base::{SEGMENT_BYTES, SLICE_BYTES, quotient};
use crate::sys::atomic::Ordering;

/// Much memory: at least so many bytes, and at least one part in so many of all memory.
pub(super) const MUCH: (usize, usize) = (4 << 20, 8);
/// Much memory still, for a hurry that goes on.
const STILL_MUCH: (usize, usize) = (1 << 20, 128);

/// Much memory waits to be purged.
const PENDING: u32 = 1;
/// A thread has seen so since the last round of purging began.
const SEEN: u32 = 2;
/// A thread has told all others so.
const TOLD: u32 = 4;

impl PageHeap {
    /// True if so much memory waits that threads should look at the clock more often. Otherwise a thread that its own
    /// lists serve would look at no clock.
    #[inline]
    pub(crate) fn purge_pending<V: Shared>(&self) -> bool {
        // ORDERING: relaxed; it decides how often to look, and publishes nothing.
        V::PURGE_MS.is_some() && self.pending.load(Ordering::Relaxed) & PENDING != 0
    }

    /// True if much memory waits and no thread has told the others. The caller then tells them.
    pub(crate) fn is_news<V: Shared>(&self) -> bool {
        V::COUNTED && self.tells()
    }

    #[inline]
    fn tells(&self) -> bool {
        let told = |pending: u32| (pending & (PENDING | TOLD) == PENDING).then_some(pending | TOLD);
        // ORDERING: relaxed; the flags publish nothing. Of several threads that ask at once, one gets true.
        told(self.pending.load(Ordering::Relaxed)).is_some()
            && self.pending.fetch_update(Ordering::Relaxed, Ordering::Relaxed, told).is_ok()
    }

    /// Resets what the parent's other threads had begun, in a child after a fork.
    pub(crate) fn after_fork(&self) {
        // ORDERING: relaxed; there is no other thread.
        self.pending.fetch_and(!TOLD, Ordering::Relaxed);
        self.asked.store(0, Ordering::Relaxed);
        self.huge_pages.forget();
        self.limit.forget();
        self.background.lose();
    }

    /// Notes that nothing is to go back now, even if much waits.
    pub(super) fn note_kept(&self) {
        // ORDERING: relaxed; the flags publish nothing.
        self.pending.store(0, Ordering::Relaxed);
    }

    /// Notes that much memory waits, unless the background thread purges it.
    pub(super) fn note_pending(&self) {
        if self.background.runs() {
            return self.note_kept();
        }
        if self.tuning.idle_kept() == usize::MAX {
            return;
        }
        let seen = |pending: u32| match pending & (PENDING | SEEN) {
            0 | SEEN => Some(PENDING | SEEN),
            PENDING => Some(pending | SEEN),
            _ => None,
        };
        // ORDERING: relaxed; the flags publish nothing.
        if seen(self.pending.load(Ordering::Relaxed)).is_some() {
            let _ = self.pending.fetch_update(Ordering::Relaxed, Ordering::Relaxed, seen);
        }
    }

    /// Notes that a round of purging begins.
    pub(super) fn begin_round(&self) {
        // ORDERING: relaxed; the flags publish nothing.
        self.pending.fetch_and(!SEEN, Ordering::Relaxed);
    }

    /// Notes that a round has ended, after which `more` bytes wait: in slabs, and in freed blocks between fences. Returns
    /// true if a thread saw much memory wait since the round began. If no thread did, the flags go out when little is left,
    /// or when the hurry has gone `on_and_on`. With the lock held.
    pub(super) fn end_round(&self, more: usize, on_and_on: bool) -> bool {
        self.lock.check_held();
        let goes_on = !on_and_on && self.is_much(more, STILL_MUCH);
        let anew = |pending: u32| if goes_on { None } else { (pending & SEEN == 0).then_some(0) };
        // ORDERING: relaxed; the flags publish nothing. Where another thread has set `SEEN` since the round began,
        // nothing changes.
        let was = self.pending.fetch_update(Ordering::Relaxed, Ordering::Relaxed, anew);
        was.unwrap_or_else(|was| was) & SEEN != 0
    }

    /// True if the dirty slices, the map cache and `more` are much memory, in bytes and as a part of all. With the lock
    /// held.
    pub(super) fn is_much(&self, more: usize, (bytes, part): (usize, usize)) -> bool {
        self.lock.check_held();
        let kept = if self.tuning.keeps_mappings() { 0 } else { self.map_cache.bytes() };
        let free = self.dirty_slices.get() as usize * SLICE_BYTES + kept + more;
        let all = self.segments.get() as usize * SEGMENT_BYTES + kept;
        free >= bytes && free >= quotient(all, part) && free > self.tuning.idle_kept()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(heap: &PageHeap) -> u32 {
        heap.pending.load(Ordering::Relaxed)
    }

    /// Ends a round after which little is left.
    fn end_round(heap: &PageHeap) -> bool {
        heap.lock.with(|| heap.end_round(0, false))
    }

    #[test]
    fn the_flags_change_as_the_table_says() {
        let heap = PageHeap::new();
        assert!(!heap.tells(), "no news");
        heap.note_pending();
        assert_eq!(flags(&heap), PENDING | SEEN);
        assert!(heap.tells());
        assert!(!heap.tells(), "one thread tells the others");
        assert_eq!(flags(&heap), PENDING | SEEN | TOLD);
        heap.begin_round();
        assert_eq!(flags(&heap), PENDING | TOLD);
        // A thread sees much memory wait while the round goes on, so the next round hurries, too.
        heap.note_pending();
        assert!(end_round(&heap));
        assert_eq!(flags(&heap), PENDING | SEEN | TOLD);
        heap.begin_round();
        assert!(!end_round(&heap));
        assert_eq!(flags(&heap), 0);
        heap.note_pending();
        heap.note_kept();
        assert_eq!(flags(&heap), 0);
    }

    #[test]
    fn a_child_forgets_what_other_threads_had_begun() {
        let heap = PageHeap::new();
        heap.note_pending();
        assert!(heap.tells());
        heap.asked.store(1, Ordering::Relaxed);
        heap.lock.with(|| heap.limit.leave(SLICE_BYTES));
        heap.after_fork();
        // The child's threads are told anew, look at the clock again, and have all of the limit.
        assert_eq!(flags(&heap), PENDING | SEEN);
        assert_eq!(heap.asked.load(Ordering::Relaxed), 0);
        assert_eq!(heap.lock.with(|| heap.counted()), 0);
    }
}
