//! What a run measured: the cells, and what machines read of them (`--json`).

use super::cells::{Cell, Events, Sample};
use super::passport::Passport;
use super::stats::{median, median_interval};
use crate::tree::{Tree, Variant};
use hakmem_workloads::{Args, Workload};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that was measured.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Matrix {
    pub(crate) passport: Passport,
    /// Of a merged result: where its parts come from. Empty for a single run.
    #[serde(default)]
    pub(crate) parts: Vec<Passport>,
    pub(crate) rounds: u32,
    /// By how much the control cell moved within the run, by workload and slots.
    pub(crate) control: BTreeMap<String, Control>,
    /// Whether it moved by more than its interval anywhere.
    pub(crate) noisy: bool,
    pub(crate) cells: Vec<Measured>,
    /// Runs that gave no result, and why.
    pub(crate) failed: Vec<String>,
}

/// The control cell, run twice per round: what the machine did to one and the same thing.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Control {
    /// From the one to the other: median of the rounds' ratios, in percent.
    pub(crate) moved_percent: f64,
    /// Half the 95 % interval of that median, in percent.
    pub(crate) interval_percent: f64,
}

/// One place of the matrix, measured.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Measured {
    /// The variant's id, its lookup included; or a peer's name.
    pub(crate) id: String,
    /// The variant, without its lookup; or a peer's name.
    pub(crate) variant: String,
    pub(crate) hash_lookup: bool,
    /// How it finds what a freed block belongs to; empty in results from before there was a third way.
    #[serde(default)]
    pub(crate) lookup: String,
    /// Whether this is another allocator, or ours as a peer is run: as a program's own.
    pub(crate) peer: bool,
    pub(crate) workload: String,
    pub(crate) args: MeasuredArgs,
    /// Each figure's median over the rounds.
    pub(crate) median: Figures,
    /// The 95 % interval of the median of cycles per operation; null for fewer than six rounds.
    pub(crate) cycles_interval: Option<[f64; 2]>,
    /// The figures of the round that took the fewest cycles.
    pub(crate) min: Figures,
    /// Change of cycles per operation against the parent.
    pub(crate) against_parent: Option<AgainstParent>,
    /// Share of the processor time spent in the kernel, over all rounds, in percent.
    pub(crate) kernel_percent: f64,
    /// Empty for a peer.
    pub(crate) events: Events,
    /// The rounds, in the order in which they were run.
    pub(crate) samples: Vec<Sample>,
    /// Of a merged result: which of the parts this is from.
    #[serde(default)]
    pub(crate) part: usize,
}

/// A change against the parent, in percent.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct AgainstParent {
    pub(crate) percent: f64,
    /// The 95 % interval; null for fewer than six rounds.
    pub(crate) interval: Option<[f64; 2]>,
    /// Whether it is the median of the rounds' ratios. Otherwise the two ran on different machines, or
    /// at different times, and each was held against its own control cell.
    pub(crate) paired: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct MeasuredArgs {
    pub(crate) cycles: u64,
    pub(crate) ws: usize,
    pub(crate) seed: u64,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Figures {
    pub(crate) ops_per_s: f64,
    pub(crate) cycles_per_op: f64,
    pub(crate) user_s: f64,
    pub(crate) sys_s: f64,
    pub(crate) peak_rss_kib: u64,
    /// By the hardware's counters; null where the machine has none.
    #[serde(default)]
    pub(crate) kernel_cycles_per_op: Option<f64>,
    /// Last-level cache misses per operation, likewise.
    #[serde(default)]
    pub(crate) misses_per_op: Option<f64>,
}

/// A workload with its slots.
pub(crate) type Row<'a> = (&'a str, usize);

/// The variant that is run twice per round, to see whether the machine holds still.
pub(crate) const CONTROL: &str = "legacy";

impl Matrix {
    pub(crate) fn cell(&self, id: &str, workload: Workload, ws: usize) -> Option<&Measured> {
        self.in_row(id, (workload.name(), ws))
    }

    /// A variant's cell in a row.
    pub(crate) fn in_row(&self, id: &str, row: Row<'_>) -> Option<&Measured> {
        self.cells.iter().find(|cell| !cell.peer && cell.id == id && cell.row() == row)
    }

    /// The rows of the printed tables: each workload with its slots, in the order of the run.
    pub(crate) fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<Row<'_>> = Vec::new();
        for cell in &self.cells {
            if !rows.contains(&cell.row()) {
                rows.push(cell.row());
            }
        }
        rows
    }

    /// Fills in each cell's change against its parent.
    pub(crate) fn compare(&mut self, tree: &Tree) {
        let compared: Vec<_> = self
            .cells
            .iter()
            .map(|own| {
                let parent = tree.variants.get(&own.id)?.parent.as_deref()?;
                let parent = self.in_row(parent, own.row()).filter(|_| !own.peer)?;
                self.against(own, parent)
            })
            .collect();
        for (cell, against) in self.cells.iter_mut().zip(compared) {
            cell.against_parent = against;
        }
    }

    /// The processor that a cell ran on.
    pub(crate) fn machine_of(&self, cell: &Measured) -> &str {
        &self.parts.get(cell.part).unwrap_or(&self.passport).cpu
    }

    /// The control cell that ran where and when this one did.
    pub(crate) fn control_for(&self, cell: &Measured) -> Option<&Measured> {
        let same = |c: &&Measured| {
            c.id == CONTROL && !c.peer && c.part == cell.part && c.is_in(cell.row())
        };
        self.cells.iter().find(same)
    }

    /// One cell against another of its row.
    pub(crate) fn against(&self, own: &Measured, other: &Measured) -> Option<AgainstParent> {
        let percent = |ratio: f64| 100.0 * (ratio - 1.0);
        if own.part == other.part {
            let pairs = own.samples.iter().zip(&other.samples);
            let ratios: Vec<f64> =
                pairs.map(|(a, b)| a.cycles_per_op() / b.cycles_per_op()).collect();
            let interval = median_interval(&ratios).map(|ends| ends.map(percent));
            let ratio = median(ratios)?;
            return Some(AgainstParent { percent: percent(ratio), interval, paired: true });
        }
        let control = |cell| Some(self.control_for(cell)?.median.cycles_per_op);
        let own_share = own.median.cycles_per_op / control(own)?;
        let other_share = other.median.cycles_per_op / control(other)?;
        let percent = percent(own_share / other_share);
        Some(AgainstParent { percent, interval: None, paired: false })
    }
}

impl Measured {
    /// How it finds what a freed block belongs to, in a word.
    pub(crate) fn lookup(&self) -> &str {
        match (self.lookup.as_str(), self.hash_lookup) {
            ("", true) => "hash",
            ("", false) => "linear",
            (lookup, _) => lookup,
        }
    }

    /// Sums a cell's samples up; `None` without any, or without its events.
    pub(crate) fn of(
        tree: &Tree,
        cell: &Cell,
        samples: Vec<Sample>,
        events: Option<&Sample>,
    ) -> Option<Self> {
        let best = samples.iter().min_by(|a, b| a.cycles.total_cmp(&b.cycles))?;
        let variant = tree.variants.get(&cell.id).filter(|_| !cell.peer);
        let twin_of = variant.filter(|v| v.is_hash_twin()).and_then(|v| v.parent.as_ref());
        let events = match events {
            Some(counted) => counted.events.clone()?,
            None if cell.peer => Events::default(),
            None => return None,
        };
        let Args { cycles, ws, seed } = cell.args;
        let per_op: Vec<f64> = samples.iter().map(Sample::cycles_per_op).collect();
        let sum = |time: fn(&Sample) -> f64| samples.iter().map(time).sum::<f64>();
        let (user, sys) = (sum(|sample| sample.user_s), sum(|sample| sample.sys_s));
        Some(Self {
            id: cell.id.clone(),
            variant: twin_of.unwrap_or(&cell.id).clone(),
            hash_lookup: variant.is_some_and(Variant::looks_up_by_hash),
            lookup: variant.map(Variant::lookup).unwrap_or_default(),
            peer: cell.peer,
            workload: cell.workload.name().to_owned(),
            args: MeasuredArgs { cycles, ws, seed },
            median: figures_median(&samples)?,
            cycles_interval: median_interval(&per_op),
            min: figures(best),
            against_parent: None,
            kernel_percent: if user + sys > 0.0 { 100.0 * sys / (user + sys) } else { 0.0 },
            events,
            samples,
            part: 0,
        })
    }

    pub(crate) fn row(&self) -> Row<'_> {
        (&self.workload, self.args.ws)
    }

    pub(crate) fn is_in(&self, row: Row<'_>) -> bool {
        self.row() == row
    }
}

impl Control {
    /// What the two runs of the control cell say; `None` if there are too few rounds to say it.
    pub(crate) fn of(own: &[Sample], repeat: &[Sample]) -> Option<Self> {
        let pairs = own.iter().zip(repeat);
        let ratios: Vec<f64> =
            pairs.map(|(own, repeat)| repeat.cycles_per_op() / own.cycles_per_op()).collect();
        let [low, high] = median_interval(&ratios)?;
        Some(Self {
            moved_percent: 100.0 * (median(ratios)? - 1.0).abs(),
            interval_percent: 100.0 * (high - low) / 2.0,
        })
    }

    pub(crate) fn is_noisy(&self) -> bool {
        self.moved_percent > self.interval_percent
    }
}

fn figures(sample: &Sample) -> Figures {
    let per_op = |count: f64| count / sample.ops as f64;
    Figures {
        ops_per_s: sample.ops as f64 / sample.wall_s,
        cycles_per_op: sample.cycles_per_op(),
        user_s: sample.user_s,
        sys_s: sample.sys_s,
        peak_rss_kib: sample.peak_rss_kib,
        kernel_cycles_per_op: sample.kernel_cycles.map(per_op),
        misses_per_op: sample.cache_misses.map(per_op),
    }
}

fn figures_median(samples: &[Sample]) -> Option<Figures> {
    let of = |figure: fn(&Figures) -> Option<f64>| {
        median(samples.iter().filter_map(|sample| figure(&figures(sample))).collect())
    };
    Some(Figures {
        ops_per_s: of(|f| Some(f.ops_per_s))?,
        cycles_per_op: of(|f| Some(f.cycles_per_op))?,
        user_s: of(|f| Some(f.user_s))?,
        sys_s: of(|f| Some(f.sys_s))?,
        peak_rss_kib: of(|f| Some(f.peak_rss_kib as f64))? as u64,
        kernel_cycles_per_op: of(|f| f.kernel_cycles_per_op),
        misses_per_op: of(|f| f.misses_per_op),
    })
}
