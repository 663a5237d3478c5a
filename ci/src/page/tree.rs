//! The tree of variants, each with the price of its one knob; and the best with one knob set back.

use super::chart::{self, Mark};
use super::number::{NONE, change, count, or_none, percent, percent_range, plain};
use super::peers::cycles;
use super::rows::{MAIN, show, title};
use super::table;
use crate::bench::result::{CONTROL, Matrix, Row};
use crate::bench::table::per_1000;
use crate::ledger::model::{Change, Edge, EdgeRow, Expectation, Ledger};
use maud::{Markup, html};
use serde_json::json;

/// A column of the table: its head, and its figure for an edge on a row.
type Figure = (&'static str, fn(&Edge, &EdgeRow) -> String);

const FIGURES: [Figure; 11] = [
    ("cycles/op", |_, row| or_none(row.cycles, |it| plain(it.to))),
    ("change (95 % interval)", |_, row| price(row)),
    ("expected", |_, row| or_none(row.expected.first(), expectation)),
    ("instructions/op", |_, row| or_none(row.instructions, |it| change(it, plain))),
    ("peak RSS, MiB", |_, row| {
        or_none(row.peak_rss_kib, |it| change(it, |kib| plain(kib / 1024.0)))
    }),
    ("code, bytes", |edge, _| or_none(edge.code_bytes, |it| change(it, |it| count(it as u64)))),
    ("kernel, % of time", |_, row| or_none(row.kernel_percent, from_to)),
    ("page faults/1000", |_, row| or_none(row.page_faults, |it| change(it, each_1000))),
    ("system calls/1000", |_, row| or_none(row.system_calls, |it| change(it, each_1000))),
    ("L1, last-level misses/op, simulated", |_, row| misses(row)),
    ("the question", |edge, _| format!("\n{}", edge.question)),
];

fn each_1000(per_op: f64) -> String {
    per_1000(Some(per_op))
}

/// A place in the tree: a root has no edge.
struct Node<'a> {
    depth: usize,
    id: &'a str,
    edge: Option<&'a Edge>,
}

pub(super) fn section(run: &Matrix, ledger: Option<&Ledger>) -> Markup {
    let Some(ledger) = ledger else {
        return html! {
            p.empty {
                "There is no ledger yet: " code { "cargo ci ledger" } " measures the price of \
                 every edge of the tree. Until then the column “against the parent” of the tables \
                 below has the change in time."
            }
        };
    };
    let nodes = nodes(&ledger.edges);
    html! {
        p {
            "Every variant differs from the one above it, its parent, in exactly one knob. So the \
             change from parent to variant is what that knob costs or saves. A change may be none \
             if 0 % lies in its 95 % interval, the thin line. Instructions are exact."
        }
        @if ledger.passport != run.passport {
            p.small { "The prices are of another run: " (ledger.passport.line()) }
        }
        @if ledger.noisy {
            p.noisy { strong { "NOISY: " } "the control cell moved by more than its interval." }
        }
        (show(priced(run, &ledger.edges), |row| block("the parent", Some(run), &nodes, row)))
        (without(run, &ledger.leave_one_out))
    }
}

/// The best variant with one knob set back at a time.
fn without(run: &Matrix, edges: &[Edge]) -> Markup {
    let Some(Edge { against: best, .. }) = edges.first() else { return html! {} };
    let nodes = edges.iter().map(|edge| Node { depth: 0, id: &edge.variant, edge: Some(edge) });
    let nodes: Vec<Node<'_>> = nodes.collect();
    html! {
        h3 { "The worth of each knob in the best variant" }
        p {
            code { (best) } " with one of its knobs set back, all others kept: a bar to the right \
             shows what the knob saves, a bar to the left what it costs."
        }
        @for row in priced(run, edges).into_iter().filter(|row| MAIN.contains(row)) {
            h4 { (title(row)) }
            (block(best, None, &nodes, row))
        }
    }
}

/// The prices of the nodes on a row: as a chart, and as a table.
fn block(against: &str, run: Option<&Matrix>, nodes: &[Node<'_>], row: Row<'_>) -> Markup {
    let edges = nodes.iter().filter_map(|node| Some((node.edge?, row_of(node.edge?, row)?)));
    html! {
        (bars(against, row, &edges.collect::<Vec<_>>()))
        (prices(&format!("prices against {against}, {}", title(row)), run, nodes, row))
    }
}

/// A lane per edge: the changes of cycles and of instructions, and the expectation.
fn bars(against: &str, row: Row<'_>, edges: &[(&Edge, &EdgeRow)]) -> Markup {
    let [mut fewer, mut more, mut instructions, mut expected] = [const { Vec::new() }; 4];
    let mut names = Vec::new();
    for (edge, row) in edges {
        let y = names.len() as f64;
        let by = row.cycles_percent.filter(|by| by.is_finite());
        names.push(format!("{} <b>{}</b><br>{}", edge.variant, or_none(by, percent), edge.knob));
        if let Some(x) = by {
            let bars = if x < 0.0 { &mut fewer } else { &mut more };
            bars.push(Mark { interval: row.cycles_percent_interval, ..Mark::at(x, y) });
        }
        if let Some(x) = row.instructions.and_then(Change::percent) {
            instructions.push(Mark::at(x, y));
        }
        if let Some(it) = row.expected.iter().find(|it| it.metric == "cycles_per_op") {
            let [low, high] = it.range;
            expected.push(Mark { base: low, ..Mark::at(high - low, y) });
        }
    }
    let solid = |name: &str, colour: &str, marks: Vec<Mark>| {
        json!({
            "type": "bar", "name": name, "marks": marks, "width": 0.5, "marker": { "color": colour },
        })
    };
    let data = vec![
        solid("fewer cycles", "--ours", fewer),
        solid("more cycles", "--peer", more),
        json!({
            "mode": "markers", "name": "instructions", "marks": instructions,
            "marker": { "color": "--ink", "symbol": "diamond", "size": 7 },
        }),
        json!({
            "type": "bar", "name": "expected by the variant's file", "marks": expected, "width": 0.8,
            "marker": { "color": "#0000", "line": { "color": "--said", "width": 2 } },
        }),
    ];
    let title = format!("Bars: change of cycles per operation against {against}, {}", title(row));
    let axis = json!({ "title": { "text": "change per operation, %" } });
    chart::lanes(&title, &names, data, json!({ "xaxis": axis }))
}

fn prices(name: &str, run: Option<&Matrix>, nodes: &[Node<'_>], row: Row<'_>) -> Markup {
    let heads = ["variant, and its one knob"].into_iter().chain(FIGURES.map(|(head, _)| head));
    let line = |Node { depth, id, edge }: &Node<'_>| {
        // A long chain would push the names out of sight.
        let indent = "\u{2003}".repeat(depth.saturating_sub(1).min(5));
        let branch = if *depth > 0 { "└ " } else { "" };
        let knob = edge.map(|edge| format!("\n{}", edge.knob)).unwrap_or_default();
        let mut line = vec![format!("{indent}{branch}{id}{knob}")];
        match edge.and_then(|edge| Some((edge, row_of(edge, row)?))) {
            Some((edge, row)) => line.extend(FIGURES.iter().map(|(_, figure)| figure(edge, row))),
            // A root has no price, but has a time.
            None => {
                let cell = run.and_then(|run| run.in_row(id, row));
                line.push(or_none(cell, |cell| plain(cycles(cell))));
                line.resize(1 + FIGURES.len(), NONE.to_owned());
            }
        }
        line
    };
    let lines: Vec<Vec<String>> = nodes.iter().map(line).collect();
    table::table(name, &heads.collect::<Vec<_>>(), &lines)
}

fn price(row: &EdgeRow) -> String {
    let interval = row.cycles_percent_interval.map(|ends| format!("\n{}", percent_range(ends)));
    or_none(row.cycles_percent, percent) + &interval.unwrap_or_default()
}

fn misses(row: &EdgeRow) -> String {
    [row.l1_misses_simulated, row.ll_misses_simulated].map(|it| or_none(it, from_to)).join(", ")
}

fn expectation(it: &Expectation) -> String {
    let (met, range) = (if it.met { "✓ met" } else { "✗ not met" }, percent_range(it.range));
    format!("{met}\n{}: {range}, measured {}", it.metric, percent(it.measured_percent))
}

fn from_to(change: Change) -> String {
    format!("{} → {}", plain(change.from), plain(change.to))
}

/// The tree, parents first, each followed by its descendants.
fn nodes(edges: &[Edge]) -> Vec<Node<'_>> {
    let mut roots = vec![CONTROL];
    for Edge { against, .. } in edges {
        if !roots.contains(&against.as_str()) && !edges.iter().any(|it| it.variant == *against) {
            roots.push(against);
        }
    }
    let mut nodes = Vec::new();
    for id in roots {
        nodes.push(Node { depth: 0, id, edge: None });
        below(edges, id, 1, &mut nodes);
    }
    nodes
}

fn below<'a>(edges: &'a [Edge], id: &str, depth: usize, nodes: &mut Vec<Node<'a>>) {
    for edge in edges.iter().filter(|edge| edge.against == id) {
        nodes.push(Node { depth, id: &edge.variant, edge: Some(edge) });
        below(edges, &edge.variant, depth + 1, nodes);
    }
}

/// The rows of the run that have prices.
fn priced<'a>(run: &'a Matrix, edges: &[Edge]) -> Vec<Row<'a>> {
    let has_price = |row: &Row<'_>| edges.iter().any(|edge| row_of(edge, *row).is_some());
    run.rows().into_iter().filter(has_price).collect()
}

pub(super) fn row_of<'a>(edge: &'a Edge, (workload, ws): Row<'_>) -> Option<&'a EdgeRow> {
    edge.rows.iter().find(|row| row.workload == workload && row.ws == ws)
}
