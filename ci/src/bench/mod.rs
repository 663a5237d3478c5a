//! `cargo ci bench`: the main job. Measures the matrix and prints it.
//!
//! Each cell runs in a process of its own (`hakmem-cell`), round by round, each round in the reverse
//! order of the one before (A B B A), and each run is written down as it ends. Speed comes from a build
//! without event counters, the events from one more run, of a build with them, and the system calls from
//! another, which is traced.

pub(crate) mod cells;
mod journal;
pub(crate) mod json;
mod merge;
pub(crate) mod passport;
pub(crate) mod peers;
pub(crate) mod plan;
pub(crate) mod result;
pub(crate) mod rounds;
pub(crate) mod stats;
mod system_calls;
pub(crate) mod table;
mod verdicts;

pub(crate) use merge::{MergeOptions, merge};

use crate::tree::Tree;
use crate::workspace::Profile;
use anyhow::{Result, bail, ensure};
use cells::Programs;
use clap::Args;
use fs_err as fs;
use hakmem_workloads::Workload;
use json::Json;
use passport::Passport;
use plan::Shard;
use result::Matrix;
use std::path::{Path, PathBuf};

/// Start of the random numbers, unless asked otherwise.
const SEED: u64 = 42;

/// How much a command measures; shared by every command that measures the matrix.
#[derive(Args, Clone, Copy, Default)]
pub(crate) struct Extent {
    /// Measure a fifth of the operations, three rounds, built without fat LTO: 40 seconds once built
    #[arg(long)]
    quick: bool,
    /// Run every workload, not only those of the founding report
    #[arg(long)]
    suite: bool,
    /// Runs of each cell [default: 13, or 3 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
}

impl Extent {
    /// At full length, so many rounds.
    pub(crate) fn of(suite: bool, rounds: u32) -> Self {
        Self { quick: false, suite, rounds: Some(rounds) }
    }
}

#[derive(Args, Clone, Default)]
pub(crate) struct Options {
    #[command(flatten)]
    extent: Extent,
    /// Variants to measure, by id; one without its lookup's name stands for both lookups
    #[arg(long, value_delimiter = ',', value_name = "ID,…")]
    variants: Vec<String>,
    /// Workloads to run
    #[arg(long, value_delimiter = ',', value_name = "NAME,…", conflicts_with = "suite")]
    workloads: Vec<Workload>,
    /// Operations per run [default: the workload's share of 10000000, or of 2000000 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    cycles: Option<u64>,
    /// Slots, instead of each workload's own
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1 << 28))]
    ws: Option<u32>,
    /// Start of the random numbers
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// Run other allocators in the same rounds: mimalloc 2 and 3, `rusty_alloc`, jemalloc, snmalloc, rpmalloc, the
    /// system's. Builds them first, which takes minutes and needs a C++ compiler
    #[arg(long)]
    peers: bool,
    /// Also measure the variants that `cargo ci ledger` compares the matrix with
    #[arg(long, conflicts_with = "variants")]
    ledger: bool,
    /// Measure the Ith of N parts of the variants, with the control; `cargo ci merge` joins the parts
    #[arg(long, value_name = "I/N", conflicts_with = "verdicts")]
    shard: Option<Shard>,
    /// Start over, instead of going on where the same measurement was interrupted
    #[arg(long)]
    fresh: bool,
    /// Also keep the results in docs/results/, under the commit, for the page's history
    #[arg(long)]
    record: bool,
    #[command(flatten)]
    json: Json,
    /// Also write docs/report-verdicts.md: the founding report's claims, judged by this run
    #[arg(long)]
    verdicts: bool,
}

impl Options {
    /// Options of a command that measures a result of its own.
    pub(crate) fn for_ledger(extent: Extent, peers: bool) -> Self {
        Self { extent, peers, ledger: true, seed: SEED, ..Self::default() }
    }

    /// As [`for_ledger`](Self::for_ledger), and the rows by which the report's claims are judged.
    pub(crate) fn for_verdicts(extent: Extent) -> Self {
        Self { verdicts: true, ..Self::for_ledger(extent, false) }
    }

    /// The default variant, as a program's own allocator, beside all other allocators.
    pub(crate) fn beside_peers(extent: Extent, default: &str) -> Self {
        let variants = vec![default.to_owned()];
        Self { extent, peers: true, variants, seed: SEED, ..Self::default() }
    }

    fn profile(&self) -> Profile {
        if self.extent.quick { Profile::Optimised } else { Profile::Release }
    }

    fn rounds(&self) -> u32 {
        self.extent.rounds.unwrap_or(if self.extent.quick { 3 } else { 13 })
    }

    /// Operations of a run. A quarter where no cache holds the blocks, since each operation takes that much longer.
    fn cycles(&self, workload: Workload, ws: usize) -> u64 {
        let share = workload.scaled(if self.extent.quick { 2_000_000 } else { 10_000_000 });
        self.cycles.unwrap_or(if ws >= plan::LARGE_WS { share / 4 } else { share })
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let tree = crate::workspace::variants()?;
    let whole = options.variants.is_empty() && options.workloads.is_empty() && options.ws.is_none();
    ensure!(
        whole || !options.verdicts,
        "--verdicts judges the whole matrix; not allowed with it: --variants, --workloads, --ws"
    );
    let (matrix, programs) = measured(&tree, options)?;
    print(&matrix, &tree);
    options.json.write(&matrix)?;
    if options.record {
        record(matrix.clone())?;
    }
    if options.verdicts {
        verdicts::write(&matrix, &tree, &programs, options)?;
    }
    match matrix.failed.as_slice() {
        [] => Ok(()),
        failed => bail!("{} of the cells failed: {}", failed.len(), failed.join("; ")),
    }
}

/// Builds the programs and runs the plan.
pub(crate) fn measured(tree: &Tree, options: &Options) -> Result<(Matrix, Programs)> {
    // Wrong options are reported before anything is built.
    plan::plan(tree, options, &[])?;
    options.json.check()?;
    // Taken now: edits while this builds and runs are no part of the measured commit.
    let passport = Passport::here(options.profile());
    let mut programs = Programs::build(options.profile())?;
    if options.peers {
        programs.peers = peers::build();
    }
    let peers: Vec<&str> = programs.peers.keys().map(String::as_str).collect();
    let plan = plan::plan(tree, options, &peers)?;
    let matrix = rounds::measure(tree, &plan, &programs, options, passport)?;
    Ok((matrix, programs))
}

fn print(matrix: &Matrix, tree: &Tree) {
    println!("{}", table::text(matrix, tree));
    peers::print(matrix);
}

/// The matrix, as `cargo ci publish` writes it.
pub(crate) use table::text;

/// The default variant beside other allocators, as `cargo ci publish` writes it.
pub(crate) fn standing(matrix: &Matrix) -> String {
    format!("{}\n\n{}", matrix.passport.lines(), peers::standing(matrix))
}

/// Writes docs/report-verdicts.md.
pub(crate) use verdicts::write as judge;

/// Reads a file that `--json` wrote.
pub(crate) fn load(file: &Path) -> Result<Matrix> {
    json::read(file, "cargo ci bench --json")
}

/// The folder of the results that are kept.
pub(crate) fn records() -> PathBuf {
    crate::workspace::root().join("docs/results")
}

/// Keeps the part of a result that the page's history needs: the founding report's workloads.
fn record(mut matrix: Matrix) -> Result<()> {
    let kept = Workload::REPORT.map(Workload::name);
    matrix.cells.retain(|cell| kept.contains(&cell.workload.as_str()));
    let Passport { commit, date, .. } = &matrix.passport;
    let (day, commit) = (date.get(..10).unwrap_or(date), commit.get(..12).unwrap_or(commit));
    let name = format!("{day}-{commit}.json");
    fs::create_dir_all(records())?;
    fs::write(records().join(&name), serde_json::to_string(&matrix)?)?;
    println!("\nwritten: docs/results/{name}");
    Ok(())
}
