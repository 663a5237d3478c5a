//! Our variants and other allocators, workload by workload: cycles per operation.

use super::axis::Axis;
use super::chart::{Area, Chart, figure, key};
use super::lanes::{Lane, Lanes};
use super::number::{NONE, or_none, plain};
use super::rows::{show, title};
use super::table::{self, Column};
use super::theme::{OURS, PEER, Size, VARIANT};
use crate::bench::peers::{NULL, OURS as HAKMEM};
use crate::bench::result::{Matrix, Measured, Row};
use crate::bench::stats::median;
use anyhow::Result;
use maud::{Markup, html};
use plotters::prelude::*;

/// So many times the middle bar's length is far longer than the others.
const FAR: f64 = 5.0;

pub(super) fn section(run: &Matrix, best: &str) -> Result<Markup> {
    let chart = |row| {
        let bars = PeerBars::of(run, row, best);
        figure(&bars, &legend(&bars))
    };
    let any = run.cells.iter().any(|cell| cell.peer);
    Ok(html! {
        p {
            "How many cycles an operation takes, an operation being one allocation or one free: \
             shorter is better. The fastest is at the top of each group."
        }
        @if any {
            p {
                "Peers, " code { (HAKMEM) } " among them, are each the global allocator of the \
                 same program. The variants are called directly, by another program, so hold each group \
                 against its own " code { "system" } " or " code { "legacy" } ", which are both \
                 the system's malloc."
            }
            (overview(run))
        } @else {
            p.empty {
                "No other allocators in this run: " code { "cargo ci bench --peers" } " adds them."
            }
        }
        (show(run.rows(), chart)?)
    })
}

fn legend(bars: &PeerBars<'_>) -> Markup {
    html! {
        (key("ours", "hakmem's best, in bold")) (key("variant", "hakmem's other variants"))
        @if bars.has_peers() { (key("peer", "other allocators")) }
        @if bars.cells().any(|cell| cell.cycles_interval.is_some()) {
            (key("whisker", "95 % interval of the median"))
        }
        @if bars.cells().any(|cell| cell.median.cycles_per_op > bars.cut()) {
            span.key { "▸ goes on beyond the chart" }
        }
        @if bars.floor.is_some() { (key("dashes", "the floor: what that program takes by itself")) }
    }
}

/// Cycles per operation: a row per workload, a column per peer.
fn overview(run: &Matrix) -> Markup {
    let mut names: Vec<&str> = Vec::new();
    for cell in run.cells.iter().filter(|cell| cell.peer) {
        if !names.contains(&cell.id.as_str()) {
            names.push(&cell.id);
        }
    }
    let mut columns = vec![Column::text("cycles/op")];
    columns.extend(names.iter().map(|name| Column::number(name)));
    let line = |row: Row<'_>| -> Option<Vec<Markup>> {
        let cells: Vec<&Measured> = peers(run, row).collect();
        let real = cells.iter().filter(|cell| cell.id != NULL);
        let least = real.map(|cell| cell.median.cycles_per_op).min_by(f64::total_cmp)?;
        let figure = |name: &&str| {
            let cell = cells.iter().find(|cell| cell.id == *name);
            let is_least =
                cell.is_some_and(|cell| cell.id != NULL && cell.median.cycles_per_op <= least);
            let shown = or_none(cell, |cell| plain(cell.median.cycles_per_op));
            html! { @if is_least { strong { (shown) " ★" } } @else { (shown) } }
        };
        let head = html! { (title(row)) };
        Some([head].into_iter().chain(names.iter().map(figure)).collect())
    };
    let lines: Vec<Vec<Markup>> = run.rows().into_iter().filter_map(line).collect();
    html! {
        (table::table("cycles per operation by workload and allocator", &columns, &lines))
        p.small {
            "★ takes the fewest cycles of its row. " code { (NULL) }
            " is no allocator but a floor; " (NONE) " was not run."
        }
    }
}

fn peers<'a>(run: &'a Matrix, row: Row<'_>) -> impl Iterator<Item = &'a Measured> {
    run.cells.iter().filter(move |cell| cell.peer && cell.is_in(row))
}

struct PeerBars<'a> {
    row: Row<'a>,
    best: &'a str,
    /// The peers, then the variants: each from the fastest on.
    groups: [Vec<&'a Measured>; 2],
    floor: Option<f64>,
}

impl<'a> PeerBars<'a> {
    fn of(run: &'a Matrix, row: Row<'a>, best: &'a str) -> Self {
        let sorted = |is_peer: bool| {
            let its = |cell: &&Measured| cell.is_in(row) && cell.peer == is_peer;
            let is_shown = |cell: &&Measured| {
                cell.median.cycles_per_op.is_finite() && !(cell.peer && cell.id == NULL)
            };
            let mut cells: Vec<_> = run.cells.iter().filter(its).filter(is_shown).collect();
            cells.sort_by(|a, b| a.median.cycles_per_op.total_cmp(&b.median.cycles_per_op));
            cells
        };
        let floor = peers(run, row).find(|cell| cell.id == NULL);
        let floor = floor.map(|cell| cell.median.cycles_per_op).filter(|cycles| cycles.is_finite());
        Self { row, best, groups: [sorted(true), sorted(false)], floor }
    }

    fn has_peers(&self) -> bool {
        !self.groups[0].is_empty()
    }

    fn cells(&self) -> impl Iterator<Item = &'a Measured> {
        self.groups.iter().flatten().copied()
    }

    /// What each lane is of; nothing for the heading of a group.
    fn lines(&self) -> Vec<Result<&'a Measured, &'static str>> {
        let heads = ["as a program's global allocator", "variants, called directly"];
        let groups = heads.into_iter().zip(&self.groups).filter(|(_, cells)| !cells.is_empty());
        groups
            .flat_map(|(head, cells)| [Err(head)].into_iter().chain(cells.iter().copied().map(Ok)))
            .collect()
    }

    fn is_ours(&self, cell: &Measured) -> bool {
        cell.id == if cell.peer { HAKMEM } else { self.best }
    }

    /// Where the chart ends though a bar goes on: one that is far longer than the others would
    /// leave nothing of them.
    fn cut(&self) -> f64 {
        let cycles = self.cells().map(|cell| cell.median.cycles_per_op).collect();
        median(cycles).map_or(f64::INFINITY, |middle| FAR * middle)
    }

    fn lane(&self, line: Result<&Measured, &str>, cut: f64) -> Lane {
        let cell = match line {
            Ok(cell) => cell,
            Err(head) => return Lane::heading(head),
        };
        let cycles = cell.median.cycles_per_op;
        let beyond = if cycles > cut { " ▸" } else { "" };
        Lane {
            name: [cell.id.clone(), String::new()],
            value: [format!("{}{beyond}", plain(cycles)), String::new()],
            strong: self.is_ours(cell),
        }
    }

    fn lanes(&self) -> Lanes<'static> {
        let ends = self.cells().flat_map(|cell| {
            cell.cycles_interval.into_iter().flatten().chain([cell.median.cycles_per_op])
        });
        let cut = self.cut();
        Lanes {
            title: "cycles per operation",
            axis: Axis::from_zero(ends.chain(self.floor).map(|end| end.min(cut))),
            lanes: self.lines().into_iter().map(|line| self.lane(line, cut)).collect(),
        }
    }
}

impl Chart for PeerBars<'_> {
    fn says(&self) -> String {
        let figures: Vec<String> = self
            .cells()
            .map(|cell| format!("{} {}", cell.id, plain(cell.median.cycles_per_op)))
            .collect();
        format!("Bars: cycles per operation on {}: {}", title(self.row), figures.join(", "))
    }

    fn height(&self, size: Size) -> u32 {
        self.lanes().height(size)
    }

    fn draw(&self, area: &Area<'_>, size: Size) -> Result<()> {
        let lines = self.lines();
        self.lanes().draw(area, size, |bars| {
            for (lane, line) in lines.iter().enumerate() {
                let Ok(cell) = line else { continue };
                let colour = match self.is_ours(cell) {
                    true => OURS,
                    false if cell.peer => PEER,
                    false => VARIANT,
                };
                bars.bar(lane, [0.18, 0.82], [0.0, cell.median.cycles_per_op], colour.filled())?;
                let is_whole = cell.median.cycles_per_op <= self.cut();
                bars.whisker(lane, 0.5, cell.cycles_interval.filter(|_| is_whole))?;
            }
            // The peers' program has it, and they come first, below their heading.
            self.floor.map_or(Ok(()), |floor| bars.floor(floor, 1 + self.groups[0].len()))
        })
    }
}
