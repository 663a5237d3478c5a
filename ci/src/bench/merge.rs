//! `cargo ci merge`: joins the parts that several machines measured into one result.

use super::passport::Passport;
use super::result::{CONTROL, Matrix, Measured, Row};
use super::{json, load, print};
use crate::tree::Tree;
use anyhow::{Result, bail, ensure};
use std::collections::BTreeMap;
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
    let named = |file: &PathBuf| Ok((file.display().to_string(), load(file)?));
    let parts = options.parts.iter().map(named).collect::<Result<Vec<_>>>()?;
    let matrix = joined(&tree, parts, options.mixed)?;
    print(&matrix, &tree);
    json::write(&options.json, &matrix)
}

/// One result of all parts; each part has a name.
fn joined(tree: &Tree, parts: Vec<(String, Matrix)>, mixed: bool) -> Result<Matrix> {
    let (first, one) = &parts[0];
    for (name, part) in &parts {
        let both = format!("{first} and {name}");
        if let Some((what, a, b)) = difference(&one.passport, &part.passport) {
            ensure!(
                mixed,
                "{both} differ in `{what}`: {a} and {b}; --mixed joins them nevertheless, and notes it in the result"
            );
        }
        ensure!(
            part.parts.is_empty(),
            "{name} is a merged result; allowed: results of `cargo ci bench --json`"
        );
        let allowed = "allowed: parts of the same measurement";
        let differs = |cell: &&Measured| {
            one.cells.iter().any(|first| first.is_in(cell.row()) && first.args != cell.args)
        };
        if let Some(Measured { workload, .. }) = part.cells.iter().find(differs) {
            bail!("{both} ran {workload} with different --cycles or --seed; {allowed}");
        }
        let (rounds, other) = (one.rounds, part.rounds);
        ensure!(rounds == other, "{both} have {rounds} and {other} rounds; {allowed}");
    }
    let mut all = Matrix {
        parts: parts.iter().map(|(_, part)| part.passport.clone()).collect(),
        noisy: parts.iter().any(|(_, part)| part.noisy),
        control: BTreeMap::new(),
        cells: Vec::new(),
        failed: Vec::new(),
        ..one.clone()
    };
    let names: Vec<String> = parts.iter().map(|(name, _)| name.clone()).collect();
    for (index, (name, part)) in parts.into_iter().enumerate() {
        all.failed.extend(part.failed);
        let row = |row: String| format!("{row}, part {}", index + 1);
        all.control.extend(part.control.into_iter().map(|(name, control)| (row(name), control)));
        for cell in part.cells {
            let before = all.cells.iter().find(|before| place(before) == place(&cell));
            if let Some(before) = before.filter(|_| cell.id != CONTROL) {
                bail!(
                    "{} and {name} both have {} on {}; allowed: each part of a measurement once",
                    names[before.part],
                    cell.id,
                    cell.workload
                );
            }
            all.cells.push(Measured { part: index, ..cell });
        }
    }
    all.compare(tree);
    Ok(all)
}

fn place(cell: &Measured) -> (&str, bool, Row<'_>) {
    (&cell.id, cell.peer, cell.row())
}

/// The first thing, besides the date, in which two passports differ.
fn difference(one: &Passport, other: &Passport) -> Option<(&'static str, String, String)> {
    let mut pairs = one.identity().into_iter().zip(other.identity());
    pairs.find(|(a, b)| a != b).map(|((what, a), (_, b))| (what, a, b))
}

#[cfg(test)]
mod tests {
    use super::super::result::made_up::matrix;
    use super::*;

    const ROW: (&str, usize) = ("random_mixed", 8);

    /// A part with the control and one variant, of so many cycles per operation.
    fn part(cpu: &str, variant: &str, control: f64, cycles: f64) -> Matrix {
        matrix(cpu, &[(CONTROL, ROW, control), (variant, ROW, cycles)])
    }

    fn join(parts: Vec<Matrix>, mixed: bool) -> Result<Matrix> {
        let names = (1..).map(|n| format!("part-{n}.json"));
        joined(&crate::workspace::variants()?, names.zip(parts).collect(), mixed)
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
