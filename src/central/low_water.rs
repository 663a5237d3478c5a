//! The low-water mark of the dirty extents: as many of their bytes as no block has needed for a while.
//!
//! ```text
//!  bytes   ▁▂▅▇▆▇▅▇▆▅▆▇▅▆▇          what lies below the lowest point of the last `delay` milliseconds
//!          ──────┬────┬────┬────    may go back: every block of that time was served without it
//!            low   low  low  low
//! ```
//!
//! Blocks come and go all over the extents, so the age of an extent tells little: it is joined with a range that was
//! just freed. The mark tells the amount, whichever extents it is taken from (after tcmalloc's thread caches).
//!
//! Never: looks at the clock.

use crate::sys::clock;
use core::cell::Cell;

/// Spans of time before the present one: the delay has four rounds of purging, and may begin inside a fifth.
const SPANS: usize = 4;

/// A span of time that has ended, and the lowest amount in it.
#[derive(Clone, Copy)]
struct Span {
    ended_at: u64,
    low: usize,
}

/// The lowest amounts of the last few spans of time. The caller holds the lock of the page heap.
pub(super) struct LowWater {
    spans: [Cell<Span>; SPANS],
    /// The start of the present span, and the lowest amount since.
    began_at: Cell<u64>,
    low: Cell<usize>,
}

impl LowWater {
    pub(super) const fn new() -> Self {
        Self {
            spans: [const { Cell::new(Span { ended_at: 0, low: 0 }) }; SPANS],
            began_at: Cell::new(0),
            low: Cell::new(0),
        }
    }

    /// Notes a change of the amount.
    pub(super) fn note(&self, amount: usize, now: u64) {
        let is_start = now == self.began_at.get();
        self.low.set(if is_start { amount } else { amount.min(self.low.get()) });
    }

    /// Ends the present span. Returns the least amount of the last `delay` milliseconds.
    pub(super) fn end_span(&self, amount: usize, now: u64, delay: u64) -> usize {
        let ended = Span { ended_at: now, low: self.low.get().min(amount) };
        let recent = self.spans.iter().map(Cell::get);
        let recent = recent.filter(|span| clock::since(span.ended_at, now) < delay);
        // A span that ended as it began tells nothing.
        let lowest = recent.map(|span| span.low).fold(ended.low, usize::min);
        let is_late = clock::since(self.began_at.get(), now) >= delay;
        if now != self.began_at.get() {
            let mut last = ended;
            for span in &self.spans {
                last = span.replace(last);
            }
            self.began_at.set(now);
        }
        self.low.set(amount);
        if is_late { ended.low } else { lowest }
    }

    /// Notes that some of the amount went back.
    pub(super) fn lower(&self, by: usize) {
        for span in &self.spans {
            let Span { ended_at, low } = span.get();
            span.set(Span { ended_at, low: low.saturating_sub(by) });
        }
        self.low.set(self.low.get().saturating_sub(by));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_block_needed_for_the_delay() {
        let water = LowWater::new();
        water.note(100, 1000);
        let mut due = Vec::new();
        for now in [1125, 1250, 1375, 1500, 1625, 1750] {
            water.note(40, now - 60);
            water.note(90, now - 30);
            due.push(water.end_span(90, now, 500));
        }
        // Before the first note the amount was 0.
        assert_eq!(due, [0, 0, 0, 0, 40, 40]);
        water.lower(40);
        assert_eq!(water.end_span(50, 1875, 500), 0);
    }

    #[test]
    fn a_gap_in_time_counts_whole() {
        let water = LowWater::new();
        assert_eq!(water.end_span(0, 1000, 500), 0);
        water.note(70, 1000);
        water.note(60, 1000);
        water.note(80, 1000);
        assert_eq!(water.end_span(80, 1499, 500), 0);
        // What came at the start of the span was there for all of it.
        assert_eq!(water.end_span(80, 1520, 500), 80);
        assert_eq!(water.end_span(80, 2100, 500), 80);
    }
}
