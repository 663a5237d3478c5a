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

/// Bytes that are worth a hurry, and the part of all memory that they must be, too.
pub(super) const MUCH: (usize, usize) = (4 << 20, 8);
/// The same for going on with it.
const STILL_MUCH: (usize, usize) = (1 << 20, 128);

/// Much memory waits for its time to go back.
const PENDING: u32 = 1;
/// That was seen since the round of purging began.
const SEEN: u32 = 2;
/// All threads were told so.
const TOLD: u32 = 4;

impl PageHeap {
    /// Whether so much memory waits for its time to go back that threads should look at the clock more often
    /// than they would, though all that they do is served from their lists.
    #[inline]
    pub(crate) fn purge_pending<V: Shared>(&self) -> bool {
        // ORDERING: relaxed; it says how often to look, and publishes nothing.
        V::PURGE_MS.is_some() && self.pending.load(Ordering::Relaxed) & PENDING != 0
    }

    /// Whether nobody has told the other threads yet that much waits; who asks does so.
    pub(crate) fn is_news<V: Shared>(&self) -> bool {
        let told = |pending: u32| (pending & (PENDING | TOLD) == PENDING).then_some(pending | TOLD);
        // ORDERING: relaxed, as above; of several that ask at once one is told yes.
        V::COUNTED
            && told(self.pending.load(Ordering::Relaxed)).is_some()
            && self.pending.fetch_update(Ordering::Relaxed, Ordering::Relaxed, told).is_ok()
    }

    /// In a child, where no other thread is in the middle of telling or asking.
    pub(crate) fn after_fork(&self) {
        // ORDERING: relaxed; there is no other thread.
        self.pending.fetch_and(!TOLD, Ordering::Relaxed);
        self.asked.store(0, Ordering::Relaxed);
        self.background.lose();
    }

    /// Notes that nothing is to go back now, whatever waits.
    pub(super) fn note_kept(&self) {
        // ORDERING: relaxed, as above.
        self.pending.store(0, Ordering::Relaxed);
    }

    /// Notes that much waits, if it is for the program's threads to see to it.
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
        // ORDERING: relaxed, as above.
        if seen(self.pending.load(Ordering::Relaxed)).is_some() {
            let _ = self.pending.fetch_update(Ordering::Relaxed, Ordering::Relaxed, seen);
        }
    }

    /// Notes that a round of purging begins.
    pub(super) fn begin_round(&self) {
        // ORDERING: relaxed, as above.
        self.pending.fetch_and(!SEEN, Ordering::Relaxed);
    }

    /// Notes that a round has ended, which saw so many bytes wait in slabs; says whether much was seen since it began.
    /// Where it was not, much waits no more if so little is left, or the hurry has gone `on_and_on`. With the lock held.
    pub(super) fn end_round(&self, in_slabs: usize, on_and_on: bool) -> bool {
        let goes_on = !on_and_on && self.is_much(in_slabs, STILL_MUCH);
        let anew = |pending: u32| if goes_on { None } else { (pending & SEEN == 0).then_some(0) };
        // ORDERING: relaxed, as above; nothing changes where another thread has seen much since the round began.
        let was = self.pending.fetch_update(Ordering::Relaxed, Ordering::Relaxed, anew);
        was.unwrap_or_else(|was| was) & SEEN != 0
    }

    /// Whether what is free and has memory, and `more`, is much, in itself and as a part of all. With the lock held.
    pub(super) fn is_much(&self, more: usize, (bytes, part): (usize, usize)) -> bool {
        let kept = if self.tuning.keeps_mappings() { 0 } else { self.map_cache.bytes() };
        let free = self.dirty_slices.get() as usize * SLICE_BYTES + kept + more;
        let all = self.segments.get() as usize * SEGMENT_BYTES + kept;
        free >= bytes && free >= quotient(all, part) && free > self.tuning.idle_kept()
    }
}
