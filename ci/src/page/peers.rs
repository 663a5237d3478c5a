//! Our variants and other allocators, workload by workload: cycles per operation.

use super::chart::{self, Mark};
use super::number::{or_none, plain};
use super::rows::{show, title};
use super::table;
use crate::bench::peers::{NULL, OURS};
use crate::bench::result::{Matrix, Measured, Row};
use crate::bench::stats::median;
use maud::{Markup, html};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A bar so many times the length of the middle bar is far longer than the others.
const FAR: f64 = 5.0;

/// The kinds of cells, and how the charts show them.
#[derive(PartialEq)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) colour: &'static str,
    pub(super) symbol: &'static str,
}

/// The kinds, the one that matters most first.
pub(super) const KINDS: [Kind; 3] = [
    Kind { name: "hakmem's best", colour: "--ours", symbol: "circle" },
    Kind { name: "other allocators", colour: "--peer", symbol: "triangle-up" },
    Kind { name: "other variants", colour: "--variant", symbol: "circle-open" },
];

pub(super) fn kind(cell: &Measured, best: &str) -> &'static Kind {
    let is_best = cell.id == if cell.peer { OURS } else { best };
    &KINDS[if is_best {
        0
    } else if cell.peer {
        1
    } else {
        2
    }]
}

/// A row's cells, from the fastest on, without the null allocator.
pub(super) fn cells<'a>(run: &'a Matrix, row: Row<'_>) -> Vec<&'a Measured> {
    let is_shown =
        |cell: &&Measured| cell.is_in(row) && cell.id != NULL && cycles(cell).is_finite();
    let mut cells: Vec<&Measured> = run.cells.iter().filter(is_shown).collect();
    cells.sort_by(|a, b| cycles(a).total_cmp(&cycles(b)));
    cells
}

pub(super) fn cycles(cell: &Measured) -> f64 {
    cell.median.cycles_per_op
}

pub(super) fn section(run: &Matrix, best: &str) -> Markup {
    html! {
        p {
            "Cycles per operation, which is one allocation or one free: shorter is better. The \
             fastest is at the top of each group; a thin line is the 95 % interval of the median, \
             and a bar with ▸ goes on beyond the chart."
        }
        @if run.cells.iter().any(|cell| cell.peer) {
            p {
                "Each peer, " code { (OURS) } " among them, is the global allocator of the same \
                 program. Another program calls the variants directly. So compare each group with \
                 its own " code { "system" } " or " code { "legacy" } ", which are both the \
                 system's malloc."
            }
            (overview(run))
        } @else {
            p.empty {
                "No other allocators in this run: " code { "cargo ci bench --peers" } " adds them."
            }
        }
        (show(run.rows(), |row| bars(run, row, best)))
    }
}

/// Cycles per operation: a row per workload, a column per peer.
fn overview(run: &Matrix) -> Markup {
    let peers = || run.cells.iter().filter(|cell| cell.peer);
    let names: BTreeSet<&str> = peers().map(|cell| cell.id.as_str()).collect();
    let heads: Vec<&str> = ["cycles/op"].into_iter().chain(names.iter().copied()).collect();
    let line = |row: Row<'_>| {
        let cell = |name: &str| peers().find(|cell| cell.is_in(row) && cell.id == name);
        let fastest = cells(run, row).into_iter().find(|cell| cell.peer);
        let figure = |name: &&str| {
            let star = if fastest.is_some_and(|it| it.id == *name) { " ★" } else { "" };
            or_none(cell(name), |cell| plain(cycles(cell)) + star)
        };
        [title(row)].into_iter().chain(names.iter().map(figure)).collect()
    };
    let lines: Vec<Vec<String>> = run.rows().into_iter().map(line).collect();
    html! {
        (table::table("cycles per operation by workload and allocator", &heads, &lines))
        p.small { "★ takes the fewest cycles. " code { (NULL) } " is a floor, not an allocator." }
    }
}

fn bars(run: &Matrix, row: Row<'_>, best: &str) -> Markup {
    let cells = cells(run, row);
    // One bar that is far longer would shrink the others to nothing.
    let cut = median(cells.iter().copied().map(cycles).collect()).map_or(1.0, |it| FAR * it);
    let (mut names, mut heads, mut lanes) = (Vec::new(), Vec::new(), Vec::new());
    for (is_peer, head) in [(true, "as a global allocator"), (false, "variants, called directly")] {
        let group = || cells.iter().filter(|cell| cell.peer == is_peer);
        if group().next().is_some() {
            heads.push(json!({
                "text": head, "y": names.len(), "x": 0, "xref": "paper", "xanchor": "left",
                "showarrow": false, "font": { "color": "--muted" },
            }));
            names.push(String::new());
        }
        for cell in group() {
            lanes.push((names.len(), *cell));
            let beyond = if cycles(cell) > cut { " ▸" } else { "" };
            names.push(format!("{} <b>{}</b>{beyond}", cell.id, plain(cycles(cell))));
        }
    }
    let bars = |of: &Kind| {
        let its = lanes.iter().filter(|(_, cell)| kind(cell, best) == of);
        let mark = |(lane, cell): &(usize, &Measured)| Mark {
            interval: cell.cycles_interval,
            ..Mark::at(cycles(cell), *lane as f64)
        };
        json!({
            "type": "bar", "name": of.name, "marks": its.map(mark).collect::<Vec<_>>(),
            "width": 0.7, "marker": { "color": of.colour },
        })
    };
    let mut data: Vec<Value> = KINDS.iter().map(bars).collect();
    if let Some(floor) = run.cells.iter().find(|cell| cell.is_in(row) && cell.id == NULL) {
        // Cells of the peers' program, which come first, below their heading.
        let peers = cells.iter().filter(|cell| cell.peer).count() as f64;
        let ends = [0.5, peers + 0.5].map(|y| Mark::at(cycles(floor), y));
        data.push(json!({
            "mode": "lines", "name": "floor: that program by itself", "marks": ends,
            "line": { "color": "--ink", "dash": "dash" },
        }));
    }
    let axis = json!({
        "title": { "text": "cycles per operation" }, "autorangeoptions": { "clipmax": cut },
    });
    let layout = json!({ "xaxis": axis, "annotations": heads });
    chart::lanes(&format!("Bars: cycles per operation, {}", title(row)), &names, data, layout)
}
