//! The plan, the rounds, and the result.

use super::Options;
use super::cells::{Cell, Events, Programs, Sample};
use super::passport::Passport;
use crate::tree::{Group, Tree};
use anyhow::{Result, bail};
use hakmem_workloads::{Args, Workload};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::collections::BTreeMap;

/// The variant that is run twice per round, to see whether the machine holds still.
const CONTROL: &str = "legacy";
/// How far apart the control's two medians may be, in percent, before the run counts as noisy.
const NOISE_PERCENT: f64 = 5.0;
/// The small working set that the report names as the suite to guard against regressions.
const SMALL_WS: usize = 256;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Matrix {
    pub(super) passport: Passport,
    pub(super) rounds: u32,
    /// By how much the control cell moved within the run, in percent, by workload and slots.
    pub(super) control_moved_percent: BTreeMap<String, f64>,
    /// Whether it moved by more than the run's figures can be trusted.
    pub(super) noisy: bool,
    pub(super) cells: Vec<Measured>,
    /// Runs that gave no result, and why.
    pub(super) failed: Vec<String>,
}

/// One place of the matrix, measured.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    /// The variant, without its lookup; or a peer's name.
    pub(super) variant: String,
    pub(super) hash_lookup: bool,
    /// Whether this is another allocator, or ours as a peer is run: as a program's own.
    pub(super) peer: bool,
    pub(super) workload: &'static str,
    pub(super) args: MeasuredArgs,
    /// Each figure's median over the rounds.
    pub(super) median: Figures,
    /// The figures of the round that took the fewest cycles.
    pub(super) min: Figures,
    /// Change of cycles per operation against the parent, in percent: median of the rounds' ratios.
    pub(super) against_parent_percent: Option<f64>,
    /// Empty for a peer.
    pub(super) events: Events,
    #[serde(skip)]
    pub(super) id: String,
    #[serde(skip)]
    samples: Vec<Sample>,
}

#[derive(Debug, Serialize)]
pub(super) struct MeasuredArgs {
    pub(super) cycles: u64,
    pub(super) ws: usize,
    pub(super) seed: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    pub(super) ops_per_s: f64,
    pub(super) cycles_per_op: f64,
    pub(super) user_s: f64,
    pub(super) sys_s: f64,
    pub(super) peak_rss_kib: u64,
}

/// A workload with its slots.
pub(super) type Row = (&'static str, usize);

impl Matrix {
    pub(super) fn cell(&self, id: &str, workload: Workload, ws: usize) -> Option<&Measured> {
        let wanted =
            |cell: &&Measured| !cell.peer && cell.id == id && cell.is_in((workload.name(), ws));
        self.cells.iter().find(wanted)
    }

    /// The rows of the printed tables: each workload with its slots, in the order of the run.
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.cells.iter().map(Measured::row).collect();
        rows.dedup();
        rows
    }
}

impl Measured {
    fn row(&self) -> Row {
        (self.workload, self.args.ws)
    }

    pub(super) fn is_in(&self, row: Row) -> bool {
        self.row() == row
    }

    /// Share of the processor time spent in the kernel, over all rounds, in percent.
    pub(super) fn kernel_percent(&self) -> f64 {
        let sum = |time: fn(&Sample) -> f64| self.samples.iter().map(time).sum::<f64>();
        let (user, sys) = (sum(|sample| sample.user_s), sum(|sample| sample.sys_s));
        if user + sys > 0.0 { 100.0 * sys / (user + sys) } else { 0.0 }
    }
}

/// The cells to measure, workload by workload.
pub(super) fn plan(tree: &Tree, options: &Options) -> Result<Vec<Cell>> {
    let ids = chosen_variants(tree, &options.variants)?;
    let workloads = match options.workloads.as_slice() {
        [] if options.suite => Workload::ALL.to_vec(),
        [] if options.verdicts => [Workload::REPORT, Workload::GUARDS].concat(),
        [] => Workload::REPORT.to_vec(),
        some => some.to_vec(),
    };
    let mut plan = Vec::new();
    for workload in workloads {
        let own = match workload {
            Workload::RandomMixed => vec![workload.default_ws(), SMALL_WS],
            _ => vec![workload.default_ws()],
        };
        for ws in options.ws.map_or(own, |ws| vec![ws as usize]) {
            let args = Args { cycles: options.cycles(workload), ws, seed: options.seed };
            plan.extend(ids.iter().map(|id| Cell { id: id.clone(), peer: false, workload, args }));
        }
    }
    Ok(plan)
}

/// The plan with every peer at the end of each of its rows.
pub(super) fn with_peers<'a>(
    plan: Vec<Cell>,
    peers: impl Iterator<Item = &'a String> + Clone,
) -> Vec<Cell> {
    let mut whole: Vec<Cell> = Vec::new();
    for row in plan.chunk_by(|a, b| a.workload == b.workload && a.args == b.args) {
        whole.extend_from_slice(row);
        let peer = |id: &String| Cell { id: id.clone(), peer: true, ..row[0].clone() };
        whole.extend(peers.clone().map(peer));
    }
    whole
}

/// The ids asked for, or the matrix; the control always first.
fn chosen_variants(tree: &Tree, asked: &[String]) -> Result<Vec<String>> {
    let mut ids: Vec<String> = Vec::new();
    if asked.is_empty() {
        let matrix = tree.variants.values().filter(|variant| variant.group == Group::Matrix);
        ids.extend(matrix.map(|variant| variant.id.clone()));
    }
    for id in asked {
        let Some(variant) = tree.variants.get(id) else {
            let known: Vec<&str> = tree.variants.keys().map(String::as_str).collect();
            bail!("--variants: no variant `{id}`; allowed: {}", known.join(", "));
        };
        ids.push(variant.id.clone());
        ids.extend(tree.hash_twin(id).map(|twin| twin.id.clone()));
    }
    ids.push(CONTROL.to_owned());
    ids.sort_by_key(|id| (id != CONTROL, depth_first(tree, id)));
    ids.dedup();
    Ok(ids)
}

/// Sorts a variant behind its ancestors, and a hash twin right behind its parent.
fn depth_first(tree: &Tree, id: &str) -> Vec<(bool, String)> {
    let mut path = Vec::new();
    let mut at = tree.variants.get(id);
    while let Some(variant) = at {
        path.push((!variant.is_hash_twin(), variant.id.clone()));
        at = variant.parent.as_ref().and_then(|parent| tree.variants.get(parent));
    }
    path.reverse();
    path
}

/// Runs the plan, prints progress, and keeps what it can when a run fails.
pub(super) fn measure(
    tree: &Tree,
    plan: &[Cell],
    programs: &Programs,
    options: &Options,
) -> Result<Matrix> {
    let rounds = options.rounds();
    let controls: Vec<&Cell> =
        plan.iter().filter(|cell| cell.id == CONTROL && !cell.peer).collect();
    let per_round = plan.len() + controls.len();
    let bar = progress((per_round * rounds as usize + plan.len()) as u64);

    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); plan.len()];
    let mut repeats: Vec<Vec<Sample>> = vec![Vec::new(); controls.len()];
    let mut failed = Vec::new();
    let mut take = |cell: &Cell, into: &mut Vec<Sample>, sample: Result<Sample>| {
        bar.set_message(format!("{} on {}", cell.id, cell.workload));
        bar.inc(1);
        match sample {
            Ok(sample) => into.push(sample),
            Err(error) => failed.push(format!("{error:#}")),
        }
    };
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..plan.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            take(&plan[index], &mut samples[index], programs.time(&plan[index]));
        }
        for (control, repeat) in controls.iter().zip(&mut repeats) {
            take(control, repeat, programs.time(control));
        }
    }
    let mut events: Vec<Vec<Sample>> = vec![Vec::new(); plan.len()];
    for (cell, into) in plan.iter().zip(&mut events).filter(|(cell, _)| !cell.peer) {
        take(cell, into, programs.count(cell));
    }
    bar.finish_and_clear();

    let counter = samples.iter().flatten().next().map(|sample| sample.counter.clone());
    let Some(counter) = counter else {
        bail!(
            "no run gave a result: {}",
            failed.first().map_or("none was planned", String::as_str)
        );
    };
    let mut control_moved_percent = BTreeMap::new();
    for (control, repeat) in controls.iter().zip(&repeats) {
        let own = plan.iter().position(|cell| cell == *control).map(|index| &samples[index]);
        if let Some((own, repeat)) = own.map(Vec::as_slice).and_then(cycles).zip(cycles(repeat)) {
            let moved = 100.0 * (repeat - own).abs() / own.min(repeat);
            control_moved_percent
                .insert(format!("{} {}", control.workload, control.args.ws), moved);
        }
    }
    Ok(Matrix {
        passport: Passport::here(&counter),
        rounds,
        noisy: control_moved_percent.values().any(|&moved| moved > NOISE_PERCENT),
        control_moved_percent,
        cells: summaries(tree, plan, samples, events),
        failed,
    })
}

fn progress(len: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len}, {eta} left: {msg}");
    ProgressBar::new(len).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn cycles(samples: &[Sample]) -> Option<f64> {
    median(samples.iter().map(Sample::cycles_per_op).collect())
}

fn summaries(
    tree: &Tree,
    plan: &[Cell],
    samples: Vec<Vec<Sample>>,
    events: Vec<Vec<Sample>>,
) -> Vec<Measured> {
    let measured = plan.iter().zip(samples).zip(events);
    let mut cells: Vec<Measured> = measured
        .filter_map(|((cell, samples), events)| {
            let median = figures_median(&samples)?;
            let best = samples.iter().min_by(|a, b| a.cycles.total_cmp(&b.cycles))?;
            let min = figures(best);
            let variant = tree.variants.get(&cell.id).filter(|_| !cell.peer);
            let twin_of = variant.filter(|v| v.is_hash_twin()).and_then(|v| v.parent.as_ref());
            let events = match events.first() {
                Some(counted) => counted.events.clone()?,
                None if cell.peer => Events::default(),
                None => return None,
            };
            let Args { cycles, ws, seed } = cell.args;
            Some(Measured {
                variant: twin_of.unwrap_or(&cell.id).clone(),
                hash_lookup: twin_of.is_some(),
                peer: cell.peer,
                workload: cell.workload.name(),
                args: MeasuredArgs { cycles, ws, seed },
                median,
                min,
                against_parent_percent: None,
                events,
                id: cell.id.clone(),
                samples,
            })
        })
        .collect();
    for index in 0..cells.len() {
        let own = &cells[index];
        let parent = tree.variants.get(&own.id).and_then(|variant| variant.parent.as_ref());
        let is_parent = |cell: &&Measured| Some(&cell.id) == parent && cell.is_in(own.row());
        let ratios = cells.iter().find(is_parent).map(|parent| {
            let pairs = own.samples.iter().zip(&parent.samples);
            pairs.map(|(own, parent)| own.cycles / parent.cycles).collect()
        });
        cells[index].against_parent_percent =
            ratios.and_then(median).map(|ratio| 100.0 * (ratio - 1.0));
    }
    cells
}

fn figures(sample: &Sample) -> Figures {
    Figures {
        ops_per_s: sample.ops as f64 / sample.wall_s,
        cycles_per_op: sample.cycles_per_op(),
        user_s: sample.user_s,
        sys_s: sample.sys_s,
        peak_rss_kib: sample.peak_rss_kib,
    }
}

fn figures_median(samples: &[Sample]) -> Option<Figures> {
    let of = |figure: fn(&Figures) -> f64| {
        median(samples.iter().map(|sample| figure(&figures(sample))).collect())
    };
    Some(Figures {
        ops_per_s: of(|f| f.ops_per_s)?,
        cycles_per_op: of(|f| f.cycles_per_op)?,
        user_s: of(|f| f.user_s)?,
        sys_s: of(|f| f.sys_s)?,
        peak_rss_kib: of(|f| f.peak_rss_kib as f64)? as u64,
    })
}

/// The middle value, or the mean of the middle two.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some((values[low] + values[high]) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn the_matrix_has_every_variant_of_the_report_twice_but_the_control() {
        let tree = crate::workspace::variants().expect("the variants");
        let ids = chosen_variants(&tree, &[]).expect("the matrix");
        let expected = [
            "legacy",
            "superslab",
            "superslab-hash",
            "option-a",
            "option-a-hash",
            "option-ab",
            "option-ab-hash",
            "option-abd",
            "option-abd-hash",
            "option-ad",
            "option-ad-hash",
        ];
        assert_eq!(ids, expected);
    }

    #[test]
    fn a_variant_stands_for_both_lookups_and_brings_the_control() {
        let tree = crate::workspace::variants().expect("the variants");
        let ids = |asked: &str| chosen_variants(&tree, &[asked.to_owned()]);
        assert_eq!(ids("option-a").expect("known"), ["legacy", "option-a", "option-a-hash"]);
        assert_eq!(ids("option-a-hash").expect("known"), ["legacy", "option-a-hash"]);
        let error = ids("option-z").expect_err("unknown").to_string();
        assert!(error.contains("`option-z`") && error.contains("option-abd"), "{error}");
    }
}
