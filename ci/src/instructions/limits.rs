//! The limits in the variants' files.

use super::counts::Counts;
use super::limited;
use crate::knobs::Value;
use crate::measures::Measure;
use crate::tree::{Tree, Variant};

/// What a figure may be above its limit, since limits are written with two places: a tenth of a percent
/// and a hundredth. One instruction more on a hit is ten times that.
///
/// Where the system's malloc serves some blocks, its instructions are counted too, and they depend on what
/// the program did before `main`, the length of its arguments included: a percent there.
fn tolerance(variant: &Variant, limit: f64) -> f64 {
    0.01 + limit * if asks_the_system(variant) { 0.01 } else { 0.001 }
}

fn asks_the_system(variant: &Variant) -> bool {
    variant.knobs.get("large") != Some(&Value::Word("own".to_owned()))
}

/// A line for each figure that is above its limit, or has none.
pub(super) fn violations(tree: &Tree, counts: &Counts) -> Vec<String> {
    let mut lines = Vec::new();
    for variant in limited(tree) {
        for measure in Measure::names() {
            let Some(count) = counts.get(&variant.id, measure) else {
                lines.push(format!("{}: `{measure}` was not measured", variant.id));
                continue;
            };
            let took = count.instructions;
            match variant.instructions.get(measure) {
                None => lines.push(format!(
                    "variants/{}.toml: [instructions] `{measure}` is missing; it takes {took:.2}",
                    variant.id
                )),
                Some(limit) if took > limit + tolerance(variant, *limit) => lines.push(format!(
                    "variants/{}.toml: [instructions] `{measure}` = {limit}, and it takes {took:.2} per operation",
                    variant.id
                )),
                Some(_) => {}
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(hit: f64) -> Counts {
        let count = serde_json::json!({ "instructions": hit, "l1_misses": 0.0, "ll_misses": 0.0 });
        serde_json::from_value(serde_json::json!({ "option-a": { "hit": count } })).expect("counts")
    }

    fn tree(limits: &str) -> Tree {
        let root = "question = \"?\"\ndefault = true\n[set]\nbackend = \"system\"\n".to_owned();
        Tree::resolve(&[("option-a".to_owned(), root + limits)]).expect("a tree")
    }

    /// What is said of `hit`; the other measures are missing in these trees.
    fn said(limits: &str, hit: f64) -> Vec<String> {
        let lines = violations(&tree(limits), &counts(hit));
        lines.into_iter().filter(|line| line.contains("`hit`")).collect()
    }

    #[test]
    fn one_instruction_more_is_too_many() {
        let limits = "[instructions]\nhit = 37.03\n";
        assert_eq!(said(limits, 37.029), Vec::<String>::new());
        assert_eq!(said(limits, 36.0), Vec::<String>::new());
        assert_eq!(
            said(limits, 38.029),
            [
                "variants/option-a.toml: [instructions] `hit` = 37.03, and it takes 38.03 per operation"
            ]
        );
    }

    #[test]
    fn the_systems_malloc_may_take_a_percent() {
        let limits = "[instructions]\nhit = 1000.0\n";
        assert_eq!(said(limits, 1010.0), Vec::<String>::new());
        assert_eq!(said(limits, 1011.0).len(), 1);
        let variants = crate::workspace::variants().expect("the variants").variants;
        assert!(!asks_the_system(&variants["apex"]) && asks_the_system(&variants["superslab"]));
    }

    #[test]
    fn a_figure_without_a_limit_is_named() {
        let said = said("", 37.0);
        assert!(said[0].contains("is missing; it takes 37.00"), "{said:?}");
    }
}
