//! The step `c-face`: runs programs in C and C++ that check `libhakmem.so`, and real programs, under the library.

use crate::bench::result::CONTROL;
use crate::checks::{Checks, FEW_FORKS, GUARD, MANY_FORKS, REFUSING, output, text};
use crate::preload::{self, HITS, OPERATOR_HITS};
use crate::programs;
use crate::workspace::{self, Profile, cargo, must_succeed};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// One variant for each way to build the library: the control, the report's backend that walks its SuperSlabs and the one
/// with a map, those of the central backend whose large blocks and treatment of foreign blocks differ, and the hardened
/// one. `cargo ci programs` has all.
const VARIANTS: [&str; 7] =
    [CONTROL, "superslab", "address-map", "central-lists", "own-large", REFUSING, GUARD];

pub(super) fn run() -> Result<()> {
    let checks = Checks::build()?;
    // The checks say what the C library does, so it passes them too.
    checks.pass(None, FEW_FORKS)?;
    let default = workspace::variants()?.default_variant().id.clone();
    let mut libraries = Vec::new();
    for (variant, library) in
        VARIANTS.iter().zip(preload::libraries(&VARIANTS, Profile::Optimised)?)
    {
        checks.pass(Some((variant, &library)), FEW_FORKS)?;
        if *variant != REFUSING {
            libraries.push(((*variant).to_owned(), library));
        }
    }
    let library = preload::library(&default)?;
    checks.pass(Some((&default, &library)), MANY_FORKS)?;
    preload::check_linked(&library).with_context(|| format!("libhakmem.so of `{default}`"))?;
    for (function, most) in HITS.into_iter().chain(OPERATOR_HITS) {
        let took = preload::straight_path(&library, function)?.len();
        ensure!(took <= most, "`{function}` takes {took} instructions on a hit, more than {most}");
        println!("`{function}`: {took} instructions on a hit");
    }
    observed(&library, &default)?;
    libraries.push((default, library));
    programs::short(&libraries)
}

/// Runs the checks and all programs under every variant's library: `cargo ci programs`.
pub(super) fn programs() -> Result<()> {
    must_succeed(cargo().args(["ci", "programs"]))
}

/// `HAKMEM_STATS` prints what it asks for, and changes nothing else.
fn observed(library: &Path, variant: &str) -> Result<()> {
    let run = |value: &str| {
        // The program is no shell: some shells end without running their exit handlers.
        let mut command = Command::new("printf");
        command.arg("fine\n").env("LD_PRELOAD", library).env("HAKMEM_STATS", value);
        let output = output(&mut command)?;
        ensure!(
            output.status.success() && text(&output.stdout) == "fine\n",
            "HAKMEM_STATS={value}"
        );
        Ok(text(&output.stderr))
    };
    ensure!(run("0")?.is_empty() && run("")?.is_empty(), "HAKMEM_STATS=0 says something");
    let summary = run("1")?;
    let begins = format!("hakmem: variant {variant}\n");
    ensure!(summary.starts_with(&begins), "the summary: {summary}");
    let wrong = run("yes")?;
    ensure!(wrong.contains("HAKMEM_STATS=yes is ignored") && wrong.lines().count() == 1, "{wrong}");
    let file = workspace::target().join("preload/stats.json");
    let said = run(&file.display().to_string())?;
    ensure!(said.is_empty(), "{said}");
    let json = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let json: Value = serde_json::from_str(&json)?;
    ensure!(json["variant"] == variant, "{json}");
    for key in ["in_use_bytes", "free_bytes", "mapped_bytes", "superslabs"] {
        ensure!(json[key].is_u64(), "no `{key}` in {json}");
    }
    let nowhere = run("/nowhere/stats.json")?;
    ensure!(nowhere.contains("cannot be written"), "of a file that cannot be written: {nowhere}");
    Ok(())
}
