//! `cargo ci bench`: the main job. Measures the matrix and prints it.
//!
//! Each cell runs in a process of its own (`hakmem-cell`), round by round, each round in the reverse
//! order of the one before (A B B A). Speed comes from a build without event counters, the events
//! from a second run of a build with them.

mod cells;
mod matrix;
mod passport;
mod peers;
mod sweep;
mod table;
mod verdicts;

use anyhow::{Context, Result, bail};
use clap::Args;
use hakmem_workloads::Workload;
use std::fs::OpenOptions;
use std::path::PathBuf;

#[derive(Args)]
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
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Run other allocators in the same rounds: mimalloc 2 and 3, jemalloc, snmalloc, rpmalloc, the
    /// system's. Builds them first, which takes minutes and needs a C++ compiler
    #[arg(long)]
    peers: bool,
    /// Also write the results to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write docs/report-verdicts.md: the founding report's claims, judged by this run
    #[arg(long)]
    verdicts: bool,
}

impl Options {
    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 3 } else { 13 })
    }

    fn cycles(&self, workload: Workload) -> u64 {
        let share = || workload.scaled(if self.quick { 2_000_000 } else { 10_000_000 });
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
    // Before the minutes that the measuring takes, not after; and what is in the file stays there
    // until there is something to replace it.
    if let Some(file) = &options.json {
        let writable = OpenOptions::new().create(true).append(true).open(file);
        writable.with_context(|| format!("--json {}", file.display()))?;
    }
    let mut plan = matrix::plan(&tree, options)?;
    let mut programs = cells::Programs::build()?;
    if options.peers {
        programs.peers = peers::build();
        plan = matrix::with_peers(plan, programs.peers.keys());
    }
    let matrix = matrix::measure(&tree, &plan, &programs, options)?;

    table::print(&matrix, &tree);
    peers::print(&matrix);
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&matrix)?;
        std::fs::write(file, text).with_context(|| format!("--json {}", file.display()))?;
    }
    if options.verdicts {
        let sweep = sweep::run(&tree, &programs, options)?;
        verdicts::write(&matrix, &sweep, &tree)?;
    }
    match matrix.failed.as_slice() {
        [] => Ok(()),
        failed => bail!("{} of the runs failed: {}", failed.len(), failed.join("; ")),
    }
}
