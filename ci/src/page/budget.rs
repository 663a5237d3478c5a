//! The founding report's budget of cycles, rebuilt: the report's figures beside the measured ones.

use super::chart::{self, Mark};
use super::number::{or_none, plain, range};
use super::table;
use crate::ledger::model::{Ledger, Part, Stage};
use maud::{Markup, html};
use serde_json::{Value, json};

pub(super) fn section(ledger: Option<&Ledger>) -> Markup {
    let stages = ledger.map_or(&[][..], |ledger| &ledger.budget);
    html! {
        p {
            "The founding report gives a budget: the cycles of each part of an operation, now and \
             after each of its fixes. Here each line is measured by a method of its own, which the \
             tables state: a part taken out, a price times the number of events, or a difference."
        }
        @if stages.is_empty() {
            p.empty {
                "There is no ledger yet: " code { "cargo ci ledger" } " measures these parts."
            }
        } @else {
            p {
                "Each bar starts where the one above it ends. The difference between the parts and \
                 the measured total is “not separated”; it is below zero if the parts overlap in \
                 the processor. If the report gives a range, the bar shows its middle."
            }
        }
        @for it in stages { (stage(it)) }
    }
}

fn stage(stage: &Stage) -> Markup {
    let part = |name: &str, said, cycles, how: &str| Part {
        name: name.to_owned(),
        said,
        cycles: Some(cycles),
        method: how.to_owned(),
    };
    let rest = part("not separated", None, stage.not_separated(), "the total less the parts above");
    let total = part("total", Some([stage.said; 2]), stage.measured, "median of the rounds");
    let parts: Vec<&Part> = stage.parts.iter().chain([&rest, &total]).collect();
    let name = |part: &&Part| {
        format!("{}<br>{}", part.name, if part.cycles.is_none() { "not separable" } else { "" })
    };
    let said = parts.iter().map(|part| part.said.map(|[low, high]| f64::midpoint(low, high)));
    let data = vec![
        steps("measured", "--ours", -0.42, parts.iter().map(|part| part.cycles)),
        steps("said by the report", "--said", 0.02, said),
    ];
    let title = format!("Waterfall of the budget “{}”", stage.name);
    let axis = json!({ "title": { "text": "cycles per operation, added up" } });
    let names: Vec<String> = parts.iter().map(name).collect();
    let heads = ["part", "report, cycles/op", "measured, cycles/op", "how"];
    let line = |part: &&Part| {
        let (said, cycles) = (or_none(part.said, range), or_none(part.cycles, plain));
        vec![part.name.clone(), said, cycles, part.method.clone()]
    };
    let lines: Vec<Vec<String>> = parts.iter().map(line).collect();
    html! {
        h3 { "“" (stage.name) "”: " code { (stage.variant) } }
        p {
            "The report says " strong { (plain(stage.said)) } " cycles per operation; this run \
             measured " strong { (plain(stage.measured)) } "."
        }
        (chart::lanes(&title, &names, data, json!({ "xaxis": axis })))
        (table::folded("How each part was measured", &table::table(&title, &heads, &lines)))
    }
}

/// Bars that each begin where the one before ended, and a last bar of their sum; each in its lane.
fn steps(
    name: &str,
    colour: &str,
    down: f64,
    sizes: impl ExactSizeIterator<Item = Option<f64>>,
) -> Value {
    let (mut so_far, total) = (0.0, sizes.len() - 1);
    let mut marks = Vec::new();
    for (lane, size) in sizes.enumerate() {
        let place = Mark::at(size.unwrap_or(f64::NAN), lane as f64);
        let base = if lane == total { 0.0 } else { so_far };
        marks.push(Mark { base, text: or_none(size, plain), ..place });
        so_far += size.unwrap_or(0.0);
    }
    json!({
        "type": "bar", "name": name, "marks": marks, "width": 0.4, "offset": down,
        "textposition": "outside", "cliponaxis": false, "hovertemplate": "%{text}",
        "marker": { "color": colour },
    })
}
