//! `cargo ci publish`: every figure in README and docs, from one run at one commit.
//!
//! The figures stand between markers, which name this command. Those of `docs/hot-paths.md` and of the limits are a
//! gate's: `cargo ci bless` writes them.

use crate::bench::{self, Extent, Options};
use crate::instructions::{self, Counts};
use crate::ledger;
use crate::programs;
use crate::workspace::{self, Profile, root};
use anyhow::{Result, anyhow, ensure};
use std::path::Path;

/// The command, as the markers name it.
const BY: &str = "cargo ci publish";

#[derive(clap::Args)]
pub(crate) struct PublishOptions {
    /// Runs of each cell, and of each program
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
}

pub(crate) fn run(options: &PublishOptions) -> Result<()> {
    let changes = workspace::output_of("git", &["status", "--porcelain"]);
    let is_clean = changes.is_some_and(|changes| changes.is_empty());
    ensure!(is_clean, "figures name their commit; allowed: a working tree without changes");
    let tree = workspace::variants()?;
    let default = &tree.default_variant().id;

    let extent = Extent::of(true, options.rounds);
    let (matrix, _) = bench::measured(&tree, &Options::beside_peers(extent, default))?;
    fill("README.md", "peers", &bench::standing(&matrix))?;

    let options_of_matrix = Options::for_ledger(Extent::of(false, options.rounds), false);
    let (matrix, cells) = bench::measured(&tree, &options_of_matrix)?;
    bench::judge(&matrix, &tree, &cells, &options_of_matrix)?;
    fill("docs/measurements.md", "matrix", &bench::text(&matrix, &tree))?;
    fill("docs/measurements.md", "ledger", &ledger::text(&ledger::take(&tree, &matrix)))?;

    let counts = Counts::take(&tree, Profile::Release)?;
    fill("README.md", "instructions", &instructions::told(default, &counts)?)?;

    fill("docs/c-face.md", "programs", &programs::published(default, options.rounds)?)
}

/// Puts a text between the markers of its name.
fn fill(page: &str, name: &str, text: &str) -> Result<()> {
    let file = root().join(page);
    let before = fs_err::read_to_string(&file)?;
    let text = format!("\n{}\n\n", text.trim());
    let after = hakmem_tree::between_markers(Path::new(page), &before, name, BY, &text);
    fs_err::write(&file, after.map_err(|message| anyhow!(message))?)?;
    println!("written: {page}, {name}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_have_their_markers() {
        for (page, name) in [
            ("README.md", "peers"),
            ("README.md", "instructions"),
            ("docs/measurements.md", "matrix"),
            ("docs/measurements.md", "ledger"),
            ("docs/c-face.md", "programs"),
        ] {
            let text = fs_err::read_to_string(root().join(page)).expect("a page");
            let filled = hakmem_tree::between_markers(Path::new(page), &text, name, BY, "new\n");
            assert!(filled.is_ok_and(|filled| filled.contains("-->\nnew\n<!-- end -->")), "{page}");
        }
        let none = hakmem_tree::between_markers(Path::new("x.md"), "", "peers", BY, "");
        assert!(
            none.expect_err("no marker")
                .starts_with("x.md: no `<!-- peers: `cargo ci publish` -->`")
        );
    }
}
