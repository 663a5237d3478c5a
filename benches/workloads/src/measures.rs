//! The measures of every variant, which limits hold: instructions per operation, and pages.
//!
//! The program that runs them and `cargo ci`, which reads its output, share this list.

/// One figure of a variant.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Its key among the limits.
    pub name: &'static str,
    /// The path or the workload that `hakmem-cell` runs for it.
    pub what: &'static str,
    /// The way to the figure.
    pub how: How,
}

/// The number of operations, and the way from them to the figure.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// One run: all instructions of the measured region, by its operations.
    Region {
        /// Operations.
        ops: u64,
    },
    /// Two runs, one twice as long: the difference of their instructions, by that of their operations. Both include
    /// filling the slots, so the figure does not.
    Slope {
        /// Operations of the shorter one.
        ops: u64,
        /// Slots.
        ws: u32,
    },
    /// One run: the pages of 4 KiB that are resident at its end, and were not at its start.
    Pages,
}

const fn path(name: &'static str, ops: u64) -> Measure {
    Measure { name, what: name, how: How::Region { ops } }
}

const fn workload(name: &'static str, what: &'static str, ops: u64, ws: u32) -> Measure {
    Measure { name, what, how: How::Slope { ops, ws } }
}

const fn pages(name: &'static str) -> Measure {
    Measure { name, what: name, how: How::Pages }
}

/// All figures. Workloads with threads are not here, nor `boxed_map` and `regexes`, whose maps hash with a random seed:
/// their figures would not repeat. Nor is `buffers`, whose instructions are those that write to the buffers; nor are
/// the `after_peak` workloads and `idle`, which are about memory.
pub const MEASURES: &[Measure] = &[
    path("hit", 1000),
    path("call", 1000),
    path("refill", 64),
    path("drain", 64),
    path("turnover", 20),
    path("remote_free", 1000),
    path("remote_reuse", 1000),
    path("retire_reuse", 20),
    path("lookup_hit_1", 1000),
    path("lookup_hit_16", 1024),
    path("lookup_hit_256", 1024),
    path("lookup_miss_1", 1000),
    path("lookup_miss_16", 1000),
    path("lookup_miss_256", 1000),
    workload("random_mixed_8192", "random_mixed", 100_000, 8192),
    workload("random_mixed_256", "random_mixed", 50_000, 256),
    workload("phase_shift_512", "phase_shift", 98_304, 512),
    workload("lifo_1000", "lifo", 20_000, 1000),
    workload("fifo_1000", "fifo", 20_000, 1000),
    workload("realloc_grow_64", "realloc_grow", 1000, 64),
    workload("zeroed_256", "zeroed", 2000, 256),
    workload("large_mix_64", "large_mix", 2000, 64),
    workload("json_100", "json", 200, 100),
    workload("string_map_1000", "string_map", 4000, 1000),
    pages("pages_in_use"),
    pages("pages_after_drop"),
    pages("pages_after_large"),
    pages("pages_zeroed"),
];

impl Measure {
    /// The keys of the limits.
    pub fn names() -> impl Iterator<Item = &'static str> {
        MEASURES.iter().map(|measure| measure.name)
    }

    /// Operations of each of its runs; 0 if they do not count.
    #[must_use]
    pub fn runs(&self) -> Vec<u64> {
        match self.how {
            How::Region { ops } => vec![ops],
            How::Slope { ops, .. } => vec![ops, 2 * ops],
            How::Pages => vec![0],
        }
    }
}
