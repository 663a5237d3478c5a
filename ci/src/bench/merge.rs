//! `cargo ci merge`: the parts that several machines measured, as one result.

use super::passport::Passport;
use super::result::{CONTROL, Matrix, Measured};
use super::{load, print, save};
use crate::tree::Tree;
use anyhow::{Result, bail};
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct MergeOptions {
    /// Results of `cargo ci bench --shard … --json`
    #[arg(required = true, num_args = 1..)]
    parts: Vec<PathBuf>,
    /// Where to write the one result
    #[arg(long, value_name = "FILE")]
    json: PathBuf,
    /// Join parts of different commits, machines or compilers, and say so in the result. Each part is then
    /// held against its own control cell
    #[arg(long)]
    mixed: bool,
}

pub(crate) fn merge(options: &MergeOptions) -> Result<()> {
    let tree = crate::workspace::variants()?;
    let names: Vec<String> = options.parts.iter().map(|file| file.display().to_string()).collect();
    let parts = options.parts.iter().map(|file| load(file)).collect::<Result<Vec<_>>>()?;
    let matrix = joined(&tree, &names, parts, options.mixed)?;
    print(&matrix, &tree);
    save(&matrix, &options.json)
}

fn joined(tree: &Tree, names: &[String], parts: Vec<Matrix>, mixed: bool) -> Result<Matrix> {
    for (name, part) in names.iter().zip(&parts) {
        if let Some((what, one, other)) = difference(&parts[0].passport, &part.passport)
            && !mixed
        {
            bail!(
                "{} and {name} differ in `{what}`: {one} and {other}; --mixed joins them all the same, and says so",
                names[0]
            );
        }
        if !part.parts.is_empty() {
            bail!("{name} is a merged result; allowed: results of `cargo ci bench --json`");
        }
        let differs = |cell: &&Measured| {
            parts[0].cells.iter().any(|first| first.is_in(cell.row()) && first.args != cell.args)
        };
        if let Some(cell) = part.cells.iter().find(differs) {
            bail!(
                "{} and {name} ran {} with different --cycles or --seed; allowed: parts of the same measurement",
                names[0],
                cell.workload
            );
        }
        if part.rounds != parts[0].rounds {
            bail!(
                "{} has {} rounds and {name} has {}; allowed: parts of the same measurement",
                names[0],
                parts[0].rounds,
                part.rounds
            );
        }
    }
    let passports: Vec<Passport> = parts.iter().map(|part| part.passport.clone()).collect();
    let mut all = Matrix { cells: Vec::new(), ..parts[0].clone() };
    all.control.clear();
    all.failed.clear();
    for (index, part) in parts.into_iter().enumerate() {
        all.noisy |= part.noisy;
        all.failed.extend(part.failed);
        let row = |name: &str| format!("{name}, part {}", index + 1);
        all.control.extend(part.control.into_iter().map(|(name, control)| (row(&name), control)));
        for cell in part.cells {
            let cell = Measured { part: index, ..cell };
            if let Some(first) = all.cells.iter().find(|c| is_same_place(c, &cell))
                && cell.id != CONTROL
            {
                bail!(
                    "{} and {} both have {} on {}; allowed: each part of a measurement once",
                    names[first.part],
                    names[index],
                    cell.id,
                    cell.workload
                );
            }
            all.cells.push(cell);
        }
    }
    all.parts = passports;
    all.compare(tree);
    Ok(all)
}

/// The first thing, besides the date, in which two passports differ.
fn difference(one: &Passport, other: &Passport) -> Option<(&'static str, String, String)> {
    let pairs = one.identity().into_iter().zip(other.identity());
    pairs.into_iter().find(|(a, b)| a != b).map(|((what, a), (_, b))| (what, a, b))
}

fn is_same_place(one: &Measured, other: &Measured) -> bool {
    one.id == other.id && one.peer == other.peer && one.is_in(other.row())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A part with the control and one variant, of so many cycles per operation.
    fn part(cpu: &str, variant: &str, control: f64, cycles: f64) -> Matrix {
        let figures = |cycles: f64| json!({ "ops_per_s": 1.0, "cycles_per_op": cycles, "user_s": 1.0, "sys_s": 0.0, "peak_rss_kib": 1 });
        let events = json!({
            "acquire": { "empty_scan": 0, "freelist": 0, "unused": 0, "grow": 0 }, "fallbacks": [],
            "retired": 0, "adopted": 0, "drains": 0, "remote_frees": 0, "lookups": 0, "probes": 0,
            "superslabs": 0,
        });
        let cell = |id: &str, cycles: f64| {
            json!({
                "id": id, "variant": id, "hash_lookup": false, "peer": false,
                "workload": "random_mixed", "args": { "cycles": 10, "ws": 8, "seed": 1 },
                "median": figures(cycles), "cycles_interval": null, "min": figures(cycles),
                "against_parent": null, "kernel_percent": 0.0, "events": events, "samples": [],
            })
        };
        serde_json::from_value(json!({
            "passport": {
                "commit": "c", "dirty": false, "cpu": cpu, "cores": 2, "kernel": "k", "rustc": "r",
                "counter": "tsc", "date": "d",
            },
            "rounds": 3, "control": {}, "noisy": false, "failed": [],
            "cells": [cell("legacy", control), cell(variant, cycles)],
        }))
        .expect("a part")
    }

    fn join(parts: Vec<Matrix>, mixed: bool) -> Result<Matrix> {
        let names: Vec<String> = (1..=parts.len()).map(|n| format!("part-{n}.json")).collect();
        joined(&crate::workspace::variants()?, &names, parts, mixed)
    }

    #[test]
    fn parts_of_one_machine_are_joined_and_compared() {
        let parts = vec![part("A", "superslab", 50.0, 60.0), part("A", "option-a", 50.0, 30.0)];
        let all = join(parts, false).expect("one result");
        assert_eq!(all.parts.len(), 2);
        assert_eq!(all.cells.len(), 4);
        let against = all.cells[3].against_parent.expect("its parent is in the other part");
        assert!((against.percent + 50.0).abs() < 1e-9 && !against.paired);
    }

    #[test]
    fn machines_are_not_mixed_in_silence() {
        let parts = || vec![part("A", "superslab", 50.0, 60.0), part("B", "option-a", 100.0, 60.0)];
        let error = join(parts(), false).expect_err("two processors").to_string();
        assert!(error.contains("`cpu`: A and B") && error.contains("--mixed"), "{error}");
        let all = join(parts(), true).expect("asked for");
        assert_eq!(all.parts[1].cpu, "B");
        // 60 of 100 against 60 of 50: each against its own control.
        let against = all.cells[3].against_parent.expect("its parent is in the other part");
        assert!((against.percent + 50.0).abs() < 1e-9);
    }

    #[test]
    fn a_part_is_joined_once() {
        let parts = vec![part("A", "superslab", 50.0, 60.0), part("A", "superslab", 50.0, 60.0)];
        let error = join(parts, false).expect_err("twice").to_string();
        assert!(error.contains("part-1.json and part-2.json both have superslab"), "{error}");
    }
}
