//! Instructions per operation and pages of every variant: they repeat exactly, or nearly so, and so can have limits.

mod counts;
mod golden;
mod limits;
mod path;

pub(crate) use counts::{Count, Counts, cell};

use crate::preload;
use crate::tools;
use crate::tree::{Tree, Variant};
use crate::workspace::{self, Profile, cargo, must_succeed};
use anyhow::{Context, Result, bail, ensure};
use hakmem_workloads::measures::{How, MEASURES};
use limits::Limits;
use std::process::Stdio;

/// The step of `cargo ci test`: checks each figure against its limit, and the hot paths against their page.
pub(crate) fn check() -> Result<()> {
    let tree = workspace::variants()?;
    let counts = Counts::take(&tree, Profile::Optimised)?;
    let mut wrong = Limits::read()?.violations(&tree, &counts);
    wrong.extend(golden::differences(&golden::text(&tree, &counts)?)?);
    wrong.extend(golden::contradictions(&tree, &counts));
    if wrong.is_empty() {
        return Ok(());
    }
    for line in wrong.iter().chain(&golden::other_toolchain()) {
        eprintln!("{line}");
    }
    bail!(
        "{} figures differ from the blessed ones; `cargo ci bless` accepts the new ones",
        wrong.len()
    )
}

/// The instructions of a variant's hits, as they are published: those of programs as they ship.
pub(crate) fn told(variant: &str, counts: &Counts) -> Result<String> {
    let [alloc, free] = counts.0.get(variant).context("the variant was not counted")?.hit;
    let library = preload::library(variant)?;
    let [malloc, c_free] =
        preload::HITS.map(|(function, _)| preload::straight_path(&library, function));
    let mixed = counts.get(variant, "random_mixed_8192").context("random_mixed was not counted")?;
    Ok(format!(
        "| `{variant}`, linked with fat LTO | instructions |\n|---|--:|\n\
         | a block of constant size allocated, by a call | {} |\n| and freed | {} |\n\
         | `malloc` of `libhakmem.so`, on a hit | {} |\n| `free` | {} |\n\
         | an operation of `random_mixed` with 8192 slots, the workload's own included | {:.1} |\n",
        alloc.all,
        free.all,
        malloc?.len(),
        c_free?.len(),
        mixed.figure
    ))
}

/// With `--all`: gungraun starts a process for each figure, and must count what the forks of one process did.
pub(crate) fn check_runner() -> Result<()> {
    let tree = workspace::variants()?;
    let default = tree.default_variant();
    let counts = Counts::take(&tree, Profile::Release)?;
    let folder = workspace::target().join("gungraun");
    let mut bench = cargo();
    bench.args(["bench", "--quiet", "--package", "hakmem-cell", "--bench", "instructions", "--"]);
    bench.args([&default.id, "--save-summary=json"]).env("GUNGRAUN_RUNNER", tools::runner()?);
    must_succeed(bench.env("GUNGRAUN_HOME", &folder).stdout(Stdio::null()))?;
    for measure in ["hit", "call", "turnover", "remote_free"] {
        let place =
            format!("hakmem-cell/instructions/variants/{}.{measure}/summary.json", default.id);
        let text = std::fs::read_to_string(folder.join(&place)).with_context(|| place.clone())?;
        let summary: serde_json::Value = serde_json::from_str(&text)?;
        let metrics = &summary["profiles"][0]["data"]["total"]["metrics"];
        let all = metrics["Ir"]["values"]["new"].as_f64().with_context(|| place.clone())?;
        let How::Region { ops } =
            MEASURES.iter().find(|known| known.name == measure).context("a measure")?.how
        else {
            bail!("`{measure}` is no path");
        };
        let own = counts.get(&default.id, measure).context("a count")?.figure;
        let theirs = all / ops as f64;
        ensure!(
            (own - theirs).abs() <= 0.05 * own,
            "`{measure}`: {own:.2}, by gungraun {theirs:.2}"
        );
    }
    Ok(())
}

/// `cargo ci bless`: accepts the measured figures as limits. A reviewer sees the diff.
pub(crate) fn bless() -> Result<()> {
    let tree = workspace::variants()?;
    let counts = Counts::take(&tree, Profile::Optimised)?;
    Limits::bless(&tree, &counts)?.write()?;
    golden::write(&golden::text(&tree, &counts)?)
}

/// The variants that have limits: all but the control, whose instructions are the C library's.
fn limited(tree: &Tree) -> impl Iterator<Item = &Variant> {
    tree.variants.values().filter(|variant| variant.id != crate::bench::result::CONTROL)
}
