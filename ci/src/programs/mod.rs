//! `cargo ci programs`: real programs under the system's malloc, and under `libhakmem.so` of every variant; before them the
//! programs of `preload/tests`.
//!
//! Each prints the same and ends the same under every allocator, or the run has failed. Time is that of the
//! wall, memory the peak RSS of the largest process; a process starts with that of whoever started it, so
//! nothing below this program's own, some MiB, is seen. A `TMPDIR` in memory keeps the disk out of the times.

mod folder;
mod list;
mod peers;
mod process;
mod rounds;
mod table;

use crate::bench::passport::Passport;
use crate::bench::plan;
use crate::checks::{Checks, FEW_FORKS};
use crate::preload;
use crate::tree::Tree;
use crate::workspace;
use anyhow::{Context, Result, bail};
use list::{PROGRAMS, Program, Sets, Size};
use rounds::{Allocator, Cell, Failure, Kind, LIMIT, Plan};
use serde::Serialize;
use std::fs::OpenOptions;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Programs to run, instead of all
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
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
    /// Also write the results to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// All that was measured, as `--json` writes it.
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
    /// What could not be installed, and why.
    skipped: Vec<String>,
}

/// What a program was given to do.
#[derive(Serialize)]
struct Given {
    name: &'static str,
    version: String,
    size: u32,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let tree = workspace::variants()?;
    let (programs, variants) = (options.programs()?, options.variants(&tree)?);
    // Before the minutes that the measuring takes, not after.
    if let Some(file) = &options.json {
        let writable = OpenOptions::new().create(true).append(true).open(file);
        writable.with_context(|| format!("--json {}", file.display()))?;
    }
    // Taken now: what is edited while this builds and runs is not what it measures.
    let passport = Passport::here().counted_by("wall");
    let mut skipped = Vec::new();
    let programs = installed(programs, &mut skipped);
    // Not where programs are asked for by name.
    let checks = options.programs.is_empty().then(Checks::build).transpose()?;
    let (mut allocators, mut unpassed) = (vec![Allocator::system()], Vec::new());
    eprintln!("building libhakmem.so: {}", variants.join(", "));
    for (id, library) in variants.iter().zip(preload::libraries(&variants)?) {
        if let Some(checks) = &checks {
            for failure in checks.failures(Some((id, &library)), FEW_FORKS) {
                eprintln!("{failure}");
                unpassed.push(failure);
            }
        }
        allocators.push(Allocator::preloaded(id, Kind::Variant, &library)?);
    }
    if options.peers {
        allocators.extend(peers::found(&mut skipped));
    }
    for line in &skipped {
        eprintln!("{line}");
    }
    if programs.is_empty() {
        bail!("none of the programs is here");
    }
    let size = if options.quick { Size::Quick } else { Size::Full };
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 3 });
    let plan = Plan { programs: &programs, allocators: &allocators, size, rounds, limit: LIMIT };
    let taken = plan.measure()?;
    let given = |program: &&Program| Given {
        name: program.name,
        version: program.version(),
        size: program.size(size),
    };
    let outcome = Outcome {
        passport,
        rounds,
        quick: options.quick,
        programs: programs.iter().map(given).collect(),
        allocators: allocators.into_iter().map(|one| (one.name, one.kind)).collect(),
        cells: taken.cells,
        failed: taken.failed,
        skipped,
    };
    table::print(&outcome);
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&outcome)?;
        std::fs::write(file, text).with_context(|| format!("--json {}", file.display()))?;
    }
    // A peer that fails is their matter.
    let failed = outcome.failed.iter().filter(|failure| failure.kind != Kind::Peer);
    refuse(unpassed.into_iter().chain(failed.map(Failure::line)).collect())
}

/// For `cargo ci test`: the programs of the short set that are here, once, with little to do.
pub(crate) fn short(libraries: &[(String, PathBuf)]) -> Result<()> {
    let in_set = PROGRAMS.iter().filter(|program| program.sets != Sets::Full);
    let (programs, missing): (Vec<_>, Vec<_>) = in_set.partition(|program| program.is_installed());
    for program in missing {
        eprintln!("{} is not installed: skipped", program.name);
    }
    let mut allocators = vec![Allocator::system()];
    for (id, library) in libraries {
        allocators.push(Allocator::preloaded(id, Kind::Variant, library)?);
    }
    let (size, rounds) = (Size::Quick, 1);
    let plan = Plan { programs: &programs, allocators: &allocators, size, rounds, limit: LIMIT };
    refuse(plan.measure()?.failed.iter().map(Failure::line).collect())?;
    let names: Vec<&str> = programs.iter().map(|program| program.name).collect();
    println!(
        "under {} libraries as under the system's malloc: {}",
        libraries.len(),
        names.join(", ")
    );
    Ok(())
}

/// Fails if there is a failure.
fn refuse(failed: Vec<String>) -> Result<()> {
    if failed.is_empty() {
        return Ok(());
    }
    bail!("{} of the runs failed: {}", failed.len(), failed.join("; "));
}

/// The programs that are here, or can be installed; the others are named in a line.
fn installed(programs: Vec<&'static Program>, skipped: &mut Vec<String>) -> Vec<&'static Program> {
    let mut there = Vec::new();
    for program in programs {
        match program.install() {
            Ok(()) => there.push(program),
            Err(error) => skipped.push(format!("{} is skipped: {error:#}", program.name)),
        }
    }
    there
}

impl Options {
    /// The programs asked for, or those of the set, in the order of the list.
    fn programs(&self) -> Result<Vec<&'static Program>> {
        let known = PROGRAMS.each_ref().map(|program| program.name);
        if let Some(name) = self.programs.iter().find(|name| !known.contains(&name.as_str())) {
            bail!("--programs: no program `{name}`; allowed: {}", known.join(", "));
        }
        let left_out = if self.quick { Sets::Full } else { Sets::Short };
        let is_chosen = |program: &&Program| match self.programs.as_slice() {
            [] => program.sets != left_out,
            asked => asked.iter().any(|name| name == program.name),
        };
        Ok(PROGRAMS.iter().filter(is_chosen).collect())
    }

    /// The ids asked for, or all, each behind its parent.
    fn variants(&self, tree: &Tree) -> Result<Vec<String>> {
        let known = || tree.variants.keys().cloned();
        if let Some(id) = self.variants.iter().find(|id| !tree.variants.contains_key(*id)) {
            let known: Vec<String> = known().collect();
            bail!("--variants: no variant `{id}`; allowed: {}", known.join(", "));
        }
        let is_chosen = |id: &String| self.variants.is_empty() || self.variants.contains(id);
        let mut ids: Vec<String> = known().filter(is_chosen).collect();
        ids.sort_by_key(|id| plan::depth_first(tree, id));
        Ok(ids)
    }
}

impl Outcome {
    /// Where it was measured, for people.
    fn passport_line(&self) -> String {
        let Passport { commit, dirty, cpu, cores, kernel, date, .. } = &self.passport;
        let short = commit.get(..12).unwrap_or(commit);
        let dirty = if *dirty { " (dirty)" } else { "" };
        format!("commit {short}{dirty} · {cpu}, {cores} cores · Linux {kernel} · {date}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(programs: &[&str], variants: &[&str], quick: bool) -> Options {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let (programs, variants) = (owned(programs), owned(variants));
        Options { programs, variants, peers: false, rounds: None, quick, json: None }
    }

    #[test]
    fn a_wrong_name_is_told_what_is_allowed() {
        let error = options(&["emacs"], &[], false).programs().err().expect("no such program");
        let said = error.to_string();
        assert!(said.starts_with("--programs: no program `emacs`; allowed: python3, "), "{said}");
        assert_eq!(said.lines().count(), 1);
        let tree = workspace::variants().expect("the tree");
        let error = options(&[], &["option-z"], false).variants(&tree).err();
        let said = error.expect("no such variant").to_string();
        assert!(said.starts_with("--variants: no variant `option-z`; allowed: "), "{said}");
        assert_eq!(said.lines().count(), 1);
    }

    #[test]
    fn what_is_not_named_is_the_set() {
        let names = |options: &Options| -> Vec<&str> {
            options.programs().expect("names").iter().map(|program| program.name).collect()
        };
        assert!(names(&options(&[], &[], false)).contains(&"redis"));
        assert!(!names(&options(&[], &[], true)).contains(&"redis"));
        assert_eq!(names(&options(&["redis", "perl"], &[], true)), ["perl", "redis"]);
        let tree = workspace::variants().expect("the tree");
        let all = options(&[], &[], false).variants(&tree).expect("all");
        assert_eq!(all.len(), tree.variants.len());
        assert_eq!(options(&[], &["legacy"], true).variants(&tree).expect("one"), ["legacy"]);
    }
}
