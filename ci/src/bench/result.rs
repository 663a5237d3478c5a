//! The result of a run: the cells, and the form that machines read (`--json`).

use super::cells::{Cell, Events, Sample};
use super::passport::Passport;
use super::stats::{median, median_interval};
use crate::tree::{Tree, Variant};
use hakmem_workloads::Args;
use itertools::Itertools;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All measurements of a run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Matrix {
    pub(crate) passport: Passport,
    /// The origins of a merged result's parts. Empty for a single run.
    #[serde(default)]
    pub(crate) parts: Vec<Passport>,
    pub(crate) rounds: u32,
    /// The control cell's movement within the run, by workload and slots.
    pub(crate) control: BTreeMap<String, Control>,
    /// True if the control moved by more than its interval anywhere.
    pub(crate) noisy: bool,
    pub(crate) cells: Vec<Measured>,
    /// Runs without a result, and why.
    pub(crate) failed: Vec<String>,
}

/// The control cell, run twice per round: the machine's own effect on identical runs.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Control {
    /// Change from the first run to the second: median of the rounds' ratios, in percent.
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
    /// How the variant finds what a freed block belongs to; empty in results from before there was a third way.
    #[serde(default)]
    pub(crate) lookup: String,
    /// True for another allocator, and for hakmem as a program's own allocator, as the peers run.
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
    /// System calls of one run that was traced and not timed; null where no program may be traced.
    pub(crate) system_calls_per_op: Option<f64>,
    /// Empty for a peer.
    pub(crate) events: Events,
    /// The rounds, in the order in which they were run.
    pub(crate) samples: Vec<Sample>,
    /// The part of a merged result that this cell is from.
    #[serde(default)]
    pub(crate) part: usize,
}

/// A change against the parent, in percent.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct AgainstParent {
    pub(crate) percent: f64,
    /// The 95 % interval; null for fewer than six rounds.
    pub(crate) interval: Option<[f64; 2]>,
    /// True if this is the median of the rounds' ratios. Otherwise the two ran on different machines, or at different
    /// times, and each was held against its own control cell.
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
    /// From the hardware's counters, as are the next five; null where the machine has none.
    pub(crate) kernel_cycles_per_op: Option<f64>,
    pub(crate) instructions_per_op: Option<f64>,
    pub(crate) branches_per_op: Option<f64>,
    pub(crate) branch_misses_per_op: Option<f64>,
    /// Misses of the last-level cache.
    pub(crate) misses_per_op: Option<f64>,
    pub(crate) tlb_misses_per_op: Option<f64>,
    /// Pages mapped at the first touch; null, as the next, in results from before they were counted.
    pub(crate) page_faults_per_op: Option<f64>,
    /// Times that a thread gave its core up to wait, the workload's own waits included.
    pub(crate) voluntary_switches_per_op: Option<f64>,
}

/// A workload with its slots.
pub(crate) type Row<'a> = (&'a str, usize);

/// The variant that runs twice per round, which shows how noisy the machine is.
pub(crate) const CONTROL: &str = "legacy";

impl Matrix {
    /// A variant's cell in a row.
    pub(crate) fn in_row(&self, id: &str, row: Row<'_>) -> Option<&Measured> {
        self.cells.iter().find(|cell| !cell.peer && cell.id == id && cell.row() == row)
    }

    /// The rows of the printed tables: each workload with its slots, in the order of the run.
    pub(crate) fn rows(&self) -> Vec<Row<'_>> {
        self.cells.iter().map(Measured::row).unique().collect()
    }

    /// Fills in each cell's change against its parent.
    pub(crate) fn compare(&mut self, tree: &Tree) {
        let against_parent = |own: &Measured| {
            let parent = tree.variants.get(&own.id).filter(|_| !own.peer)?.parent.as_deref()?;
            self.against(own, self.in_row(parent, own.row())?)
        };
        let compared: Vec<_> = self.cells.iter().map(against_parent).collect();
        for (cell, against) in self.cells.iter_mut().zip(compared) {
            cell.against_parent = against;
        }
    }

    /// The processor that a cell ran on.
    pub(crate) fn machine_of(&self, cell: &Measured) -> &str {
        &self.parts.get(cell.part).unwrap_or(&self.passport).cpu
    }

    /// The control cell that ran on this one's machine, at this one's time.
    pub(crate) fn control_for(&self, cell: &Measured) -> Option<&Measured> {
        let mut controls = self.cells.iter().filter(|c| c.id == CONTROL && !c.peer);
        controls.find(|c| c.part == cell.part && c.is_in(cell.row()))
    }

    /// The change from one cell of a row to another.
    pub(crate) fn against(&self, own: &Measured, other: &Measured) -> Option<AgainstParent> {
        if own.part == other.part {
            return AgainstParent::paired(&own.samples, &other.samples);
        }
        let share = |cell: &Measured| {
            Some(cell.median.cycles_per_op / self.control_for(cell)?.median.cycles_per_op)
        };
        let percent = percent(share(own)? / share(other)?);
        Some(AgainstParent { percent, interval: None, paired: false })
    }
}

impl AgainstParent {
    /// The change by the rounds' ratios; `None` without any.
    fn paired(own: &[Sample], other: &[Sample]) -> Option<Self> {
        let pairs = own.iter().zip(other);
        let ratios: Vec<f64> = pairs.map(|(a, b)| a.cycles_per_op() / b.cycles_per_op()).collect();
        let interval = median_interval(&ratios).map(|ends| ends.map(percent));
        Some(Self { percent: percent(median(ratios)?), interval, paired: true })
    }
}

fn percent(ratio: f64) -> f64 {
    100.0 * (ratio - 1.0)
}

impl Measured {
    /// How the variant finds what a freed block belongs to, in a word.
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
        events: Option<Events>,
    ) -> Option<Self> {
        let best = samples.iter().min_by(|a, b| a.cycles.total_cmp(&b.cycles))?;
        let variant = tree.variants.get(&cell.id).filter(|_| !cell.peer);
        let twin_of = variant.filter(|v| v.is_hash_twin()).and_then(|v| v.parent.as_ref());
        let events = match cell.peer {
            true => Events::default(),
            false => events?,
        };
        let Args { cycles, ws, seed } = cell.args;
        let per_op: Vec<f64> = samples.iter().map(Sample::cycles_per_op).collect();
        let user: f64 = samples.iter().map(|sample| sample.user_s).sum();
        let sys: f64 = samples.iter().map(|sample| sample.sys_s).sum();
        Some(Self {
            id: cell.id.clone(),
            variant: twin_of.unwrap_or(&cell.id).clone(),
            hash_lookup: variant.is_some_and(Variant::looks_up_by_hash),
            lookup: variant.map(Variant::lookup).unwrap_or_default(),
            peer: cell.peer,
            workload: cell.workload.name().to_owned(),
            args: MeasuredArgs { cycles, ws, seed },
            median: Figures::median(&samples)?,
            cycles_interval: median_interval(&per_op),
            min: Figures::of(best),
            against_parent: None,
            kernel_percent: if user + sys > 0.0 { 100.0 * sys / (user + sys) } else { 0.0 },
            system_calls_per_op: None,
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
    /// The movement between the two runs of the control cell; `None` with too few rounds.
    pub(crate) fn of(own: &[Sample], repeat: &[Sample]) -> Option<Self> {
        let moved = AgainstParent::paired(repeat, own)?;
        let [low, high] = moved.interval?;
        let interval_percent = (high - low) / 2.0;
        Some(Self { moved_percent: moved.percent.abs(), interval_percent })
    }

    pub(crate) fn is_noisy(&self) -> bool {
        self.moved_percent > self.interval_percent
    }
}

impl Figures {
    fn of(sample: &Sample) -> Self {
        let per_op = |count: f64| count / sample.ops as f64;
        Self {
            ops_per_s: sample.ops as f64 / sample.wall_s,
            cycles_per_op: sample.cycles_per_op(),
            user_s: sample.user_s,
            sys_s: sample.sys_s,
            peak_rss_kib: sample.peak_rss_kib,
            kernel_cycles_per_op: sample.kernel_cycles.map(per_op),
            instructions_per_op: sample.instructions.map(per_op),
            branches_per_op: sample.branches.map(per_op),
            branch_misses_per_op: sample.branch_misses.map(per_op),
            misses_per_op: sample.cache_misses.map(per_op),
            tlb_misses_per_op: sample.tlb_misses.map(per_op),
            page_faults_per_op: sample.page_faults.map(|count| per_op(count as f64)),
            voluntary_switches_per_op: sample.voluntary_switches.map(|count| per_op(count as f64)),
        }
    }

    /// Each figure's median.
    fn median(samples: &[Sample]) -> Option<Self> {
        let all: Vec<Self> = samples.iter().map(Self::of).collect();
        let some =
            |figure: fn(&Self) -> Option<f64>| median(all.iter().filter_map(figure).collect());
        let of = |figure: fn(&Self) -> f64| median(all.iter().map(figure).collect());
        Some(Self {
            ops_per_s: of(|f| f.ops_per_s)?,
            cycles_per_op: of(|f| f.cycles_per_op)?,
            user_s: of(|f| f.user_s)?,
            sys_s: of(|f| f.sys_s)?,
            peak_rss_kib: of(|f| f.peak_rss_kib as f64)? as u64,
            kernel_cycles_per_op: some(|f| f.kernel_cycles_per_op),
            instructions_per_op: some(|f| f.instructions_per_op),
            branches_per_op: some(|f| f.branches_per_op),
            branch_misses_per_op: some(|f| f.branch_misses_per_op),
            misses_per_op: some(|f| f.misses_per_op),
            tlb_misses_per_op: some(|f| f.tlb_misses_per_op),
            page_faults_per_op: some(|f| f.page_faults_per_op),
            voluntary_switches_per_op: some(|f| f.voluntary_switches_per_op),
        })
    }
}

/// Results for tests.
#[cfg(test)]
pub(super) mod made_up {
    use super::*;
    use serde_json::json;

    /// A result without samples: ids, rows, and cycles per operation.
    pub(in super::super) fn matrix(cpu: &str, cells: &[(&str, Row<'_>, f64)]) -> Matrix {
        let cell = |&(id, (workload, ws), cycles): &(&str, Row<'_>, f64)| {
            let figures = json!({
                "ops_per_s": 1e9 / cycles, "cycles_per_op": cycles, "user_s": 1.0, "sys_s": 0.0,
                "peak_rss_kib": 1024,
            });
            json!({
                "id": id, "variant": id, "hash_lookup": false, "peer": false, "workload": workload,
                "args": { "cycles": 10, "ws": ws, "seed": 1 }, "median": figures, "min": figures,
                "cycles_interval": null, "against_parent": null, "kernel_percent": 0.0,
                "events": Events::default(), "samples": [],
            })
        };
        serde_json::from_value(json!({
            "passport": {
                "commit": "c", "dirty": false, "cpu": cpu, "cores": 2, "kernel": "k", "rustc": "r",
                "counter": "tsc", "date": "d",
            },
            "rounds": 3, "control": {}, "noisy": false, "failed": [],
            "cells": cells.iter().map(cell).collect::<Vec<_>>(),
        }))
        .expect("a result")
    }
}
