//! `cargo ci programs`: runs real programs under the system's malloc and under `libhakmem.so` of every variant; before
//! them the programs of `preload/tests`.
//!
//! The run fails unless each program has one output and one end under every allocator. Time is wall time; memory is the
//! peak RSS of the largest process. A process starts with the peak of the process that started it, so figures below
//! this program's own, some MiB, cannot be seen. A `TMPDIR` in memory keeps the disk out of the times.

mod allocators;
mod list;
mod process;
mod rounds;
mod table;

use crate::bench::json::Json;
use crate::bench::passport::{Passport, WALL};
use crate::bench::plan;
use crate::checks::{Checks, FEW_FORKS};
use crate::preload;
use crate::tree::Tree;
use crate::workspace::{self, Profile};
use allocators::{Allocator, Kind, PEERS};
use anyhow::{Result, ensure};
use itertools::Itertools;
use list::{PROGRAMS, Program};
use rounds::{Cell, Failure, LIMIT, Plan, Taken};
use serde::Serialize;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Programs to run, instead of all
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    #[arg(value_parser = PROGRAMS.map(|program| program.name))]
    programs: Vec<String>,
    /// Variants to run them under, by id, instead of all
    #[arg(long, value_delimiter = ',', value_name = "ID,…")]
    variants: Vec<String>,
    /// Also run them under Debian's mimalloc, jemalloc and tcmalloc
    #[arg(long)]
    peers: bool,
    /// Runs of each program under each allocator [default: 3, or 1 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// The short set of programs, a tenth of the work, one round
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    json: Json,
}

/// All measurements, as `--json` writes them.
#[derive(Serialize)]
struct Outcome {
    passport: Passport,
    rounds: u32,
    quick: bool,
    programs: Vec<Given>,
    /// Names, in the order of the tables' rows.
    allocators: Vec<(String, Kind)>,
    cells: Vec<Cell>,
    failed: Vec<Failure>,
    /// Programs that could not be installed, and why.
    skipped: Vec<String>,
}

/// A program's work.
#[derive(Serialize)]
struct Given {
    name: &'static str,
    version: String,
    size: u32,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let (outcome, failures) = measured(options)?;
    println!("{}", table::text(&outcome));
    options.json.write(&outcome)?;
    refuse(&failures)
}

/// Returns the failures too, in lines.
fn measured(options: &Options) -> Result<(Outcome, Vec<String>)> {
    let tree = workspace::variants()?;
    let (mut programs, variants) = (options.programs(), options.variants(&tree)?);
    options.json.check()?;
    // Taken now: edits while this builds and runs are no part of the measured commit.
    let passport = Passport::here(Profile::Release).counted_by(WALL);
    let mut skipped = Vec::new();
    programs.retain(|program| {
        let missing = program.install().err();
        skipped.extend(missing.iter().map(|why| format!("{} is skipped: {why:#}", program.name)));
        missing.is_none()
    });
    // The checks do not run if the command line names programs.
    let checks = options.programs.is_empty().then(Checks::build).transpose()?;
    let mut unpassed = Vec::new();
    eprintln!("building libhakmem.so: {}", variants.join(", "));
    let libraries = preload::libraries(&variants, Profile::Release)?;
    let libraries: Vec<(String, PathBuf)> = variants.into_iter().zip(libraries).collect();
    for (id, library) in &libraries {
        let failures = checks.iter().flat_map(|it| it.failures(Some((id, library)), FEW_FORKS));
        unpassed.extend(failures.inspect(|failure| eprintln!("{failure}")));
    }
    let mut allocators = Allocator::ours(&libraries)?;
    for peer in PEERS.into_iter().filter(|_| options.peers) {
        match Allocator::peer(peer) {
            Ok(allocator) => allocators.push(allocator),
            Err(error) => skipped.push(format!("peer {} is left out: {error:#}", peer.0)),
        }
    }
    for line in &skipped {
        eprintln!("{line}");
    }
    ensure!(!programs.is_empty(), "none of the programs is installed");
    let quick = options.quick;
    let rounds = options.rounds.unwrap_or(if quick { 1 } else { 3 });
    let plan = Plan { programs: &programs, allocators: &allocators, quick, rounds, limit: LIMIT };
    let Taken { cells, failed } = plan.measure()?;
    let given = |program: &&Program| Given {
        name: program.name,
        version: program.version(),
        size: program.size(quick),
    };
    let programs = programs.iter().map(given).collect();
    let allocators = allocators.into_iter().map(|one| (one.name, one.kind)).collect();
    let outcome = Outcome { passport, rounds, quick, programs, allocators, cells, failed, skipped };
    // A peer that fails does not fail this run.
    let failed = outcome.failed.iter().filter(|failure| failure.kind != Kind::Peer);
    unpassed.extend(failed.map(Failure::line));
    Ok((outcome, unpassed))
}

/// For `cargo ci test`: runs the installed programs of the short set once, with little work.
pub(crate) fn short(libraries: &[(String, PathBuf)]) -> Result<()> {
    let in_set = PROGRAMS.iter().filter(|program| program.is_in_set(true));
    let (programs, missing): (Vec<_>, Vec<_>) = in_set.partition(|program| program.is_installed());
    for program in missing {
        eprintln!("{} is not installed: skipped", program.name);
    }
    let allocators = Allocator::ours(libraries)?;
    let (quick, rounds, limit) = (true, 1, LIMIT);
    let plan = Plan { programs: &programs, allocators: &allocators, quick, rounds, limit };
    refuse(&plan.measure()?.failed.iter().map(Failure::line).collect_vec())?;
    println!(
        "equal under {} libraries and the system's malloc: {}",
        libraries.len(),
        programs.iter().map(|program| program.name).join(", ")
    );
    Ok(())
}

/// Fails if there is a failure.
fn refuse(failed: &[String]) -> Result<()> {
    ensure!(failed.is_empty(), "{} of the runs failed: {}", failed.len(), failed.join("; "));
    Ok(())
}

impl Options {
    /// The named programs, or those of the set, in the order of the list.
    fn programs(&self) -> Vec<&'static Program> {
        let is_chosen = |program: &&Program| match self.programs.as_slice() {
            [] => program.is_in_set(self.quick),
            asked => asked.iter().any(|name| name == program.name),
        };
        PROGRAMS.iter().filter(is_chosen).collect()
    }

    /// The named ids, or all, each behind its parent.
    fn variants(&self, tree: &Tree) -> Result<Vec<String>> {
        plan::check_ids(tree, &self.variants)?;
        let is_chosen = |id: &&String| self.variants.is_empty() || self.variants.contains(id);
        let ids = tree.variants.keys().filter(is_chosen).cloned();
        Ok(ids.sorted_by_key(|id| plan::depth_first(tree, id)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cli, Command};
    use clap::Parser;

    /// The programs and variants that a command line names.
    fn chosen(args: &[&str]) -> (Vec<&'static str>, Vec<String>) {
        let cli = Cli::parse_from([&["cargo ci", "programs"], args].concat());
        let Command::Programs(options) = cli.command else { panic!("{args:?}") };
        let variants = options.variants(&workspace::variants().expect("the tree"));
        let programs = options.programs().into_iter().map(|program| program.name).collect();
        (programs, variants.expect("their names"))
    }

    #[test]
    fn what_is_not_named_is_the_set() {
        let (programs, variants) = chosen(&[]);
        assert!(programs.contains(&"redis") && variants.contains(&"option-a-hash".to_owned()));
        assert!(!chosen(&["--quick"]).0.contains(&"redis"));
        let asked = ["--quick", "--programs", "redis,perl", "--variants", "legacy"];
        assert_eq!(chosen(&asked), (vec!["perl", "redis"], vec!["legacy".to_owned()]));
    }

    #[test]
    fn a_wrong_name_is_told_what_is_allowed() {
        let wrong = Cli::try_parse_from(["cargo ci", "programs", "--programs", "emacs"]).err();
        let said = wrong.expect("no such program").to_string();
        assert!(said.contains("emacs") && said.contains("python3, perl"), "{said}");
    }
}
