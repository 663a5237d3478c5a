//! `cargo ci plant`: plants known bugs in a copy of the source, one at a time, and requires our checks to find each.
//!
//! ```text
//! ci/planted/*.toml ──▶ bug ──▶ copy of the tree with the bug ──▶ its check must fail, as the bug says
//!                                        └─ without any bug, each check must pass first
//! ```
//!
//! The copy lies in cargo's output folder, and has an output folder of its own, which the bugs share.

mod check;
mod copy;
pub(crate) mod table;

use anyhow::{Context, Result, bail, ensure};
use check::{Check, Verdict};
use comfy_table::Table;
use copy::Copy;
use std::time::Instant;
use table::Bug;

/// Lines of a check's output that are shown if it does not find its bug.
const LAST: usize = 20;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Bugs to plant, or starts of their names, instead of all
    ids: Vec<String>,
    /// List the bugs, and plant none
    #[arg(long)]
    list: bool,
    /// Plant only every N-th bug, from the I-th on: `I/N`
    #[arg(long, value_parser = shard)]
    shard: Option<(usize, usize)>,
}

fn shard(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    let fits = |(part, parts): &(usize, usize)| (1..=*parts).contains(part);
    parts.filter(fits).ok_or_else(|| "it is `I/N`, with I from 1 to N".to_owned())
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let bugs = chosen(options)?;
    if options.list {
        for bug in &bugs {
            println!("{:<32} {:<12} {}", bug.id, bug.breaks.join(" "), bug.what);
        }
        return Ok(());
    }
    let copy = Copy::make()?;
    passes(&copy, &bugs)?;
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(["bug", "breaks", "check", "found", "s"]);
    let mut missed = Vec::new();
    for bug in &bugs {
        let start = Instant::now();
        let (verdict, output) = planted(&copy, bug).with_context(|| bug.id.clone())?;
        let seconds = start.elapsed().as_secs();
        println!("{:<32} {:>4} s  {verdict}", bug.id, seconds);
        if !matches!(verdict, Verdict::Found) {
            println!("{output}");
            missed.push(format!("{} ({verdict})", bug.id));
        }
        let breaks = bug.breaks.join(" ");
        table.add_row([&bug.id, &breaks, &bug.check, &verdict.to_string(), &seconds.to_string()]);
    }
    println!("\n{table}\n");
    println!("{} bugs planted, {} found", bugs.len(), bugs.len() - missed.len());
    ensure!(missed.is_empty(), "not found: {}", missed.join(", "));
    Ok(())
}

/// The bugs that the options name.
fn chosen(options: &Options) -> Result<Vec<Bug>> {
    let all = table::read()?;
    for id in &options.ids {
        if !all.iter().any(|bug| bug.id.starts_with(id.as_str())) {
            bail!("no bug `{id}`; `cargo ci plant --list` names them all");
        }
    }
    let named = |bug: &Bug| {
        options.ids.is_empty() || options.ids.iter().any(|id| bug.id.starts_with(id.as_str()))
    };
    let (part, parts) = options.shard.unwrap_or((1, 1));
    let named = all.into_iter().filter(named).enumerate();
    Ok(named.filter(|(place, _)| place % parts == part - 1).map(|(_, bug)| bug).collect())
}

/// Requires the bugs' checks to pass while there is no bug.
fn passes(copy: &Copy, bugs: &[Bug]) -> Result<()> {
    let mut done = Vec::new();
    for bug in bugs {
        if done.contains(&&bug.check) {
            continue;
        }
        done.push(&bug.check);
        let check = Check::of(bug)?;
        let (passed, output) = check.run(copy)?;
        ensure!(passed, "`{}` fails without a bug:\n{output}", bug.check);
    }
    println!("{} checks pass without a bug", done.len());
    Ok(())
}

/// The last lines of an output.
fn last(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(LAST)..].join("\n")
}

/// Plants a bug, runs its check, and takes the bug out again. Returns the end of the check's output, too.
fn planted(copy: &Copy, bug: &Bug) -> Result<(Verdict, String)> {
    let check = Check::of(bug)?;
    let text = copy.plant(bug)?;
    let ran = check.run(copy);
    copy.restore(bug, &text)?;
    let (passed, output) = ran?;
    Ok((check.verdict(passed, &output), last(&output)))
}
