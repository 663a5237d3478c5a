//! The founding report's cycle budget, rebuilt: a method for each of its lines, in cycles per operation of its
//! workload.
//!
//! The lines are measured apart from each other, so they need not add up to the total; the rest is shown as not
//! separated.

use super::model::{Part, Stage};
use crate::bench::cells::{Cell, Events, Programs, Sample};
use crate::bench::peers::{self, NULL};
use crate::bench::result::{Matrix, Measured, MeasuredArgs};
use crate::bench::stats;
use anyhow::{Context, Result};
use hakmem_workloads::{Args, Workload};

/// The baseline without its soft cap: its cost when nothing falls back.
pub(super) const WITHOUT_CAP: &str = "superslab-cap-none";
const BASELINE: &str = "superslab";
/// The report's variant with every fix.
const BEST: &str = "option-abd-hash";

const WORKLOAD: Workload = Workload::RandomMixed;
const WS: usize = 8192;
/// A working set that the first-level cache nearly holds.
const SMALL_WS: usize = 256;

/// Operations of a run of a path that turns over many blocks.
const SHIFTS: u64 = 1000;

/// Repetitions of a path, of which the median counts.
const REPEATS: usize = 9;

/// Allocations and frees in a turn of the path `retire_reuse`.
const SHIFT_PAIRS: f64 = 640.0;

/// A line of the report: its name, and its figures for the three stages; `None` is a dash.
type Said = (&'static str, [Option<[f64; 2]>; 3]);

const SAID: [Said; 6] = [
    ("SuperSlab lookup", [Some([50.0, 80.0]), Some([8.0, 12.0]), Some([8.0, 12.0])]),
    ("legacy fallback", [Some([30.0, 50.0]), Some([30.0, 50.0]), Some([0.0, 0.0])]),
    ("SuperSlab backend", [None, None, Some([15.0, 20.0])]),
    ("fragmentation", [Some([30.0, 50.0]), Some([30.0, 50.0]), Some([20.0, 30.0])]),
    ("TLS drain", [Some([10.0, 15.0]); 3]),
    ("actual work", [Some([30.0, 40.0]); 3]),
];

/// The report's names of the stages, the variants that correspond to them, and its totals.
const STAGES: [(&str, &str, f64); 3] = [
    ("now", BASELINE, 212.0),
    ("after 9-1", "superslab-hash", 152.0),
    ("after 9-1 + 9-2", BEST, 95.0),
];

/// The source of prices and events.
struct Sources<'a> {
    matrix: &'a Matrix,
    programs: Programs,
}

/// Prices that are measured once, for every stage, in cycles.
struct Shared {
    fallback: f64,
    /// The life of a slab.
    slab: f64,
    /// An operation of the workload with the null allocator, at both working sets.
    null: [f64; 2],
}

pub(super) fn take(matrix: &Matrix) -> Result<Vec<Stage>> {
    let mut programs = Programs::build(matrix.passport.profile)?;
    programs.peers.insert(NULL.to_owned(), peers::program(NULL, matrix.passport.profile)?);
    let sources = Sources { matrix, programs };
    let null = [sources.null(WS)?, sources.null(SMALL_WS)?];
    let shared = Shared { fallback: sources.fallback()?, slab: sources.slab(BEST)?, null };
    let stages = STAGES.into_iter().enumerate();
    stages.map(|(index, stage)| sources.stage(index, stage, &shared)).collect()
}

/// Median cycles of an operation.
fn median(run: impl Fn() -> Result<Sample>) -> Result<f64> {
    let cycles = (0..REPEATS).map(|_| Ok(run()?.cycles_per_op())).collect::<Result<Vec<_>>>()?;
    stats::median(cycles).context("no run")
}

/// Number of events, per operation of a cell.
fn rate(cell: &Measured, count: fn(&Events) -> u64) -> f64 {
    count(&cell.events) as f64 / cell.args.cycles as f64
}

/// Lookups that find a SuperSlab, per operation. Half of the operations free, and look up; blocks that fell back are
/// not found.
fn hits(cell: &Measured) -> f64 {
    rate(cell, |events| events.lookups) - rate(cell, Events::all_fallbacks)
}

impl Sources<'_> {
    fn cell(&self, id: &str, ws: usize) -> Result<&Measured> {
        let cell = self.matrix.in_row(id, (WORKLOAD.name(), ws));
        cell.with_context(|| format!("the result has no {id} on {WORKLOAD} {ws}"))
    }

    /// Median cycles per operation of the workload on the null allocator: from the result itself, or from runs as long
    /// as those of the result.
    fn null(&self, ws: usize) -> Result<f64> {
        let mut nulls = self.matrix.cells.iter().filter(|cell| cell.peer && cell.id == NULL);
        if let Some(cell) = nulls.find(|cell| cell.is_in((WORKLOAD.name(), ws))) {
            return Ok(cell.median.cycles_per_op);
        }
        let MeasuredArgs { cycles, seed, .. } = self.cell(BASELINE, ws)?.args;
        let args = Args { cycles, ws, seed };
        let cell = Cell { id: NULL.to_owned(), peer: true, workload: WORKLOAD, args };
        median(|| self.programs.time(&cell))
    }

    /// Median cycles of an operation of a path.
    fn path(&self, variant: &str, path: &str, ops: u64) -> Result<f64> {
        median(|| self.programs.time_path(variant, path, ops))
    }

    /// Events of an operation of a path.
    fn events(&self, variant: &str, path: &str, count: fn(&Events) -> u64) -> Result<f64> {
        let sample = self.programs.count_path(variant, path, SHIFTS)?;
        let events = sample.events.with_context(|| format!("{path} counted nothing"))?;
        Ok(count(&events) as f64 / SHIFTS as f64)
    }

    /// Cycles of the lookups in an operation of a cell.
    fn lookup(&self, cell: &Measured) -> Result<f64> {
        let price = |kind: &str| {
            let path = format!("lookup_{kind}_{}", cell.events.superslabs);
            self.path(&cell.id, &path, 1_000_000)
        };
        let misses = rate(cell, Events::all_fallbacks);
        let missing = if misses > 0.0 { misses * price("miss")? } else { 0.0 };
        Ok(hits(cell) * price("hit")? + missing)
    }

    /// A block allocated and freed in a loop over many, without a drain.
    fn pair(&self, variant: &str) -> Result<f64> {
        Ok(self.path(variant, "list_turnover", 8 * SHIFTS)? / 256.0)
    }

    /// Cost of a drain and of the refill that goes with it: the difference between a turn over 2048 blocks, which
    /// drains, and one over as many as the list holds.
    fn refill_and_drain(&self, variant: &str) -> Result<f64> {
        let drains = self.events(variant, "turnover", |events| events.drains)?;
        Ok((self.path(variant, "turnover", SHIFTS)? - 2048.0 * self.pair(variant)?) / drains)
    }

    /// Cost of a slab, from its acquisition to the next.
    fn slab(&self, variant: &str) -> Result<f64> {
        let acquired = self.events(variant, "retire_reuse", |events| events.acquire.all())?;
        let turn = self.path(variant, "retire_reuse", SHIFTS)?;
        Ok((turn - SHIFT_PAIRS * self.pair(variant)?) / acquired)
    }

    /// The price of one fallback, by ablation: the soft cap lifted, without the longer walk that finding a SuperSlab
    /// then takes.
    fn fallback(&self) -> Result<f64> {
        let (with, without) = (self.cell(BASELINE, WS)?, self.cell(WITHOUT_CAP, WS)?);
        let saved = with.median.cycles_per_op - without.median.cycles_per_op;
        let walk = self.lookup(without)? - self.lookup(with)?;
        let fallbacks = rate(with, Events::all_fallbacks);
        // A run too short to fall back has no fallback to price.
        Ok(if fallbacks > 0.0 { (saved + walk) / fallbacks } else { 0.0 })
    }

    fn stage(
        &self,
        index: usize,
        (name, variant, total): (&str, &str, f64),
        &Shared { fallback: per_fallback, slab: per_slab, null }: &Shared,
    ) -> Result<Stage> {
        let (large, small) = (self.cell(variant, WS)?, self.cell(variant, SMALL_WS)?);
        let fallbacks = rate(large, Events::all_fallbacks);
        let slabs = rate(large, |events| events.acquire.all());
        let [drains, drains_small] = [large, small].map(|cell| rate(cell, |events| events.drains));

        let (lookup, lookup_small) = (self.lookup(large)?, self.lookup(small)?);
        let per_drain = self.refill_and_drain(variant)?;
        let hit_pair = self.path(variant, "hit", 2_000_000)?
            - self.path(variant, "lookup_hit_1", 1_000_000)?;
        let grown = large.median.cycles_per_op - small.median.cycles_per_op;
        let of_parts = (lookup - lookup_small)
            + fallbacks * per_fallback
            + (drains - drains_small) * per_drain;
        let of_workload = null[0] - null[1];
        // In the order of `SAID`.
        let cycles = [
            lookup,
            fallbacks * per_fallback,
            slabs * per_slab,
            grown - of_parts - of_workload,
            drains * per_drain,
            null[0] + hit_pair / 2.0,
        ];
        let methods = [
            format!(
                "price times events: lookups per operation ({:.2} found, {fallbacks:.2} not) × the paths lookup_hit_{n} and lookup_miss_{n}",
                hits(large),
                n = large.events.superslabs
            ),
            format!(
                "ablation: {fallbacks:.4} fallbacks per operation × {per_fallback:.0} cycles, the difference of `{BASELINE}` and `{WITHOUT_CAP}` without the walk past the additional SuperSlabs"
            ),
            format!(
                "price times events: {slabs:.6} slabs acquired per operation × {per_slab:.0} cycles for the life of a slab, drains included (path retire_reuse of `{BEST}`, less its allocations and frees by list_turnover)"
            ),
            format!(
                "difference: {WS} slots less {SMALL_WS}, without the same differences of the lines above and below, and without the {of_workload:.1} of the null allocator"
            ),
            format!(
                "price times events: {drains:.4} drains per operation × {per_drain:.0} cycles for a drain and its refill (path turnover against list_turnover)"
            ),
            format!(
                "the workload on the null allocator ({:.1}), and half a hit pair without its lookup ({:.1})",
                null[0],
                hit_pair / 2.0
            ),
        ];
        let figures = SAID.into_iter().zip(cycles).zip(methods);
        let parts = figures.map(|(((name, said), cycles), method)| Part {
            name: name.to_owned(),
            said: said[index],
            cycles: Some(cycles),
            method,
        });
        Ok(Stage {
            name: name.to_owned(),
            variant: variant.to_owned(),
            said: total,
            measured: large.median.cycles_per_op,
            parts: parts.collect(),
        })
    }
}
