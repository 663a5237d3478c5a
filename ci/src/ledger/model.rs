//! The ledger's content: every edge of the tree with its price, and the report's budget, rebuilt.

use crate::bench::passport::Passport;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Ledger {
    pub(crate) passport: Passport,
    /// False for times from a noisy run.
    pub(crate) noisy: bool,
    /// The variants of the matrix that have a parent, each compared with it; parents first.
    pub(crate) edges: Vec<Edge>,
    /// The best variant with one knob set back: the knob's worth beside all the others.
    pub(crate) leave_one_out: Vec<Edge>,
    /// The founding report's budget: now, after 9-1, after 9-1 and 9-2.
    pub(crate) budget: Vec<Stage>,
}

/// A variant compared with another that differs in one knob.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Edge {
    pub(crate) variant: String,
    /// The parent; in `leave_one_out`, the best variant.
    pub(crate) against: String,
    /// The one knob, as `key = value`.
    pub(crate) knob: String,
    pub(crate) question: String,
    /// Machine code of a small program with this allocator, in bytes.
    pub(crate) code_bytes: Option<Change>,
    /// One per workload with its slots.
    pub(crate) rows: Vec<EdgeRow>,
}

/// The effect of a knob on one workload.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct EdgeRow {
    pub(crate) workload: String,
    pub(crate) ws: usize,
    /// Instructions per operation, the workload's own included; exact.
    pub(crate) instructions: Option<Change>,
    /// First-level data cache misses per operation, *simulated*.
    pub(crate) l1_misses_simulated: Option<Change>,
    /// Last-level cache misses per operation, *simulated*.
    pub(crate) ll_misses_simulated: Option<Change>,
    /// Cycles per operation: medians over the rounds.
    pub(crate) cycles: Option<Change>,
    /// Change of cycles, in percent: the median of the rounds' ratios, if the two ran in turn. It differs a little from
    /// the ratio of the medians.
    pub(crate) cycles_percent: Option<f64>,
    /// Its 95 % interval.
    pub(crate) cycles_percent_interval: Option<[f64; 2]>,
    /// Peak resident memory, in KiB.
    pub(crate) peak_rss_kib: Option<Change>,
    /// Share of processor time in the kernel, in percent.
    pub(crate) kernel_percent: Option<Change>,
    /// Per operation, as is the next.
    pub(crate) page_faults: Option<Change>,
    pub(crate) system_calls: Option<Change>,
    /// The expectations of the variant's file, on the row that they are about.
    pub(crate) expected: Vec<Expectation>,
}

/// A figure at both ends of an edge.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Change {
    /// The parent's, or the best variant's.
    pub(crate) from: f64,
    /// The variant's.
    pub(crate) to: f64,
}

impl Change {
    /// In percent of `from`; `None` where that is 0.
    pub(crate) fn percent(self) -> Option<f64> {
        (self.from != 0.0).then(|| 100.0 * (self.to / self.from - 1.0))
    }
}

/// A line of a file's `[expect]`, and whether it was met.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Expectation {
    /// `cycles_per_op` or `peak_rss`.
    pub(crate) metric: String,
    /// From, to: change against the parent, in percent.
    pub(crate) range: [f64; 2],
    pub(crate) measured_percent: f64,
    pub(crate) met: bool,
}

/// One column of the report's budget, rebuilt.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Stage {
    /// `now`, `after 9-1`, `after 9-1 + 9-2`.
    pub(crate) name: String,
    /// The variant that corresponds to this stage.
    pub(crate) variant: String,
    /// The report's total, in cycles per operation.
    pub(crate) said: f64,
    /// The measured total, in cycles per operation.
    pub(crate) measured: f64,
    pub(crate) parts: Vec<Part>,
}

impl Stage {
    /// The total without the parts, in cycles per operation; below 0 where they overlap.
    pub(crate) fn not_separated(&self) -> f64 {
        self.measured - self.parts.iter().filter_map(|part| part.cycles).sum::<f64>()
    }
}

/// One line of the report's budget.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    /// The report's figure, in cycles per operation; null where it has a dash.
    pub(crate) said: Option<[f64; 2]>,
    /// The measured figure, in cycles per operation; null where it cannot be told from the rest.
    pub(crate) cycles: Option<f64>,
    /// How it was measured, or why that is impossible.
    pub(crate) method: String,
}
