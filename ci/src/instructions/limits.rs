//! `variants/generated/limits.toml`: the most that each figure of a variant may be.
//!
//! A variant has a limit of its own where its figure is not its parent's; elsewhere its parent's holds.

use super::counts::Counts;
use super::limited;
use crate::tree::{Tree, Value, Variant};
use crate::workspace;
use anyhow::{Context, Result};
use hakmem_workloads::measures::Measure;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

const HEAD: &str = "\
# Per operation, instructions at most; of what begins with `pages`, pages of 4 KiB that stay resident.
# A variant's figure is here where it is not its parent's. Written by `cargo ci bless`, held by `cargo ci test`.
";

/// By variant and measure.
#[derive(Debug, Default)]
pub(super) struct Limits(BTreeMap<String, BTreeMap<String, f64>>);

/// Allowance above a limit: a tenth of a percent and a hundredth, since limits are written with two places. One more
/// instruction on a hit is ten times that.
///
/// Allowance where the system's malloc serves some blocks: a percent. Its instructions are counted too, and depend on
/// all that the program did before `main`, the length of its arguments included. Pages depend on the kernel too: a
/// percent, and some pages. Where chance decides, a tenth: large blocks took from 6300 to 6700 instructions there.
fn tolerance(variant: &Variant, measure: &str, limit: f64) -> f64 {
    match measure {
        _ if is_random(variant) => 8.0 + limit * 0.1,
        _ if measure.starts_with("pages") => 8.0 + limit * 0.01,
        _ if asks_the_system(variant) => 0.01 + limit * 0.01,
        _ => 0.01 + limit * 0.001,
    }
}

fn asks_the_system(variant: &Variant) -> bool {
    variant.knobs.get("large").is_none_or(|large| *large == Value::Word("system".to_owned()))
}

/// True if chance decides which blocks a variant hands out, so that no two runs are alike.
pub(super) fn is_random(variant: &Variant) -> bool {
    let waits = matches!(variant.knobs.get("quarantine"), Some(Value::Number(1..)));
    waits || variant.knobs.get("spread") == Some(&Value::Word("random".to_owned()))
}

fn file() -> PathBuf {
    workspace::root().join("variants/generated/limits.toml")
}

impl Limits {
    pub(super) fn read() -> Result<Self> {
        let file = file();
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        Ok(Self(toml::from_str(&text).with_context(|| file.display().to_string())?))
    }

    /// Makes limits of the counts.
    pub(super) fn bless(tree: &Tree, counts: &Counts) -> Result<Self> {
        let mut limits = Self::default();
        let mut order: Vec<&Variant> = limited(tree).collect();
        order.sort_by_key(|variant| variant.depth);
        for variant in order {
            for measure in Measure::names() {
                let count = counts.get(&variant.id, measure);
                let count = count
                    .with_context(|| format!("{}: `{measure}` was not measured", variant.id))?;
                let took = (count.figure * 100.0).round() / 100.0;
                let inherited = limits.of(tree, &variant.id, measure);
                // Half of the allowance is left for the next run.
                let differs = |of: f64| (took - of).abs() > tolerance(variant, measure, of) / 2.0;
                if inherited.is_none_or(differs) {
                    limits
                        .0
                        .entry(variant.id.clone())
                        .or_default()
                        .insert(measure.to_owned(), took);
                }
            }
        }
        Ok(limits)
    }

    pub(super) fn write(&self) -> Result<()> {
        let mut text = HEAD.to_owned();
        for (variant, limits) in &self.0 {
            write!(text, "\n[{variant}]\n")?;
            for measure in Measure::names().filter(|measure| limits.contains_key(*measure)) {
                writeln!(text, "{measure} = {}", limits[measure])?;
            }
        }
        if std::fs::read_to_string(file()).ok().as_ref() != Some(&text) {
            std::fs::write(file(), text).with_context(|| file().display().to_string())?;
            println!("written: variants/generated/limits.toml");
        }
        Ok(())
    }

    /// A variant's limit: its own, or its nearest ancestor's.
    fn of(&self, tree: &Tree, variant: &str, measure: &str) -> Option<f64> {
        let own = |id: &str| self.0.get(id).and_then(|limits| limits.get(measure)).copied();
        own(variant).or_else(|| tree.ancestors(variant).find_map(|ancestor| own(&ancestor.id)))
    }

    /// A line for each figure that is above its limit, or has no limit.
    pub(super) fn violations(&self, tree: &Tree, counts: &Counts) -> Vec<String> {
        let mut lines = Vec::new();
        for variant in limited(tree) {
            for measure in Measure::names() {
                let id = &variant.id;
                match (counts.get(id, measure), self.of(tree, id, measure)) {
                    (Some(count), Some(limit))
                        if count.figure > limit + tolerance(variant, measure, limit) =>
                    {
                        lines.push(format!(
                            "{id}: `{measure}` is {:.2}; allowed: {limit}",
                            count.figure
                        ));
                    }
                    (Some(count), None) => {
                        lines.push(format!(
                            "{id}: `{measure}` has no limit; it is {:.2}",
                            count.figure
                        ));
                    }
                    (None, _) => lines.push(format!("{id}: `{measure}` was not measured")),
                    (Some(_), Some(_)) => {}
                }
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(variants: &[(&str, f64)]) -> Counts {
        let of = |(id, hit): &(&str, f64)| {
            let count = serde_json::json!({ "figure": hit, "misses": null });
            let of_each: BTreeMap<_, _> = Measure::names().map(|name| (name, &count)).collect();
            let mix = serde_json::json!({ "all": 0, "loads": 0, "stores": 0, "branches": 0, "calls": 0, "atomic": 0 });
            (id.to_string(), serde_json::json!({ "counts": of_each, "hit": [mix, mix] }))
        };
        let all: serde_json::Map<_, _> = variants.iter().map(of).collect();
        serde_json::from_value(serde_json::Value::Object(all)).expect("counts")
    }

    fn tree() -> Tree {
        let parent = "question = \"?\"\ndefault = true\n[set]\nbackend = \"system\"\n";
        let child = "parent = \"parent\"\nquestion = \"?\"\n[set]\nbackend = \"system\"\n";
        let files = [("parent", parent), ("child", child)];
        Tree::resolve(&files.map(|(id, text)| (id.to_owned(), text.to_owned()))).expect("a tree")
    }

    /// The messages about `hit`; the other measures are missing in these trees.
    fn said(limits: &Limits, variants: &[(&str, f64)]) -> Vec<String> {
        let lines = limits.violations(&tree(), &counts(variants));
        lines.into_iter().filter(|line| line.contains("`hit`")).collect()
    }

    #[test]
    fn a_child_has_its_parents_limit_where_it_has_none_of_its_own() {
        let same = Limits::bless(&tree(), &counts(&[("parent", 37.0294), ("child", 37.03)]))
            .expect("limits");
        assert_eq!(same.0.len(), 1, "{same:?}");
        assert_eq!(same.of(&tree(), "child", "hit"), Some(37.03));
        assert_eq!(said(&same, &[("parent", 37.03), ("child", 37.03)]), Vec::<String>::new());
        assert_eq!(
            said(&same, &[("parent", 37.03), ("child", 39.0)]),
            ["child: `hit` is 39.00; allowed: 37.03"]
        );
        let own =
            Limits::bless(&tree(), &counts(&[("parent", 37.0), ("child", 35.0)])).expect("limits");
        assert_eq!(own.of(&tree(), "child", "hit"), Some(35.0));
        assert_eq!(said(&own, &[("parent", 37.0), ("child", 37.0)]).len(), 1);
    }

    #[test]
    fn one_instruction_more_is_too_many() {
        let variants = crate::workspace::variants().expect("the variants").variants;
        assert!(tolerance(&variants["apex"], "hit", 17.02) < 0.1);
        assert!(tolerance(&variants["superslab"], "hit", 1000.0) > 10.0);
        assert!(!asks_the_system(&variants["apex"]) && asks_the_system(&variants["superslab"]));
    }

    #[test]
    fn a_figure_without_a_limit_is_named() {
        let said = said(&Limits::default(), &[("parent", 37.0), ("child", 37.0)]);
        assert_eq!(said[0], "child: `hit` has no limit; it is 37.00");
    }
}
