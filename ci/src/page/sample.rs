//! Made-up results, for the tests of the page.

use crate::bench::cells::{Events, Sample};
use crate::bench::passport::Passport;
use crate::bench::result::{CONTROL, Control, Figures, Matrix, Measured, MeasuredArgs, Row};
use crate::bench::stats::{median, median_interval};
use crate::ledger::model::{Change, Edge, EdgeRow, Expectation, Ledger, Part, Stage};

/// Variant, parent, knob, and share of the parent's cycles.
pub(super) type Variant = (&'static str, &'static str, &'static str, f64);

pub(super) const VARIANTS: [Variant; 4] = [
    (CONTROL, "", "", 0.0),
    ("superslab", "", "", 1.1),
    ("option-a", "superslab", "recycle = \"freelist\"", 0.98),
    ("option-a-hash", "option-a", "registry = \"hash\"", 0.9),
];

pub(super) const BEST: &str = "option-a-hash";

pub(super) fn passport(commit: &str, day: u32) -> Passport {
    Passport {
        commit: commit.to_owned(),
        dirty: false,
        cpu: "Some <Processor> & more".to_owned(),
        cores: 2,
        kernel: "6.1".to_owned(),
        rustc: "rustc 1.95.0".to_owned(),
        counter: "tsc".to_owned(),
        date: format!("2026-01-{day:02}T00:00:00Z"),
    }
}

/// A run of the variants, and of peers, named with their cycles.
pub(super) fn run(
    variants: &[Variant],
    peers: &[(&str, f64)],
    rows: &[Row<'_>],
    rounds: u32,
) -> Matrix {
    let mut matrix = Matrix {
        passport: passport("0123456789abcdef", 3),
        parts: Vec::new(),
        rounds,
        control: rows.iter().map(|row| (format!("{} {}", row.0, row.1), control())).collect(),
        noisy: false,
        cells: Vec::new(),
        failed: Vec::new(),
    };
    for (at, row) in rows.iter().enumerate() {
        let base = 60.0 + 25.0 * at as f64 * at as f64;
        for (id, ..) in variants {
            let cycles = base * share(variants, id);
            matrix.cells.push(cell(id, false, *row, cycles, rounds));
        }
        for (id, share) in peers {
            matrix.cells.push(cell(id, true, *row, base * share, rounds));
        }
    }
    let against: Vec<_> = matrix
        .cells
        .iter()
        .map(|own| {
            let (_, parent, ..) = variants.iter().find(|(id, ..)| *id == own.id && !own.peer)?;
            matrix.against(own, matrix.in_row(parent, own.row())?)
        })
        .collect();
    for (cell, against) in matrix.cells.iter_mut().zip(against) {
        cell.against_parent = against;
    }
    matrix
}

pub(super) fn ledger(run: &Matrix, variants: &[Variant]) -> Ledger {
    let below = variants.iter().filter(|(_, parent, ..)| !parent.is_empty());
    let edges = below.map(|(id, parent, knob, _)| edge(run, id, parent, knob)).collect();
    let best = variants.last().map_or("", |(id, ..)| id);
    let others = variants.iter().filter(|(id, parent, ..)| *id != best && !parent.is_empty());
    let budget = [("now", 212.0, "superslab"), ("after 9-1 + 9-2", 95.0, best)];
    Ledger {
        passport: run.passport.clone(),
        noisy: false,
        edges,
        leave_one_out: others.map(|(id, _, knob, _)| edge(run, id, best, knob)).collect(),
        budget: budget.map(|(name, said, variant)| stage(run, name, said, variant)).into(),
    }
}

fn control() -> Control {
    Control { moved_percent: 2.0, interval_percent: 3.0 }
}

/// Of the control's cycles.
fn share(variants: &[Variant], id: &str) -> f64 {
    match variants.iter().find(|(variant, ..)| *variant == id) {
        Some((_, "", _, own)) if *own > 0.0 => *own,
        Some((_, parent, _, own)) if !parent.is_empty() => own * share(variants, parent),
        _ => 1.0,
    }
}

fn cell(id: &str, peer: bool, (workload, ws): Row<'_>, cycles: f64, rounds: u32) -> Measured {
    let samples: Vec<Sample> = (0..rounds).map(|n| sample(id, cycles, n)).collect();
    let per_op: Vec<f64> = samples.iter().map(Sample::cycles_per_op).collect();
    let figures = |cycles_per_op: f64| Figures {
        ops_per_s: 2.7e9 / cycles_per_op,
        cycles_per_op,
        user_s: 0.3,
        sys_s: 0.01,
        peak_rss_kib: 4_000 + 35 * id.len() as u64 * (cycles as u64 % 40),
        kernel_cycles_per_op: None,
        misses_per_op: None,
    };
    let mut events = Events::default();
    events.acquire.freelist = 869;
    events.acquire.unused = 31;
    events.fallbacks = vec![0, 0, 0, 0, 0, 0, 350_245, 1_211_111];
    Measured {
        id: id.to_owned(),
        variant: id.trim_end_matches("-hash").to_owned(),
        hash_lookup: id.ends_with("-hash"),
        lookup: String::new(),
        peer,
        workload: workload.to_owned(),
        args: MeasuredArgs { cycles: 10_000_000, ws, seed: 1 },
        median: figures(median(per_op.clone()).unwrap_or(cycles)),
        cycles_interval: median_interval(&per_op),
        min: figures(per_op.iter().copied().fold(f64::INFINITY, f64::min)),
        against_parent: None,
        kernel_percent: 3.2,
        events: if peer { Events::default() } else { events },
        samples,
        part: 0,
    }
}

/// Spread by something like chance, the same every time.
fn sample(id: &str, cycles: f64, round: u32) -> Sample {
    let seed = id.bytes().fold(round + 7, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u32::from(byte)) ^ (sum >> 7)
    });
    let spread = f64::from(seed.wrapping_mul(2_654_435_761) >> 16) / 65_536.0;
    Sample {
        ops: 10_000_000,
        counter: "tsc".to_owned(),
        cycles: 1e7 * cycles * (0.94 + 0.12 * spread),
        wall_s: 0.3,
        user_s: 0.3,
        sys_s: 0.01,
        peak_rss_kib: 5_000,
        kernel_cycles: None,
        cache_misses: None,
        events: None,
    }
}

fn edge(run: &Matrix, id: &str, against: &str, knob: &str) -> Edge {
    Edge {
        variant: id.to_owned(),
        against: against.to_owned(),
        knob: knob.to_owned(),
        question: format!("What does {knob} bring?"),
        code_bytes: Some(Change { from: 7_264.0, to: 7_392.0 }),
        rows: run.rows().into_iter().filter_map(|row| edge_row(run, id, against, row)).collect(),
    }
}

fn edge_row(run: &Matrix, id: &str, against: &str, row: Row<'_>) -> Option<EdgeRow> {
    let (own, other) = (run.in_row(id, row)?, run.in_row(against, row)?);
    let by = run.against(own, other)?;
    let of = |figure: fn(&Measured) -> f64| Some(Change { from: figure(other), to: figure(own) });
    let expected = Expectation {
        metric: "cycles_per_op".to_owned(),
        range: [-41.0, -34.0],
        measured_percent: by.percent,
        met: by.percent < -34.0,
    };
    let is_expected = id == "option-a" && row.0 == "random_mixed";
    Some(EdgeRow {
        workload: row.0.to_owned(),
        ws: row.1,
        instructions: of(|cell| 1.1 * cell.median.cycles_per_op),
        l1_misses_simulated: of(|cell| cell.median.cycles_per_op / 40.0),
        ll_misses_simulated: None,
        cycles: of(|cell| cell.median.cycles_per_op),
        cycles_percent: Some(by.percent),
        cycles_percent_interval: by.interval,
        peak_rss_kib: of(|cell| cell.median.peak_rss_kib as f64),
        kernel_percent: of(|cell| cell.kernel_percent),
        expected: is_expected.then_some(expected).into_iter().collect(),
    })
}

fn stage(run: &Matrix, name: &str, said: f64, variant: &str) -> Stage {
    let part = |name: &str, said, cycles| Part {
        name: name.to_owned(),
        said,
        cycles,
        method: format!("{name}: the difference to a variant without it"),
    };
    let measured = run.rows().first().and_then(|row| run.in_row(variant, *row));
    Stage {
        name: name.to_owned(),
        variant: variant.to_owned(),
        said,
        measured: measured.map_or(70.0, |cell| cell.median.cycles_per_op),
        parts: vec![
            part("SuperSlab lookup", Some([50.0, 80.0]), Some(9.3)),
            part("legacy fallback", Some([30.0, 50.0]), Some(14.2)),
            part("SuperSlab backend", None, Some(1.1)),
            part("fragmentation", Some([30.0, 50.0]), None),
            part("TLS drain", Some([10.0, 15.0]), Some(6.6)),
            part("actual work", Some([30.0, 40.0]), Some(if said > 100.0 { 26.1 } else { 41.4 })),
        ],
    }
}
