//! The rounds: every cell in turn, each round in the reverse order of the one before.

use super::Options;
use super::cells::{Cell, Programs, Sample};
use super::journal::{Journal, Kind, Run};
use super::passport::Passport;
use super::result::{Control, Matrix, Measured};
use crate::tree::Tree;
use crate::workspace;
use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;

/// Runs the plan, prints progress, and keeps what it can when a run fails or is interrupted.
pub(super) fn measure(
    tree: &Tree,
    plan: &[Cell],
    programs: &Programs,
    options: &Options,
    passport: Passport,
) -> Result<Matrix> {
    let rounds = options.rounds();
    let identity = (plan, rounds, passport.identity());
    let folder = workspace::target().join("bench");
    let journal = Journal::open(&folder, &identity, &programs.files(), options.fresh)?;
    let done = journal.len()?;
    if done > 0 {
        eprintln!("resuming: {done} runs were done before an interruption; --fresh starts over");
    }
    let runs = runs(plan, rounds);
    let bar = progress(runs.len());
    // Why a cell gave no result; it is not tried again.
    let mut failed: BTreeMap<usize, String> = BTreeMap::new();
    // Why the first run that could not be traced could not; no cell fails for it.
    let mut untraced = None;
    for run in runs {
        let cell = &plan[run.place];
        bar.set_message(format!("{} on {}", cell.id, cell.workload));
        bar.inc(1);
        if failed.contains_key(&run.place) {
            continue;
        }
        let taken = journal.take(run, || match run.kind {
            Kind::Counted => programs.count(cell),
            Kind::Traced => programs.trace(cell),
            Kind::Timed(_) | Kind::Repeated(_) => programs.time(cell),
        });
        match (taken, run.kind) {
            (Ok(()), _) => {}
            (Err(error), Kind::Traced) => {
                untraced.get_or_insert(format!("{error:#}"));
            }
            (Err(error), _) => {
                failed.insert(run.place, format!("{error:#}"));
            }
        }
    }
    bar.finish_and_clear();
    let failed = failed.into_values().collect();
    let mut matrix = summed_up(tree, plan, &journal, rounds, passport, failed)?;
    let untraced = untraced.map(|why| ("system calls".to_owned(), why));
    matrix.passport.unavailable.extend(untraced);
    journal.close()?;
    Ok(matrix)
}

/// All runs in their order: the rounds, and then the runs that count events, and system calls.
fn runs(plan: &[Cell], rounds: u32) -> Vec<Run> {
    let mut runs = Vec::new();
    for round in 0..rounds {
        let first = runs.len();
        runs.extend((0..plan.len()).map(|place| Run { place, kind: Kind::Timed(round) }));
        if round % 2 == 1 {
            runs[first..].reverse();
        }
        let controls = (0..plan.len()).filter(|&place| plan[place].is_control());
        runs.extend(controls.map(|place| Run { place, kind: Kind::Repeated(round) }));
    }
    let counted = (0..plan.len()).filter(|&place| !plan[place].peer);
    runs.extend(counted.map(|place| Run { place, kind: Kind::Counted }));
    runs.extend((0..plan.len()).map(|place| Run { place, kind: Kind::Traced }));
    runs
}

fn summed_up(
    tree: &Tree,
    plan: &[Cell],
    journal: &Journal,
    rounds: u32,
    passport: Passport,
    failed: Vec<String>,
) -> Result<Matrix> {
    let samples = |place, kind: fn(u32) -> Kind| -> Vec<Sample> {
        let runs = (0..rounds).map(|round| Run { place, kind: kind(round) });
        runs.filter_map(|run| journal.get(run)).collect()
    };
    let (mut control, mut cells, mut first) = (BTreeMap::new(), Vec::new(), None);
    for (place, cell) in plan.iter().enumerate() {
        let timed = samples(place, Kind::Timed);
        first = first.or_else(|| timed.first().cloned());
        if let Some(moved) = Control::of(&timed, &samples(place, Kind::Repeated)) {
            control.insert(format!("{} {}", cell.workload, cell.args.ws), moved);
        }
        let once = |kind| journal.get(Run { place, kind });
        let events = once(Kind::Counted).and_then(|sample| sample.events);
        let calls = once(Kind::Traced).and_then(|sample| sample.system_calls_per_op());
        let measured = Measured::of(tree, cell, timed, events);
        cells.extend(measured.map(|cell| Measured { system_calls_per_op: calls, ..cell }));
    }
    let Some(first) = first else {
        let why = failed.first().map_or("none was planned", String::as_str);
        bail!("no run gave a result: {why}");
    };
    let noisy = control.values().any(Control::is_noisy);
    let passport = passport.counted_as(&first);
    let mut matrix = Matrix { passport, parts: Vec::new(), rounds, control, noisy, cells, failed };
    matrix.compare(tree);
    Ok(matrix)
}

/// A bar with the work that is left, and the current cell.
pub(crate) fn progress(len: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len}, {eta} left: {msg}");
    ProgressBar::new(len as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
