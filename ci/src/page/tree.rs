//! The tree of variants, each with the price of its one knob; and the best with one knob set back.

use super::chart::{self, Mark};
use super::number::{NONE, change, count, mib, or_none, percent, percent_range, plain};
use super::rows::{MAIN, show, title};
use super::table;
use crate::bench::result::{CONTROL, Matrix, Row};
use crate::ledger::model::{Change, Edge, EdgeRow, Expectation, Ledger};
use maud::{Markup, html};
use serde_json::json;

/// How an expectation about cycles is named.
const CYCLES: &str = "cycles_per_op";

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
                "There is no ledger yet: " code { "cargo ci ledger" } " prices every edge of the \
                 tree. Until then the column “against the parent” of the tables below has the \
                 change in time."
            }
        };
    };
    let nodes = nodes(run, &ledger.edges);
    html! {
        p {
            "Every variant differs from the one above it, its parent, in exactly one knob. So the \
             change from parent to variant is what that knob costs or buys; a change whose 95 % \
             interval, the thin line, holds 0 % may be none. Instructions are exact."
        }
        @if ledger.passport != run.passport {
            p.small { "Priced by another run: " (ledger.passport.line()) }
        }
        @if ledger.noisy {
            p.noisy {
                strong { "NOISY: " }
                "the machine did not hold still while these times were taken; instructions repeat \
                 exactly."
            }
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
        h3 { "What each knob is worth in the best variant" }
        p {
            code { (best) } " with one of its knobs set back, all others kept: a bar to the right \
             is what is lost without that knob, one to the left what it costs."
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

/// A lane per edge: the change of cycles and that of instructions, and what was expected.
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
        if let Some(it) = row.expected.iter().find(|it| it.metric == CYCLES) {
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
    let heads = [
        "variant, and its one knob",
        "cycles/op",
        "change (95 % interval)",
        "expected",
        "instructions/op",
        "peak RSS, MiB",
        "code, bytes",
        "kernel, % of time",
        "L1, last-level misses/op, simulated",
        "the question",
    ];
    let line = |node: &Node<'_>| {
        let indent = "\u{2003}".repeat(node.depth.saturating_sub(1));
        let branch = if node.depth > 0 { "└ " } else { "" };
        let (knob, [figures @ .., question]) = match node.edge {
            Some(edge) => (edge.knob.as_str(), edge_figures(edge, row)),
            None => ("", root_figures(run, node.id, row)),
        };
        let name = format!("{indent}{branch}{}\n{knob}", node.id);
        [name].into_iter().chain(figures).chain([format!("\n{question}")]).collect()
    };
    let lines: Vec<Vec<String>> = nodes.iter().map(line).collect();
    table::table(name, &heads, &lines)
}

fn edge_figures(edge: &Edge, row: Row<'_>) -> [String; 9] {
    let row = row_of(edge, row);
    let of = |figure: fn(&EdgeRow) -> Option<Change>| row.and_then(figure);
    let by = or_none(row.and_then(|row| row.cycles_percent), percent);
    let interval = row.and_then(|row| row.cycles_percent_interval).map(percent_range);
    let expected = row.and_then(|row| row.expected.first());
    let misses = [of(|row| row.l1_misses_simulated), of(|row| row.ll_misses_simulated)];
    let bytes = |bytes: f64| count(bytes as u64);
    [
        or_none(of(|row| row.cycles), |cycles| plain(cycles.to)),
        format!("{by}\n{}", interval.unwrap_or_default()),
        or_none(expected, expectation),
        or_none(of(|row| row.instructions), |it| change(it, plain)),
        or_none(of(|row| row.peak_rss_kib), |it| change(it, mib)),
        or_none(edge.code_bytes, |it| change(it, bytes)),
        or_none(of(|row| row.kernel_percent), from_to),
        misses.map(|it| or_none(it, from_to)).join(", "),
        edge.question.clone(),
    ]
}

fn root_figures(run: Option<&Matrix>, id: &str, row: Row<'_>) -> [String; 9] {
    let cell = run.and_then(|run| run.in_row(id, row));
    let mut figures = [NONE; 9].map(str::to_owned);
    figures[0] = or_none(cell, |cell| plain(cell.median.cycles_per_op));
    figures[4] = or_none(cell, |cell| mib(cell.median.peak_rss_kib as f64));
    figures[6] = or_none(cell, |cell| plain(cell.kernel_percent));
    figures[8] = if id == CONTROL { "the system's malloc" } else { "sets every knob" }.to_owned();
    figures
}

fn expectation(it: &Expectation) -> String {
    let (met, range) = (if it.met { "✓ met" } else { "✗ not met" }, percent_range(it.range));
    format!("{met}\n{}: {range}, measured {}", it.metric, percent(it.measured_percent))
}

fn from_to(change: Change) -> String {
    format!("{} → {}", plain(change.from), plain(change.to))
}

/// The tree, parents first, each followed by what is below it.
fn nodes<'a>(run: &'a Matrix, edges: &'a [Edge]) -> Vec<Node<'a>> {
    let is_below = |id: &str| edges.iter().any(|edge| edge.variant == id);
    let control = run.cells.iter().map(|cell| cell.id.as_str()).filter(|id| *id == CONTROL);
    let mut roots: Vec<&str> = Vec::new();
    for id in control.chain(edges.iter().map(|edge| edge.against.as_str())) {
        if !is_below(id) && !roots.contains(&id) {
            roots.push(id);
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
