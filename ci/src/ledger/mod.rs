//! `cargo ci ledger`: walks the tree of variants and prints what each knob did.
//!
//! Instructions and simulated misses come from callgrind and repeat exactly; cycles, memory and the
//! kernel's share from a run of the matrix; code size from a linked program.

mod budget;
mod code_size;
mod edges;
pub(crate) mod model;
mod print;

use crate::bench::json::Json;
use crate::bench::passport::Passport;
use crate::bench::plan::matrix;
use crate::bench::result::Matrix;
use crate::bench::{self, Extent, Options};
use crate::instructions::Counts;
use crate::tree::Tree;
use crate::workspace;
use anyhow::{Result, ensure};
use edges::Sources;
use model::Ledger;
pub(crate) use print::text;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct LedgerOptions {
    #[command(flatten)]
    extent: Extent,
    /// Take cycles, memory and the kernel's share from a result of `cargo ci bench --json`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["quick", "suite", "rounds"])]
    from: Option<PathBuf>,
    #[command(flatten)]
    json: Json,
}

pub(crate) fn run(options: &LedgerOptions) -> Result<()> {
    let tree = workspace::variants()?;
    options.json.check()?;
    let matrix = match &options.from {
        Some(file) => bench::load(file)?,
        None => bench::measured(&tree, &Options::for_ledger(options.extent, false))?.0,
    };
    let ledger = take(&tree, &matrix);
    println!("{}", text(&ledger));
    options.json.write(&ledger)
}

/// The variants of the matrix, and those that leave one knob of the best out.
pub(crate) fn ids(tree: &Tree) -> Vec<String> {
    let mut ids: Vec<String> = matrix(tree).map(|variant| variant.id.clone()).collect();
    ids.extend(edges::left_out(tree).map(|(variant, _)| variant.id.clone()));
    ids.push(budget::WITHOUT_CAP.to_owned());
    ids
}

/// Takes all figures that can be had. A missing tool is named in one line, and its columns stay empty.
///
/// Counts and prices are taken now, so they go only with a result of this commit and this machine.
pub(crate) fn take(tree: &Tree, matrix: &Matrix) -> Ledger {
    let profile = matrix.passport.profile;
    let here = Passport::here(profile);
    let is_of = |what: &str, measured: &str, here: &str| {
        ensure!(measured == here, "the result is of {what}{measured}, and this is {here}");
        Ok(())
    };
    let same_commit = || is_of("commit ", &matrix.passport.commit, &here.commit);
    let same_machine = || {
        same_commit()?;
        let mut cpus = matrix.cells.iter().map(|cell| matrix.machine_of(cell));
        cpus.try_for_each(|cpu| is_of("", cpu, &here.cpu))
    };
    let counts = or_line("instructions", same_commit().and_then(|()| Counts::take(tree, profile)));
    let sizes = or_line("code sizes", same_commit().and_then(|()| code_size::take(tree, profile)));
    let budget = or_line("the report's budget", same_machine().and_then(|()| budget::take(matrix)));
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
