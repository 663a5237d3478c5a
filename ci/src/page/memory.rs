//! Time over memory, workload by workload: a point per variant and per peer.

use super::chart::{self, Mark};
use super::peers::{KINDS, cells, cycles, kind};
use super::rows::{show, title};
use crate::bench::result::{Matrix, Measured, Row};
use maud::{Markup, html};
use serde_json::{Value, json};

/// An axis is logarithmic if its values differ by more than this factor.
const SPREAD: f64 = 12.0;

pub(super) fn section(run: &Matrix, best: &str) -> Markup {
    html! {
        p {
            "Further left is faster, further down takes less memory. If no point lies both to the \
             left of and below a point, none beats it in both. Memory is the peak that the system \
             held for the whole process. If figures lie far apart, their axis is logarithmic. \
             Points that lie close together have no name: point at one to see it, or look into "
             a href="#cells" { "the tables" } "."
        }
        (show(run.rows(), |row| scatter(run, row, best)))
    }
}

fn scatter(run: &Matrix, row: Row<'_>, best: &str) -> Markup {
    let cells = cells(run, row);
    let mark =
        |cell: &&Measured| Mark { text: cell.id.clone(), ..Mark::at(cycles(cell), memory(cell)) };
    let data = KINDS.iter().map(|of| {
        let its = cells.iter().filter(|cell| kind(cell, best) == of);
        json!({
            "mode": "markers+text", "name": of.name, "marks": its.map(mark).collect::<Vec<_>>(),
            "textposition": "top center", "cliponaxis": false,
            "hovertemplate": "%{text}: %{x:.1f} cycles, %{y:.1f} MiB<extra></extra>",
            "marker": { "color": of.colour, "symbol": of.symbol, "size": 10 },
        })
    });
    let layout = json!({
        "xaxis": axis("cycles per operation", cells.iter().map(|cell| cycles(cell))),
        "yaxis": axis("peak resident memory, MiB", cells.iter().map(|cell| memory(cell))),
    });
    let says = format!("Points: cycles per operation and peak memory, {}", title(row));
    chart::figure(&says, 460, data.collect(), &layout)
}

fn axis(title: &str, values: impl Iterator<Item = f64> + Clone) -> Value {
    let (low, high) = (values.clone().fold(f64::MAX, f64::min), values.fold(0.0, f64::max));
    let kind = if low > 0.0 && high > SPREAD * low { "log" } else { "linear" };
    json!({ "title": { "text": title }, "type": kind })
}

fn memory(cell: &Measured) -> f64 {
    cell.median.peak_rss_kib as f64 / 1024.0
}
