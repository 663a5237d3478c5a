//! `cargo ci bench`: the main job. Measures the matrix and prints it.
//!
//! Each cell runs in a process of its own (`hakmem-cell`), round by round, each round in the reverse
//! order of the one before (A B B A), and each run is written down as it ends. Speed comes from a build
//! without event counters, the events from a second run of a build with them.

pub(crate) mod cells;
mod journal;
mod merge;
pub(crate) mod passport;
pub(crate) mod peers;
pub(crate) mod plan;
pub(crate) mod result;
mod rounds;
mod standing;
pub(crate) mod stats;
mod sweep;
pub(crate) mod table;
mod verdicts;

pub(crate) use merge::{MergeOptions, merge};

use crate::tree::Tree;
use anyhow::{Context, Result, bail};
use cells::Programs;
use clap::Args;
use hakmem_workloads::Workload;
use passport::Passport;
use plan::Shard;
use result::Matrix;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

/// Start of the random numbers, unless asked otherwise.
const SEED: u64 = 42;

#[derive(Args, Clone)]
pub(crate) struct Options {
    /// A fifth of the operations and three rounds: 40 seconds once built
    #[arg(long)]
    quick: bool,
    /// Variants to measure, by id; one without its lookup's name stands for both lookups
    #[arg(long, value_delimiter = ',', value_name = "ID,…")]
    variants: Vec<String>,
    /// Workloads to run
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    workloads: Vec<Workload>,
    /// Run every workload, not only those of the founding report
    #[arg(long, conflicts_with = "workloads")]
    suite: bool,
    /// Runs of each cell [default: 13, or 3 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Operations per run [default: the workload's share of 10000000, or of 2000000 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    cycles: Option<u64>,
    /// Slots, instead of each workload's own
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1 << 28))]
    ws: Option<u32>,
    /// Start of the random numbers
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// Run other allocators in the same rounds: mimalloc 2 and 3, jemalloc, snmalloc, rpmalloc, the
    /// system's. Builds them first, which takes minutes and needs a C++ compiler
    #[arg(long)]
    peers: bool,
    /// Also measure the variants that `cargo ci ledger` holds the matrix against
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
    /// Also write the results to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write docs/report-verdicts.md: the founding report's claims, judged by this run
    #[arg(long)]
    verdicts: bool,
}

impl Options {
    /// What a command that needs a result of its own asks for.
    pub(crate) fn for_ledger(quick: bool, suite: bool, peers: bool, rounds: Option<u32>) -> Self {
        Self {
            quick,
            variants: Vec::new(),
            workloads: Vec::new(),
            suite,
            rounds,
            cycles: None,
            ws: None,
            seed: SEED,
            peers,
            ledger: true,
            shard: None,
            fresh: false,
            record: false,
            json: None,
            verdicts: false,
        }
    }

    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 3 } else { 13 })
    }

    /// Operations of a run; a quarter where no cache holds the blocks, since each takes that much longer.
    fn cycles(&self, workload: Workload, ws: usize) -> u64 {
        let share = || {
            let share = workload.scaled(if self.quick { 2_000_000 } else { 10_000_000 });
            if ws >= plan::LARGE_WS { share / 4 } else { share }
        };
        self.cycles.unwrap_or_else(share)
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let tree = crate::workspace::variants()?;
    let whole = options.variants.is_empty() && options.workloads.is_empty() && options.ws.is_none();
    if options.verdicts && !whole {
        bail!(
            "--verdicts judges the whole matrix; allowed with it: no --variants, --workloads, --ws"
        );
    }
    let (matrix, programs) = measured(&tree, options)?;
    print(&matrix, &tree);
    if let Some(file) = &options.json {
        save(&matrix, file).context("--json")?;
    }
    if options.record {
        record(matrix.clone())?;
    }
    if options.verdicts {
        let sweep = sweep::run(&tree, &programs, options)?;
        verdicts::write(&matrix, &sweep, &tree)?;
    }
    match matrix.failed.as_slice() {
        [] => Ok(()),
        failed => bail!("{} of the cells failed: {}", failed.len(), failed.join("; ")),
    }
}

/// Builds the programs and runs the plan.
pub(crate) fn measured(tree: &Tree, options: &Options) -> Result<(Matrix, Programs)> {
    plan::plan(tree, options, &[])?;
    // Taken now: what is edited while this builds and runs is not what it measures.
    let passport = Passport::here();
    // Before the minutes that the measuring takes, not after; and what is in the file stays there
    // until there is something to replace it.
    if let Some(file) = &options.json {
        let writable = OpenOptions::new().create(true).append(true).open(file);
        writable.with_context(|| format!("--json {}", file.display()))?;
    }
    let mut programs = Programs::build()?;
    if options.peers {
        programs.peers = peers::build();
    }
    let peers: Vec<&str> = programs.peers.keys().map(String::as_str).collect();
    let plan = plan::plan(tree, options, &peers)?;
    let matrix = rounds::measure(tree, &plan, &programs, options, passport)?;
    Ok((matrix, programs))
}

fn print(matrix: &Matrix, tree: &Tree) {
    table::print(matrix, tree);
    peers::print(matrix);
    standing::print(matrix);
}

/// Reads what `--json` wrote.
pub(crate) fn load(file: &Path) -> Result<Matrix> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is no result of `cargo ci bench --json`", file.display()))
}

fn save(matrix: &Matrix, file: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(matrix)?;
    std::fs::write(file, text).with_context(|| file.display().to_string())
}

/// The folder of the results that are kept.
pub(crate) fn records() -> PathBuf {
    crate::workspace::root().join("docs/results")
}

/// Keeps what a history needs of a result: the founding report's workloads.
fn record(mut matrix: Matrix) -> Result<()> {
    let kept = Workload::REPORT.map(Workload::name);
    matrix.cells.retain(|cell| kept.contains(&cell.workload.as_str()));
    let Passport { commit, date, .. } = &matrix.passport;
    let day = date.get(..10).unwrap_or(date);
    let file = records().join(format!("{day}-{}.json", commit.get(..12).unwrap_or(commit)));
    std::fs::create_dir_all(records()).with_context(|| records().display().to_string())?;
    std::fs::write(&file, serde_json::to_string(&matrix)?)
        .with_context(|| file.display().to_string())?;
    println!("\nwritten: docs/results/{}", file.file_name().unwrap_or_default().display());
    Ok(())
}
