//! The map cache and the kernel: addresses come from it, and memory goes back to it.
//!
//! | event | effect |
//! |---|---|
//! | no extent has room for a block | the kernel maps addresses, more than the block needs |
//! | a block is freed | its pages stay, and the oldest dirty bytes above the allowance go back |
//! | a round of purging | the bytes go back that no block needed for a while |
//! | many addresses are clean | the largest clean extents are unmapped |
//!
//! Never: makes a system call with the lock of the page heap held.

use super::PageHeap;
use super::map_cache::Range;
use super::ranges::State;
use crate::base::{PAGE_BYTES, SEGMENT_BYTES, round_up};
use crate::sys::pages;
use core::ptr::NonNull;

/// Bytes that the kernel is asked for at a time, at least and at most: an eighth of what huge blocks have.
const STEP_LEAST: usize = 32 << 20;
const STEP_MOST: usize = 64 << 20;
impl PageHeap {
    /// Maps addresses for a block of `bytes` at a multiple of `align`, and more. Returns their start and
    /// their number. `None` if the kernel refuses.
    pub(super) fn reserve(&self, bytes: usize, align: usize) -> Option<(usize, usize)> {
        let least = bytes.checked_add(align.saturating_sub(PAGE_BYTES))?;
        let live = self.lock.with(|| self.map_cache.live());
        let step = (live / 8).clamp(STEP_LEAST, STEP_MOST).max(least);
        let rounded = (step <= usize::MAX / 2).then(|| round_up(step, SEGMENT_BYTES));
        let more = rounded.and_then(|step| Some((pages::map(step)?, step)));
        let (start, bytes) = more
            .filter(|&(start, bytes)| self.is_lazy(start, bytes))
            .or_else(|| Some((pages::map(least)?, least)))?;
        Some((start.expose_provenance().get(), bytes))
    }

    /// True if pages that were just mapped have no memory yet. Otherwise the program locks all its memory, and the pages
    /// are unmapped.
    fn is_lazy(&self, start: NonNull<u8>, bytes: usize) -> bool {
        // SAFETY: just mapped, and no other thread knows of it.
        if unsafe { pages::purge(start, PAGE_BYTES) } {
            return true;
        }
        self.lock.with(|| self.map_cache.note_locked());
        // SAFETY: just mapped, and no other thread knows of it.
        unsafe { pages::unmap(start, bytes) };
        false
    }

    /// Takes back the pages of a block, or of the end of one. They stay dirty, as long as there are not too many: `kept`
    /// bytes may always stay.
    ///
    /// # Safety
    /// The range is whole pages of huge blocks, and nothing refers to it.
    pub(super) unsafe fn keep(&self, start: NonNull<u8>, bytes: usize, kept: usize) {
        let start = start.expose_provenance().get();
        let bound = self.lock.with(|| {
            let bound = if kept == 0 { 0 } else { self.map_cache.allowance(kept) };
            self.map_cache.change_live(bytes, 0);
            if bytes > bound {
                self.limit.leave(bytes);
            }
            bound
        });
        if bytes > bound {
            self.give_all(start, start + bytes);
            return self.lock.with(|| self.map_cache.note_early(bytes));
        }
        let over = self.lock.with(|| {
            self.map_cache.put(start, bytes, State::Dirty);
            let over = self.map_cache.bytes().saturating_sub(bound);
            self.map_cache.note_early(over);
            self.map_cache.note_dirty(self.now());
            if over == 0 && self.is_much(0, super::pending::MUCH) {
                self.note_pending();
            }
            over
        });
        self.give_back(over);
    }

    /// Gives a range's memory back to the kernel, whatever it is made of.
    fn give_all(&self, start: usize, mut end: usize) {
        while end > start {
            let part = self.lock.with(|| self.map_cache.last_part(start, end));
            self.give(part);
            end = part.start;
        }
    }

    /// Gives up to `most` dirty bytes back to the kernel. Returns how many.
    pub(super) fn give_back(&self, most: usize) -> usize {
        let mut given = 0;
        while given < most {
            let take = || {
                let range = self.map_cache.take_oldest(most - given)?;
                self.limit.leave(range.bytes);
                Some(range)
            };
            let Some(range) = self.lock.with(take) else { break };
            given += range.bytes;
            self.give(range);
        }
        self.lock.with(|| {
            self.map_cache.low.lower(given);
            self.map_cache.note_dirty(self.now());
        });
        given
    }

    /// Gives the memory of a range that was taken out back to the kernel, and makes it a clean extent. A range whose
    /// pages the program has locked is unmapped.
    fn give(&self, range: Range) {
        let Range { start, bytes, renews } = range;
        // SAFETY: taken out of the extents, so it is mapped and nothing refers to it (EX1).
        let is_clean = !renews && unsafe { pages::purge(range.place(), bytes) };
        let (is_mapped, state) = if renews {
            // SAFETY: taken out of the extents, so it is mapped and nothing refers to it (EX1).
            unsafe { self.renew(range) }
                .map_or((true, State::Dirty), |is_mapped| (is_mapped, State::Clean))
        } else if is_clean {
            (true, State::Clean)
        } else {
            // SAFETY: taken out of the extents, so it is mapped and nothing refers to it (EX1).
            (unsafe { !self.unmap_range(range) }, State::Dirty)
        };
        self.lock.with(|| {
            self.limit.arrive(bytes);
            if !renews && !is_clean {
                self.map_cache.note_locked();
            }
            if is_mapped {
                self.map_cache.put(start, bytes, state);
            }
        });
    }

    /// Makes a call that may unmap a range, and returns its answer, by which the range `is_mapped` still or not.
    /// Meanwhile the map cache does not own it (MC3). `None`, and no call is made, without nodes for that.
    pub(super) fn risk<R>(
        &self,
        range: Range,
        call: impl FnOnce() -> R,
        is_mapped: impl FnOnce(&R) -> bool,
    ) -> Option<R> {
        let is_moved = self.lock.with(|| self.map_cache.risk(range))?;
        let answer = call();
        self.lock.with(|| self.map_cache.note_risked(range, is_mapped(&answer), is_moved));
        Some(answer)
    }

    /// Gives back up to `most` of the bytes that this round has to. Returns how many.
    pub(super) fn give_back_due(&self, most: usize) -> usize {
        let due = self.lock.with(|| self.map_cache.due.get());
        let given = self.give_back(due.min(most));
        let left = if given == 0 { 0 } else { due - given.min(due) };
        self.lock.with(|| {
            self.map_cache.due.set(left);
            self.map_cache.early.set(0);
            self.map_cache.regretted.set(self.map_cache.regretted.get().saturating_sub(given));
            self.map_cache.lower_peak(given);
        });
        given
    }

    /// Unmaps up to `most` clean extents whose addresses no block needs. Returns how many.
    pub(super) fn unmap_surplus(&self, most: usize, all: bool) -> usize {
        let unmap_one = || {
            let range = self.lock.with(|| self.map_cache.take_surplus(all))?;
            // SAFETY: taken out of the extents, so it is mapped and nothing refers to it (EX1).
            let is_unmapped = unsafe { self.unmap_range(range) };
            if !is_unmapped {
                self.lock.with(|| self.map_cache.put(range.start, range.bytes, State::Clean));
            }
            is_unmapped.then_some(())
        };
        core::iter::from_fn(unmap_one).take(most).count()
    }

    /// Maps a range anew. False if the kernel refuses; the map cache does not own the range then. `None`, and nothing done,
    /// without nodes.
    ///
    /// # Safety
    /// It is mapped, and nothing refers to it.
    pub(super) unsafe fn renew(&self, range: Range) -> Option<bool> {
        // SAFETY: the caller's condition.
        let call = || unsafe { pages::renew(range.place(), range.bytes) };
        self.risk(range, call, |&is_mapped| is_mapped)
    }

    /// Unmaps a range. False, and nothing changed, if the kernel refuses.
    ///
    /// # Safety
    /// It is mapped, and nothing refers to it.
    unsafe fn unmap_range(&self, range: Range) -> bool {
        // SAFETY: the caller's condition.
        let call = || unsafe { pages::unmap(range.place(), range.bytes) };
        self.risk(range, call, |&is_unmapped| !is_unmapped).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MC3: while a thread unmaps a range, another maps one there.
    #[test]
    fn addresses_that_a_call_unmaps_may_be_another_thread_s_before_it_returns() {
        const BYTES: usize = 16 * PAGE_BYTES;
        static PAGE_HEAP: PageHeap = PageHeap::new();
        let (page_heap, cache) = (&PAGE_HEAP, &PAGE_HEAP.map_cache);
        let (start, bytes) = page_heap.reserve(BYTES, PAGE_BYTES).expect("address space");
        let take = || {
            cache.add(start, bytes);
            cache.take(State::Clean, BYTES, PAGE_BYTES)
        };
        let taken = page_heap.lock.with(take).expect("added");
        let range = Range::new(taken.addr().get(), BYTES);
        let call = || {
            // The kernel unmaps the range, and then has its addresses for the next who asks.
            page_heap.lock.with(|| cache.add(range.start, range.bytes));
            true
        };
        assert_eq!(page_heap.risk(range, call, |_| false), Some(true));
        let owns = || (cache.owned.contains(range.start, range.bytes), cache.check(false));
        assert_eq!(page_heap.lock.with(owns), (true, Ok(0)));
        // SAFETY: no thread uses the page heap any more.
        page_heap.lock.with(|| unsafe { cache.release() });
    }

    #[test]
    fn what_is_too_much_goes_back_and_counts_meanwhile() {
        const MIB: usize = 1 << 20;
        static PAGE_HEAP: PageHeap = PageHeap::new();
        let (page_heap, cache) = (&PAGE_HEAP, &PAGE_HEAP.map_cache);
        let (start, bytes) = page_heap.reserve(24 * MIB, PAGE_BYTES).expect("address space");
        let take = |bytes| {
            cache.change_live(0, bytes);
            cache.take(State::Clean, bytes, PAGE_BYTES).expect("added")
        };
        let [all, first, second] = page_heap.lock.with(|| {
            cache.add(start, bytes);
            // Other bytes are on their way, which the calls below must leave alone.
            page_heap.limit.leave(64 * MIB);
            [8, 8, 4].map(|mib| take(mib * MIB))
        });
        let figures = || {
            let all = || (cache.live(), cache.bytes(), cache.early.get(), page_heap.counted());
            let (live, dirty, early, counted) = page_heap.lock.with(all);
            [live, dirty, early, counted].map(|bytes| bytes / MIB)
        };
        assert_eq!(figures(), [20, 0, 0, 84]);
        // SAFETY: taken above, and nothing refers to it.
        unsafe { page_heap.keep(all, 8 * MIB, 0) };
        assert_eq!(figures(), [12, 0, 8, 76], "nothing stays");
        // SAFETY: taken above, and nothing refers to it.
        unsafe { page_heap.keep(first, 8 * MIB, 10 * MIB) };
        assert_eq!(figures(), [4, 8, 8, 76], "as much stays");
        assert!(page_heap.purge_pending::<crate::Apex>(), "threads look at the clock more often");
        // SAFETY: taken above, and nothing refers to it.
        unsafe { page_heap.keep(second, 4 * MIB, 10 * MIB) };
        assert_eq!(figures(), [0, 10, 10, 74], "the oldest goes back");
        // SAFETY: no thread uses the page heap any more.
        page_heap.lock.with(|| unsafe { cache.release() });
    }
}
