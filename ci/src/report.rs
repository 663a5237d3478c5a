//! `cargo ci report`: writes the page.

use crate::bench::result::Matrix;
use crate::bench::{self, Extent, Options, json};
use crate::ledger;
use crate::page;
use crate::workspace;
use anyhow::{Result, ensure};
use fs_err as fs;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct ReportOptions {
    /// A result of `cargo ci bench --json` or `cargo ci merge`, instead of measuring
    #[arg(long, value_name = "FILE", conflicts_with_all = ["quick", "suite", "rounds"])]
    from: Option<PathBuf>,
    /// A ledger of `cargo ci ledger --json`, instead of making one
    #[arg(long, value_name = "FILE", requires = "from")]
    ledger: Option<PathBuf>,
    #[command(flatten)]
    extent: Extent,
    /// Also measure other allocators, which are built first
    #[arg(long, conflicts_with = "from")]
    peers: bool,
    /// Where to write the page [default: report.html in cargo's output folder]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(options: &ReportOptions) -> Result<()> {
    let tree = workspace::variants()?;
    let matrix = match &options.from {
        Some(file) => bench::load(file)?,
        None => {
            let bench = Options::for_ledger(options.extent, options.peers);
            bench::measured(&tree, &bench)?.0
        }
    };
    ensure!(!matrix.cells.is_empty(), "the result has no cells");
    let ledger = match &options.ledger {
        Some(file) => json::read(file, "cargo ci ledger --json")?,
        None => ledger::take(&tree, &matrix),
    };
    let default = || workspace::target().join("report.html");
    let out = options.out.clone().unwrap_or_else(default);
    let html = page::html(&matrix, Some(&ledger), &history()?, &tree.default_variant().id);
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&out, html)?;
    println!("written: {}", out.display());
    Ok(())
}

/// The kept results, by file name.
pub(crate) fn history() -> Result<Vec<Matrix>> {
    let folder = bench::records();
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder)?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files.iter().map(|file| bench::load(file)).collect()
}
