//! `cargo ci publish`: the measured tables of README and docs, from one run at one commit.
//!
//! The figures stand between markers, which name this command. README quotes the pages. `cargo ci bless` writes the
//! figures of `docs/hot-paths.md` and the limits, since they are a gate.

mod readme;

use crate::bench::{self, Extent, Options};
use crate::instructions::{self, Counts};
use crate::ledger;
use crate::workspace::{self, Profile, root};
use anyhow::{Result, anyhow, ensure};
use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

/// The pages with measured tables.
const BENCHMARKS: &str = "docs/benchmarks.md";
const MEASUREMENTS: &str = "docs/measurements.md";
const C_FACE: &str = "docs/c-face.md";
const HOT_PATHS: &str = "docs/hot-paths.md";
const README: &str = "README.md";

/// The command, as the markers name it.
const BY: &str = "cargo ci publish";

#[derive(clap::Args)]
pub(crate) struct PublishOptions {
    /// Runs of each cell, and of each program
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Measure nothing: only copy the figures of the pages to README
    #[arg(long)]
    readme: bool,
}

/// A page, the name in its markers, and the text between them.
type Part = (&'static str, &'static str, String);

pub(crate) fn run(options: &PublishOptions) -> Result<()> {
    if options.readme {
        return quote();
    }
    let changes = workspace::output_of("git", &["status", "--porcelain"]);
    let is_clean = changes.is_some_and(|changes| changes.is_empty());
    ensure!(is_clean, "figures name their commit; allowed: a working tree without changes");
    // Written when all is measured, or the later parts would name a tree with changes.
    let mut parts = Vec::new();
    let done = measure(options.rounds, &mut parts);
    parts.iter().try_for_each(|(page, name, text)| fill(page, name, text))?;
    quote()?;
    done
}

fn quote() -> Result<()> {
    quotes()?.iter().try_for_each(|(name, text)| fill(README, name, text))
}

/// The parts of README, from the pages as they are.
fn quotes() -> Result<[readme::Quote; 2]> {
    let tree = workspace::variants()?;
    let page = |name| fs_err::read_to_string(root().join(name));
    readme::quotes(
        &tree.default_variant().id,
        &page(BENCHMARKS)?,
        &page(C_FACE)?,
        &page(HOT_PATHS)?,
    )
}

/// Adds to the parts as it goes on, so that a failure loses none of those before it.
fn measure(rounds: u32, parts: &mut Vec<Part>) -> Result<()> {
    let tree = workspace::variants()?;
    let default = &tree.default_variant().id;
    let beside_peers = Options::beside_peers(Extent::of(true, rounds), default);
    let (matrix, _) = bench::measured(&tree, &beside_peers)?;
    parts.push((BENCHMARKS, "peers", bench::standing(&matrix)));

    let of_matrix = Options::for_verdicts(Extent::of(false, rounds));
    let (matrix, cells) = bench::measured(&tree, &of_matrix)?;
    parts.push((MEASUREMENTS, "matrix", bench::text(&matrix, &tree)));
    parts.push((MEASUREMENTS, "ledger", ledger::text(&ledger::take(&tree, &matrix))));

    let counts = Counts::take(&tree, Profile::Release)?;
    parts.push((BENCHMARKS, "instructions", instructions::told(default, &counts)?));
    parts.push((C_FACE, "programs", programs(default, rounds)?));
    bench::judge(&matrix, &tree, &cells, &of_matrix)
}

/// Real programs under the default variant's library, and under Debian's. They run in a process of its own: a
/// program's peak memory starts at its parent's, and this process has much by now.
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
    fs_err::write(&file, filled(page, &before, name, text)?)?;
    println!("written: {page}, {name}");
    Ok(())
}

/// The page with another text between the markers of this name.
fn filled(page: &str, before: &str, name: &str, text: &str) -> Result<String> {
    let text = format!("\n{}\n\n", text.trim());
    let after = hakmem_tree::between_markers(Path::new(page), before, name, BY, &text);
    after.map_err(|message| anyhow!(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_have_their_markers() {
        for (page, name) in [
            (BENCHMARKS, "peers"),
            (BENCHMARKS, "instructions"),
            (MEASUREMENTS, "matrix"),
            (MEASUREMENTS, "ledger"),
            (C_FACE, "programs"),
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

    #[test]
    fn readme_quotes_the_pages() {
        let readme = fs_err::read_to_string(root().join(README)).expect("README");
        for (name, text) in quotes().expect("the pages have what README quotes") {
            let now = filled(README, &readme, name, &text).expect("markers");
            assert_eq!(
                now, readme,
                "README differs from the pages; `cargo ci publish --readme` copies them"
            );
        }
    }

    #[test]
    fn readme_is_short() {
        let readme = fs_err::read_to_string(root().join(README)).expect("README");
        assert!(readme.lines().count() < 120, "README has 120 lines or more");
        for line in readme.lines() {
            assert!(line.chars().count() <= 120, "over 120 columns: {line}");
        }
    }
}
