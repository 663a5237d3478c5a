//! `docs/hot-paths.md`: the machine code of a hit, instruction by kind.

use super::counts::Counts;
use super::limited;
use super::limits::is_random;
use super::path::{MEASURE, Mix};
use crate::bench::table::{align_right, markdown};
use crate::preload;
use crate::tree::{Tree, Variant};
use crate::workspace;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

const BLESSED_WITH: &str = "The limits and this table are those of";

const HEAD: &[&str] =
    &["variant", "", "instructions", "loads", "stores", "branches", "calls", "atomic"];

/// Fewest and most instructions of the loop around a hit: the measured pair's surplus over the table's.
const LOOP: [f64; 2] = [4.0, 9.0];

/// The text that the page should have.
pub(super) fn text(tree: &Tree, counts: &Counts) -> Result<String> {
    let mut table = markdown(HEAD);
    align_right(&mut table, 2..HEAD.len());
    let hit = |variant: &Variant| counts.0.get(&variant.id).map(|counts| counts.hit);
    for variant in limited(tree) {
        let mixes = hit(variant).with_context(|| format!("no hit of `{}`", variant.id))?;
        if tree.ancestors(&variant.id).next().and_then(hit) == Some(mixes) {
            continue;
        }
        for (verb, mix) in ["alloc", "free"].into_iter().zip(mixes) {
            let names = [variant.id.clone(), verb.to_owned()];
            table.add_row(names.into_iter().chain(mix.cells()));
        }
    }
    // A shared library's function has its hit on its straight path: the compiler moved the rare code out of its way.
    let default = &tree.default_variant().id;
    let library = preload::library(default)?;
    for (function, _) in preload::HITS {
        let mix = Mix::of(preload::straight_path(&library, function)?);
        let names = [format!("{default}, libhakmem.so"), function.to_owned()];
        table.add_row(names.into_iter().chain(mix.cells()));
    }
    Ok(format!(
        "# The hot paths, instruction by kind\n\n\
         Written by `cargo ci bless`, checked by `cargo ci test`; do not edit.\n\
         The table has the instructions that every hit executes: 64 bytes, the layout known at compile time, from and to the thread's list.\n\
         Alloc and free are functions that the program calls; the table counts their returns, and what they call or jump to.\n\
         A program that inlines them saves the call.\n\
         The program is not linked with fat LTO; [benchmarks.md](benchmarks.md) has the figures of one that is.\n\
         Of `libhakmem.so` the table has the straight path of the linked function.\n\
         An instruction that loads and stores is counted as both.\n\
         A variant that is not in the table has its parent's rows.\n\n\
         {BLESSED_WITH} {}.\n\n{table}\n",
        toolchain()
    ))
}

/// A line for each variant whose table and whose measured pair contradict each other.
pub(super) fn contradictions(tree: &Tree, counts: &Counts) -> Vec<String> {
    let line = |variant: &Variant| {
        // Where chance decides, hits differ from one another.
        if is_random(variant) {
            return None;
        }
        let pair = counts.get(&variant.id, MEASURE)?.figure;
        let [alloc, free] = counts.0.get(&variant.id)?.hit;
        let table = f64::from(alloc.all + free.all);
        (!(LOOP[0]..=LOOP[1]).contains(&(pair - table))).then(|| {
            format!(
                "{}: alloc and free have {table} instructions by the profile of a hit, and `{MEASURE}` takes {pair:.2} with its loop",
                variant.id
            )
        })
    };
    limited(tree).filter_map(line).collect()
}

/// The tools that the figures depend on besides the source.
fn toolchain() -> String {
    let first = |program: &str| {
        let text = workspace::output_of(program, &["--version"]).unwrap_or_default();
        text.lines().next().unwrap_or("an unknown version").to_owned()
    };
    let (rustc, ldd) = (first("rustc"), first("ldd"));
    format!("{rustc}, C library {}", ldd.rsplit(' ').next().unwrap_or_default())
}

fn file() -> PathBuf {
    workspace::root().join("docs/hot-paths.md")
}

pub(super) fn write(text: &str) -> Result<()> {
    if read(&file()).ok().as_deref() != Some(text) {
        std::fs::write(file(), text).with_context(|| file().display().to_string())?;
        println!("written: docs/hot-paths.md");
    }
    Ok(())
}

/// A line for each line of the table that differs from the page.
pub(super) fn differences(now: &str) -> Result<Vec<String>> {
    let then = read(&file())?;
    // Another compiler or C library is no difference by itself, though it may explain one.
    let table = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with(BLESSED_WITH)).map(str::to_owned).collect()
    };
    let (now_table, then_table) = (table(now), table(&then));
    let changed = now_table.iter().filter(|line| !then_table.contains(line));
    let mut lines: Vec<String> =
        changed.map(|line| format!("docs/hot-paths.md: now: {line}")).collect();
    if lines.is_empty() && now_table != then_table {
        lines.push(
            "docs/hot-paths.md has lines that are out of date, or in another order".to_owned(),
        );
    }
    Ok(lines)
}

/// A line if the compiler or C library differs from those of the last blessing, which may explain differences.
pub(super) fn other_toolchain() -> Option<String> {
    let line = format!("{BLESSED_WITH} {}.", toolchain());
    let then = read(&file()).ok()?;
    let blessed = then.lines().find(|line| line.starts_with(BLESSED_WITH))?;
    (blessed != line).then(|| format!("{blessed} Here it is {}.", toolchain()))
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| file.display().to_string())
}
