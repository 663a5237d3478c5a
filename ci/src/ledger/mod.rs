//! `cargo ci ledger`: walks the tree of variants and prints what each knob did.
//!
//! Instructions and simulated misses come from callgrind and repeat exactly; cycles, memory and the
//! kernel's share from a run of the matrix; code size from a linked program.

mod budget;
mod edges;
pub(crate) mod model;
mod print;

use crate::bench::json::Json;
use crate::bench::passport::Passport;
use crate::bench::plan::matrix;
use crate::bench::result::Matrix;
use crate::bench::{self, Extent, Options};
use crate::builds;
use crate::instructions::Counts;
use crate::tree::Tree;
use crate::workspace::{self, cargo, must_succeed};
use anyhow::{Context, Result, ensure};
use edges::Sources;
use model::Ledger;
use object::{Object, ObjectSection};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
    print::print(&ledger);
    options.json.write(&ledger)
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
    let counts = or_line("instructions", same_commit().and_then(|()| Counts::take()));
    let sizes = or_line("code sizes", same_commit().and_then(|()| code_sizes(tree)));
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

/// Bytes of `.text` of `examples/real_program.rs`, by the variant that it is built with.
fn code_sizes(tree: &Tree) -> Result<BTreeMap<String, f64>> {
    eprintln!("building a program with each variant, for its code size");
    let size = |id: &str, folder: &Path| {
        let mut build = cargo();
        build.args(["build", "--quiet", "--release", "--example", "real_program"]);
        must_succeed(build.args(["--features", id, "--target-dir"]).arg(folder))?;
        let program = fs_err::read(folder.join("release/examples/real_program"))?;
        let program = object::File::parse(&*program)?;
        let text = program.section_by_name(".text").context("a program without code")?;
        Ok(text.size() as f64)
    };
    let ids = ids(tree);
    let sizes = builds::each(&ids, size)?;
    Ok(ids.into_iter().zip(sizes).collect())
}
