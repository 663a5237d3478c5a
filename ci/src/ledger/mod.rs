//! `cargo ci ledger`: walks the tree of variants and prints what each knob did.
//!
//! Instructions and simulated misses come from callgrind and repeat exactly; cycles, memory and the
//! kernel's share from a run of the matrix; code size from a linked program.

mod budget;
mod code_size;
mod edges;
pub(crate) mod model;
mod print;

use crate::bench::passport::Passport;
use crate::bench::plan::matrix;
use crate::bench::result::Matrix;
use crate::bench::{self, Options};
use crate::instructions::Counts;
use crate::tree::Tree;
use crate::workspace;
use anyhow::{Context, Result, bail, ensure};
use edges::Sources;
use model::Ledger;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct LedgerOptions {
    /// A fifth of the operations and three rounds
    #[arg(long)]
    quick: bool,
    /// Every workload, not only those of the founding report
    #[arg(long)]
    suite: bool,
    /// Runs of each cell [default: 13, or 3 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Take cycles, memory and the kernel's share from a result of `cargo ci bench --json`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["quick", "suite", "rounds"])]
    from: Option<PathBuf>,
    /// Also write the ledger to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(crate) fn run(options: &LedgerOptions) -> Result<()> {
    let tree = workspace::variants()?;
    let matrix = match &options.from {
        Some(file) => bench::load(file)?,
        None => {
            let bench = Options::for_ledger(options.quick, options.suite, false, options.rounds);
            bench::measured(&tree, &bench)?.0
        }
    };
    let ledger = take(&tree, &matrix);
    print::print(&ledger);
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&ledger)?;
        std::fs::write(file, text).with_context(|| format!("--json {}", file.display()))?;
    }
    Ok(())
}

/// The matrix, and the variants that leave one knob of the best out.
pub(crate) fn ids(tree: &Tree) -> Vec<String> {
    let mut ids: Vec<String> = matrix(tree).map(|variant| variant.id.clone()).collect();
    ids.extend(edges::left_out(tree).map(|(variant, _)| variant.id.clone()));
    ids.push(budget::WITHOUT_CAP.to_owned());
    ids
}

/// What can be had: where a tool is missing, one line says so, and its columns stay empty.
///
/// Counts and prices are taken now, so they go with a result of this commit, and of this machine.
pub(crate) fn take(tree: &Tree, matrix: &Matrix) -> Ledger {
    let here = Passport::here();
    let counts = or_line("instructions", same_commit(matrix, &here).and_then(|()| Counts::take()));
    let sizes =
        or_line("code sizes", same_commit(matrix, &here).and_then(|()| code_size::take(tree)));
    let same = same_commit(matrix, &here).and_then(|()| same_machine(matrix, &here));
    let budget = or_line("the report's budget", same.and_then(|()| budget::take(matrix)));
    let sources = Sources { matrix, counts: counts.as_ref(), sizes: sizes.as_ref() };
    Ledger {
        passport: matrix.passport.clone(),
        noisy: matrix.noisy,
        edges: sources.edges(tree),
        leave_one_out: sources.leave_one_out(tree),
        budget: budget.unwrap_or_default(),
    }
}

fn or_line<T>(what: &str, result: Result<T>) -> Option<T> {
    result.map_err(|error| eprintln!("left out, {what}: {error:#}")).ok()
}

fn same_commit(matrix: &Matrix, here: &Passport) -> Result<()> {
    let measured = &matrix.passport.commit;
    let is_same = *measured == here.commit;
    ensure!(is_same, "the result is of commit {measured}, and this is {}", here.commit);
    Ok(())
}

fn same_machine(matrix: &Matrix, here: &Passport) -> Result<()> {
    let mut machines = matrix.cells.iter().map(|cell| matrix.machine_of(cell));
    match machines.find(|cpu| *cpu != here.cpu) {
        None => Ok(()),
        Some(cpu) => bail!("the result is of {cpu}, and this is {}", here.cpu),
    }
}
