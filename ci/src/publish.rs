//! `cargo ci publish`: the measured tables of README and docs, from one run at one commit.
//!
//! The figures stand between markers, which name this command. Those of `docs/hot-paths.md` and of the limits are a
//! gate's: `cargo ci bless` writes them.

use crate::bench::{self, Extent, Options};
use crate::instructions::{self, Counts};
use crate::ledger;
use crate::workspace::{self, Profile, root};
use anyhow::{Result, anyhow, ensure};
use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

/// The command, as the markers name it.
const BY: &str = "cargo ci publish";

#[derive(clap::Args)]
pub(crate) struct PublishOptions {
    /// Runs of each cell, and of each program
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
}

/// A page, the name in its markers, and what is to stand between them.
type Part = (&'static str, &'static str, String);

pub(crate) fn run(options: &PublishOptions) -> Result<()> {
    let changes = workspace::output_of("git", &["status", "--porcelain"]);
    let is_clean = changes.is_some_and(|changes| changes.is_empty());
    ensure!(is_clean, "figures name their commit; allowed: a working tree without changes");
    // Written when all is measured, or the later parts would name a tree with changes.
    let mut parts = Vec::new();
    let done = measure(options.rounds, &mut parts);
    parts.iter().try_for_each(|(page, name, text)| fill(page, name, text))?;
    done
}

/// What was measured before something failed is among the parts.
fn measure(rounds: u32, parts: &mut Vec<Part>) -> Result<()> {
    let tree = workspace::variants()?;
    let default = &tree.default_variant().id;
    let beside_peers = Options::beside_peers(Extent::of(true, rounds), default);
    let (matrix, _) = bench::measured(&tree, &beside_peers)?;
    parts.push(("README.md", "peers", bench::standing(&matrix)));

    let of_matrix = Options::for_verdicts(Extent::of(false, rounds));
    let (matrix, cells) = bench::measured(&tree, &of_matrix)?;
    parts.push(("docs/measurements.md", "matrix", bench::text(&matrix, &tree)));
    parts.push(("docs/measurements.md", "ledger", ledger::text(&ledger::take(&tree, &matrix))));

    let counts = Counts::take(&tree, Profile::Release)?;
    parts.push(("README.md", "instructions", instructions::told(default, &counts)?));
    parts.push(("docs/c-face.md", "programs", programs(default, rounds)?));
    bench::judge(&matrix, &tree, &cells, &of_matrix)
}

/// Real programs under the default variant's library, and under Debian's. In a process of its own: the memory of a
/// program is seen from its parent's up, and by now this process has a lot.
fn programs(default: &str, rounds: u32) -> Result<String> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["programs", "--peers", "--variants", default, "--rounds", &rounds.to_string()]);
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "`cargo ci programs` failed ({})", output.status);
    Ok(String::from_utf8(output.stdout)?)
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
