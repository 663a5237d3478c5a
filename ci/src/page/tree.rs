//! The tree of variants, each with the price of its one knob; and the best with one knob set back.

use super::chart::{figure, key};
use super::edges::EdgeBars;
use super::number::{NONE, change, mib, or_none, percent, percent_range, plain, whole};
use super::rows::{is_main, show, title};
use super::table::{self, Column};
use crate::bench::result::{CONTROL, Matrix, Row};
use crate::ledger::model::{Change, Edge, EdgeRow, Expectation, Ledger};
use anyhow::Result;
use maud::{Markup, html};

/// A place in the tree: a root has no edge.
struct Node<'a> {
    depth: usize,
    id: &'a str,
    edge: Option<&'a Edge>,
}

pub(super) fn section(run: &Matrix, ledger: Option<&Ledger>) -> Result<Markup> {
    let Some(ledger) = ledger else {
        return Ok(html! {
            p.empty {
                "There is no ledger yet: " code { "cargo ci ledger" } " prices every edge of the \
                 tree. Until then the column “against the parent” of the tables below has the \
                 change in time."
            }
        });
    };
    let nodes = nodes(run, &ledger.edges);
    Ok(html! {
        p {
            "Every variant differs from the one above it, its parent, in exactly one knob. So the \
             change from parent to variant is what that knob costs or buys; a change whose \
             interval holds 0 % may be none."
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
        (show(rows(&ledger.edges), |row| block(run, &nodes, row))?)
        (without(&ledger.leave_one_out)?)
    })
}

/// The best variant with one knob set back at a time.
fn without(edges: &[Edge]) -> Result<Markup> {
    let best = edges.first().map(|edge| edge.against.as_str()).unwrap_or_default();
    let mut blocks = Vec::new();
    for row in rows(edges).into_iter().filter(|row| is_main(*row)) {
        let priced = priced(edges, row);
        let bars = EdgeBars { against: best, row: title(row), edges: priced.clone() };
        let nodes: Vec<Node<'_>> = priced
            .iter()
            .map(|(edge, _)| Node { depth: 0, id: &edge.variant, edge: Some(edge) })
            .collect();
        blocks.push(html! {
            h4 { (title(row)) }
            (figure(&bars, &legend(&bars))?)
            (prices(&format!("one knob set back, {}", title(row)), None, &nodes, row))
        });
    }
    Ok(html! {
        @if !blocks.is_empty() {
            h3 { "What each knob is worth in the best variant" }
            p {
                code { (best) } " with one of its knobs set back, all others kept: a bar to the \
                 right is what is lost without that knob, one to the left what it costs."
            }
            @for block in &blocks { (block) }
        }
    })
}

fn block(run: &Matrix, nodes: &[Node<'_>], row: Row<'_>) -> Result<Markup> {
    let edges = nodes.iter().filter_map(|node| Some((node.edge?, row_of(node.edge?, row)?)));
    let bars = EdgeBars { against: "the parent", row: title(row), edges: edges.collect() };
    Ok(html! {
        (figure(&bars, &legend(&bars))?)
        (prices(&format!("the tree with its prices, {}", title(row)), Some(run), nodes, row))
    })
}

fn legend(bars: &EdgeBars<'_>) -> Markup {
    html! {
        (key("ours", "fewer cycles")) (key("peer", "more cycles"))
        (key("whisker", "95 % interval of the change")) (key("dot", "instructions, exact"))
        @if bars.has_expectations() { (key("box", "expected by the variant's file")) }
    }
}

fn prices(name: &str, run: Option<&Matrix>, nodes: &[Node<'_>], row: Row<'_>) -> Markup {
    let columns = [
        Column::text("variant, and its one knob"),
        Column::number("cycles/op"),
        Column::number("change (95 % interval)"),
        Column::text("expected"),
        Column::number("instructions/op"),
        Column::number("peak RSS, MiB"),
        Column::number("code, bytes"),
        Column::number("kernel, % of time"),
        Column::number("L1, last-level misses/op, simulated"),
        Column::text("the question"),
    ];
    let lines: Vec<Vec<Markup>> = nodes
        .iter()
        .map(|node| match node.edge {
            Some(edge) => edge_line(node, edge, row),
            None => root_line(run, node, row),
        })
        .collect();
    table::table(name, &columns, &lines)
}

fn edge_line(node: &Node<'_>, edge: &Edge, row: Row<'_>) -> Vec<Markup> {
    let row = row_of(edge, row);
    let of = |figure: fn(&EdgeRow) -> Option<Change>| row.and_then(figure);
    let cycles = of(|row| row.cycles);
    let by = row.and_then(|row| row.cycles_percent);
    let interval = row.and_then(|row| row.cycles_percent_interval);
    let misses = [of(|row| row.l1_misses_simulated), of(|row| row.ll_misses_simulated)];
    let expected = row.map_or(&[][..], |row| &row.expected);
    vec![
        name(node),
        html! { (or_none(cycles, |cycles| plain(cycles.to))) },
        html! {
            strong { (or_none(by, percent)) }
            @if let Some(ends) = interval { span.small { (percent_range(ends)) } }
        },
        html! { @for it in expected { (expectation(it)) } @if expected.is_empty() { (NONE) } },
        html! { (or_none(of(|row| row.instructions), |it| change(it, plain))) },
        html! { (or_none(of(|row| row.peak_rss_kib), |it| change(it, mib))) },
        html! { (or_none(edge.code_bytes, bytes)) },
        html! { (or_none(of(|row| row.kernel_percent), from_to)) },
        html! { (misses.map(|it| or_none(it, from_to)).join(", ")) },
        html! { span.small { (edge.question) } },
    ]
}

fn root_line(run: Option<&Matrix>, node: &Node<'_>, row: Row<'_>) -> Vec<Markup> {
    let cell = run.and_then(|run| run.in_row(node.id, row));
    let dash = || html! { (NONE) };
    let what = if node.id == CONTROL {
        "the control: the system's malloc"
    } else {
        "a root: sets every knob"
    };
    vec![
        name(node),
        html! { (or_none(cell, |cell| plain(cell.median.cycles_per_op))) },
        dash(),
        dash(),
        dash(),
        html! { (or_none(cell, |cell| mib(cell.median.peak_rss_kib as f64))) },
        dash(),
        html! { (or_none(cell, |cell| plain(cell.kernel_percent))) },
        dash(),
        html! { span.small { (what) } },
    ]
}

fn name(node: &Node<'_>) -> Markup {
    let branch = if node.depth > 0 { "└ " } else { "" };
    html! {
        div style={ "padding-left:" (node.depth.saturating_sub(1)) "em" } {
            (branch) (node.id)
            @if let Some(edge) = node.edge { span.small { (edge.knob) } }
        }
    }
}

fn expectation(it: &Expectation) -> Markup {
    let (mark, class) = if it.met { ("✓ met", "met") } else { ("✗ not met", "unmet") };
    html! {
        span class=(class) { (mark) }
        span.small {
            (it.metric) ": " (percent_range(it.range)) ", measured " (percent(it.measured_percent))
        }
    }
}

/// After the change, and by how many.
fn bytes(change: Change) -> String {
    let by = change.to - change.from;
    let sign = if by < 0.0 { "" } else { "+" };
    format!("{} ({sign}{})", whole(change.to), whole(by))
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

fn rows(edges: &[Edge]) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for row in edges.iter().flat_map(|edge| &edge.rows) {
        let row = (row.workload.as_str(), row.ws);
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    rows
}

fn priced<'a>(edges: &'a [Edge], row: Row<'_>) -> Vec<(&'a Edge, &'a EdgeRow)> {
    edges.iter().filter_map(|edge| Some((edge, row_of(edge, row)?))).collect()
}

fn row_of<'a>(edge: &'a Edge, (workload, ws): Row<'_>) -> Option<&'a EdgeRow> {
    edge.rows.iter().find(|row| row.workload == workload && row.ws == ws)
}
