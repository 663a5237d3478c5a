//! `cargo ci report`: the page.

use crate::bench::result::Matrix;
use crate::bench::{self, Options};
use crate::ledger::{self, model::Ledger};
use crate::page;
use crate::workspace;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct ReportOptions {
    /// A result of `cargo ci bench --json` or `cargo ci merge`, instead of measuring
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// A ledger of `cargo ci ledger --json`, instead of making one
    #[arg(long, value_name = "FILE", requires = "from")]
    ledger: Option<PathBuf>,
    /// A fifth of the operations and three rounds
    #[arg(long, conflicts_with = "from")]
    quick: bool,
    /// Also other allocators, which are built first
    #[arg(long, conflicts_with = "from")]
    peers: bool,
    /// Every workload, not only those of the founding report
    #[arg(long, conflicts_with = "from")]
    suite: bool,
    /// Where to write the page [default: report.html in cargo's output folder]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(options: &ReportOptions) -> Result<()> {
    let tree = workspace::variants()?;
    let matrix = match &options.from {
        Some(file) => bench::load(file)?,
        None => {
            let ReportOptions { quick, suite, peers, .. } = *options;
            bench::measured(&tree, &Options::for_ledger(quick, suite, peers, None))?.0
        }
    };
    ensure!(!matrix.cells.is_empty(), "the result has no cells");
    let ledger = match &options.ledger {
        Some(file) => read_ledger(file)?,
        None => ledger::take(&tree, &matrix),
    };
    let default = || workspace::target().join("report.html");
    let out = options.out.clone().unwrap_or_else(default);
    let html = page::html(&matrix, Some(&ledger), &history()?, &tree.default_variant().id)?;
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    std::fs::write(&out, html).with_context(|| out.display().to_string())?;
    println!("written: {}", out.display());
    Ok(())
}

fn read_ledger(file: &Path) -> Result<Ledger> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is no result of `cargo ci ledger --json`", file.display()))
}

/// The results that were kept, by file name.
pub(crate) fn history() -> Result<Vec<Matrix>> {
    let folder = bench::records();
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files.iter().map(|file| bench::load(file)).collect()
}
