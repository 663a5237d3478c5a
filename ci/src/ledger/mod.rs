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
use crate::bench::result::Matrix;
use crate::bench::{self, Options};
use crate::instructions::Counts;
use crate::tree::{Group, Tree};
use crate::workspace;
use anyhow::{Context, Result, anyhow};
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
    let ledger = take(&tree, &matrix)?;
    print::print(&ledger);
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&ledger)?;
        std::fs::write(file, text).with_context(|| format!("--json {}", file.display()))?;
    }
    Ok(())
}

/// The matrix, and the variants that leave one knob of the best out.
pub(crate) fn ids(tree: &Tree) -> Vec<String> {
    let matrix = tree.variants.values().filter(|variant| variant.group == Group::Matrix);
    let mut ids: Vec<String> = matrix.map(|variant| variant.id.clone()).collect();
    ids.extend(edges::left_out(tree).map(|(variant, _)| variant.id.clone()));
    ids.push(budget::WITHOUT_CAP.to_owned());
    ids
}

/// What can be had: where a tool is missing, one line says so, and its columns stay empty.
pub(crate) fn take(tree: &Tree, matrix: &Matrix) -> Result<Ledger> {
    let or_line = |what: &str, error: anyhow::Error| eprintln!("left out, {what}: {error:#}");
    let here = Passport::here();
    // Counts and prices are taken now, so they go with a result of this commit, and of this machine.
    let same = if here.commit == matrix.passport.commit {
        Ok(())
    } else {
        Err(anyhow!(
            "the result is of commit {}, and this is {}",
            matrix.passport.commit,
            here.commit
        ))
    };
    let one_machine = match matrix.cells.iter().find(|cell| matrix.machine_of(cell) != here.cpu) {
        None => Ok(()),
        Some(cell) => {
            Err(anyhow!("the result is of {}, and this is {}", matrix.machine_of(cell), here.cpu))
        }
    };
    let known = |same: &Result<()>| same.as_ref().map_err(|error| anyhow!("{error}")).copied();
    let counts = known(&same).and_then(|()| Counts::take());
    let counts = counts.map_err(|error| or_line("instructions", error)).ok();
    let sizes = known(&same).and_then(|()| code_size::take(tree));
    let sizes = sizes.map_err(|error| or_line("code sizes", error)).ok();
    let budget = same.and(one_machine).and_then(|()| budget::take(matrix));
    let budget = budget.map_err(|error| or_line("the report's budget", error));
    Ok(Ledger {
        passport: matrix.passport.clone(),
        noisy: matrix.noisy,
        edges: edges::all(tree, matrix, counts.as_ref(), sizes.as_ref()),
        leave_one_out: edges::leave_one_out(tree, matrix, counts.as_ref(), sizes.as_ref()),
        budget: budget.unwrap_or_default(),
    })
}
