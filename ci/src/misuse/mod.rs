//! `cargo ci misuse`: runs programs that break the allocator's rules, under each library.
//!
//! Each program of `preload/misuse` breaks one rule. `docs/threat-model.md` has the table of outcomes.

mod outcome;
mod page;
mod programs;

use crate::preload;
use crate::workspace;
use anyhow::{Context, Result, bail, ensure};
use outcome::Outcome;
use programs::{Case, Program};
use rayon::prelude::*;
use std::iter;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run each program so many times, and fail if its results differ
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Run only the programs whose file names contain this, and print what each says; write nothing
    #[arg(long)]
    only: Option<String>,
}

/// A column of the table: a library that the programs run under.
struct Column {
    name: &'static str,
    /// The variant whose `libhakmem.so` is loaded; none for the C library's malloc.
    variant: Option<&'static str>,
    /// A setting in the programs' environment.
    setting: Option<(&'static str, &'static str)>,
    /// True if chance places the blocks, so that a misuse is noticed in one way or another.
    is_random: bool,
}

/// The columns of the table.
const COLUMNS: [Column; 4] = [
    Column { name: "apex", variant: Some("apex"), setting: None, is_random: false },
    Column {
        name: "apex, each block sampled",
        variant: Some("apex"),
        setting: Some(("HAKMEM_SAMPLE", "1")),
        is_random: false,
    },
    Column { name: "guard", variant: Some("guard"), setting: None, is_random: true },
    Column { name: "the C library's malloc", variant: None, setting: None, is_random: false },
];

/// A column with its library, built.
struct Library {
    name: &'static str,
    file: Option<PathBuf>,
    /// The same library under another name, so that a process can have both.
    copy: Option<PathBuf>,
    setting: Option<(&'static str, &'static str)>,
    is_random: bool,
}

/// A case's outcomes under the libraries, in the order of the columns.
struct Row {
    case: Case,
    outcomes: Vec<Outcome>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let only = options.only.as_deref();
    let rows = rows(options.rounds, only, worst)?;
    let text = page::text(&rows)?;
    println!("{text}");
    if only.is_some() { Ok(()) } else { page::write(&text) }
}

/// Fails if a program's result is not the one in `docs/threat-model.md`.
pub(crate) fn check() -> Result<()> {
    page::check(&rows(1, None, best)?)
}

/// Runs of a case under a library that draws lots.
const DRAWS: usize = 8;

/// The worst outcome of some runs: a page must not promise more than a library keeps.
fn worst(once: &dyn Fn() -> Result<Outcome>) -> Result<Outcome> {
    let outcomes = iter::repeat_with(once).take(DRAWS).collect::<Result<Vec<_>>>()?;
    outcomes.into_iter().max_by_key(Outcome::badness).context("there are runs")
}

/// The first outcome without harm, or that of the last run: chance alone must fail no check.
fn best(once: &dyn Fn() -> Result<Outcome>) -> Result<Outcome> {
    let mut outcome = once()?;
    for _ in 1..DRAWS {
        if outcome.badness() < Outcome::HARM {
            break;
        }
        outcome = once()?;
    }
    Ok(outcome)
}

fn rows(
    rounds: u32,
    only: Option<&str>,
    drawn: impl Fn(&dyn Fn() -> Result<Outcome>) -> Result<Outcome> + Sync,
) -> Result<Vec<Row>> {
    let programs = programs::built(only)?;
    let libraries = COLUMNS.iter().map(library).collect::<Result<Vec<_>>>()?;
    let cases: Vec<(&Program, Case)> = programs
        .iter()
        .flat_map(|program| program.cases().map(move |case| (program, case)))
        .collect();
    let varying = AtomicUsize::new(0);
    let row = |(program, case): (&Program, Case)| -> Result<Row> {
        let outcome = |library: &Library| {
            let once = || outcome::of(program, &case, library, only.is_some());
            let many =
                || if library.is_random { Ok((drawn(&once)?, true)) } else { steady(rounds, once) };
            let (outcome, is_steady) =
                many().with_context(|| format!("{case}, {}", library.name))?;
            if !is_steady {
                eprintln!("varies: {case}, {}", library.name);
                varying.fetch_add(1, Ordering::Relaxed);
            }
            Ok(outcome)
        };
        let outcomes = libraries.iter().map(outcome).collect::<Result<_>>()?;
        Ok(Row { case, outcomes })
    };
    let rows = cases.into_par_iter().map(row).collect::<Result<_>>()?;
    let varying = varying.into_inner();
    ensure!(varying == 0, "{varying} results vary from run to run");
    Ok(rows)
}

/// The first outcome of so many rounds, and whether all rounds had it.
fn steady(rounds: u32, once: impl Fn() -> Result<Outcome>) -> Result<(Outcome, bool)> {
    let first = once()?;
    for _ in 1..rounds {
        if once()? != first {
            return Ok((first, false));
        }
    }
    Ok((first, true))
}

fn library(column: &Column) -> Result<Library> {
    let &Column { name, variant, setting, is_random } = column;
    let Some(variant) = variant else {
        return Ok(Library { name, file: None, copy: None, setting, is_random });
    };
    let file = preload::library(variant)?;
    let Some(folder) = file.parent() else { bail!("{} has no folder", file.display()) };
    let copy = folder.join("libhakmem-copy.so");
    fs_err::copy(&file, &copy)?;
    Ok(Library { name, file: Some(file), copy: Some(copy), setting, is_random })
}

/// The version of the C library, whose malloc has a column.
fn c_library() -> String {
    let ldd = workspace::output_of("ldd", &["--version"]).unwrap_or_default();
    let first = ldd.lines().next().unwrap_or_default();
    first.rsplit(' ').next().unwrap_or_default().to_owned()
}
