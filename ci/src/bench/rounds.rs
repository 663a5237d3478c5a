//! The rounds: every cell in turn, each round in the reverse order of the one before.

use super::Options;
use super::cells::{Cell, Programs, Sample};
use super::journal::{Journal, Run};
use super::passport::Passport;
use super::result::{CONTROL, Control, Matrix, Measured};
use crate::tree::Tree;
use crate::workspace;
use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;

/// Samples by place in the plan, as they come.
struct Taken<'a> {
    plan: &'a [Cell],
    /// Places of the control's cells.
    controls: Vec<usize>,
    samples: Vec<Vec<Sample>>,
    repeats: Vec<Vec<Sample>>,
    events: Vec<Option<Sample>>,
    /// Why a place gave no result; it is not tried again.
    failed: BTreeMap<usize, String>,
    journal: Journal,
    bar: ProgressBar,
}

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
    if journal.len() > 0 {
        eprintln!(
            "resuming: {} runs were done before an interruption; --fresh starts over",
            journal.len()
        );
    }
    let mut taken = Taken::new(plan, journal, rounds);
    for round in 0..rounds {
        taken.round(programs, round);
    }
    taken.count_events(programs);
    taken.into_matrix(tree, rounds, passport)
}

impl<'a> Taken<'a> {
    fn new(plan: &'a [Cell], journal: Journal, rounds: u32) -> Self {
        let is_control = |&place: &usize| plan[place].id == CONTROL && !plan[place].peer;
        let controls: Vec<usize> = (0..plan.len()).filter(is_control).collect();
        let counted = plan.iter().filter(|cell| !cell.peer).count();
        let bar = progress(((plan.len() + controls.len()) * rounds as usize + counted) as u64);
        Self {
            plan,
            samples: vec![Vec::new(); plan.len()],
            repeats: vec![Vec::new(); controls.len()],
            controls,
            events: vec![None; plan.len()],
            failed: BTreeMap::new(),
            journal,
            bar,
        }
    }

    fn round(&mut self, programs: &Programs, round: u32) {
        let mut order: Vec<usize> = (0..self.plan.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for place in order {
            let timed = |cell: &Cell| programs.time(cell);
            if let Some(sample) = self.take(place, Run::Timed { place, round }, timed) {
                self.samples[place].push(sample);
            }
        }
        for control in 0..self.controls.len() {
            let run = Run::Repeated { control, round };
            let timed = |cell: &Cell| programs.time(cell);
            if let Some(sample) = self.take(self.controls[control], run, timed) {
                self.repeats[control].push(sample);
            }
        }
    }

    fn count_events(&mut self, programs: &Programs) {
        for place in (0..self.plan.len()).filter(|&place| !self.plan[place].peer) {
            let count = |cell: &Cell| programs.count(cell);
            self.events[place] = self.take(place, Run::Counted { place }, count);
        }
    }

    /// One run, unless the place has failed before.
    fn take(
        &mut self,
        place: usize,
        run: Run,
        measure: impl FnOnce(&Cell) -> Result<Sample>,
    ) -> Option<Sample> {
        let cell = &self.plan[place];
        self.bar.set_message(format!("{} on {}", cell.id, cell.workload));
        self.bar.inc(1);
        if self.failed.contains_key(&place) {
            return None;
        }
        let sample = self.journal.take(run, || measure(cell));
        sample.map_err(|error| self.failed.insert(place, format!("{error:#}"))).ok()
    }

    fn into_matrix(self, tree: &Tree, rounds: u32, passport: Passport) -> Result<Matrix> {
        self.bar.finish_and_clear();
        let failed: Vec<String> = self.failed.into_values().collect();
        let Some(first) = self.samples.iter().flatten().next() else {
            let why = failed.first().map_or("none was planned", String::as_str);
            bail!("no run gave a result: {why}");
        };
        let mut matrix = Matrix {
            passport: passport.counted_by(&first.counter),
            parts: Vec::new(),
            rounds,
            control: BTreeMap::new(),
            noisy: false,
            cells: Vec::new(),
            failed,
        };
        for (&place, repeats) in self.controls.iter().zip(&self.repeats) {
            let cell = &self.plan[place];
            if let Some(control) = Control::of(&self.samples[place], repeats) {
                matrix.noisy |= control.is_noisy();
                matrix.control.insert(format!("{} {}", cell.workload, cell.args.ws), control);
            }
        }
        let places = self.plan.iter().zip(self.samples).zip(&self.events);
        matrix.cells = places
            .filter_map(|((cell, samples), events)| {
                Measured::of(tree, cell, samples, events.as_ref())
            })
            .collect();
        matrix.compare(tree);
        self.journal.close()?;
        Ok(matrix)
    }
}

fn progress(len: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len}, {eta} left: {msg}");
    ProgressBar::new(len).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
