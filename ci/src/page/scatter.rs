//! Time against memory, workload by workload: a point per variant and per peer.

use super::axis::Axis;
use super::chart::{Area, Chart, Grid, figure, key, mesh, x_title, y_title};
use super::labels::place;
use super::number::{mib, plain};
use super::rows::{show, title};
use super::table::{self, Column};
use super::theme::{self, AXIS, INK, OURS, PEER, Size, VARIANT};
use crate::bench::peers::{NULL, OURS as HAKMEM};
use crate::bench::result::{Matrix, Measured, Row};
use anyhow::Result;
use maud::{Markup, html};
use plotters::prelude::*;

pub(super) fn section(run: &Matrix, best: &str) -> Result<Markup> {
    let chart = |row| {
        let scatter = Scatter::of(run, row, best);
        Ok(html! { (figure(&scatter, &legend(&scatter))?) (scatter.table()) })
    };
    Ok(html! {
        p {
            "Further left is faster, further down takes less memory; whoever has nobody both to \
             the left of and below it cannot be beaten in one without losing in the other. Memory \
             is the peak that the system held for the whole process. Where figures lie far apart, \
             an axis goes by powers."
        }
        (show(run.rows(), chart)?)
    })
}

fn legend(scatter: &Scatter<'_>) -> Markup {
    html! {
        (key("ours round", "hakmem's best, in bold")) (key("ring", "hakmem's other variants"))
        @if scatter.points.iter().any(|point| point.kind == Kind::Peer) {
            (key("triangle", "other allocators"))
        }
        span.small { "Points too close together to be named are in the table." }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Ours,
    Peer,
    Variant,
}

struct Point<'a> {
    kind: Kind,
    id: &'a str,
    cycles: f64,
    rss_mib: f64,
}

struct Scatter<'a> {
    row: Row<'a>,
    /// Those that matter most first.
    points: Vec<Point<'a>>,
}

impl<'a> Scatter<'a> {
    fn of(run: &'a Matrix, row: Row<'a>, best: &str) -> Self {
        let its = run.cells.iter().filter(|cell| cell.is_in(row));
        let mut points: Vec<Point<'_>> = its
            .filter(|cell| !(cell.peer && cell.id == NULL))
            .map(|cell| point(cell, best))
            .collect();
        points.retain(|point| point.cycles.is_finite());
        points.sort_by_key(|point| point.kind);
        Self { row, points }
    }

    fn table(&self) -> Markup {
        let columns = [
            Column::text("allocator"),
            Column::number("cycles/op"),
            Column::number("peak RSS, MiB"),
        ];
        let line = |point: &Point<'_>| {
            vec![
                html! { (point.id) },
                html! { (plain(point.cycles)) },
                html! { (mib(1024.0 * point.rss_mib)) },
            ]
        };
        let mut sorted: Vec<&Point<'_>> = self.points.iter().collect();
        sorted.sort_by(|a, b| a.cycles.total_cmp(&b.cycles));
        let lines: Vec<Vec<Markup>> = sorted.into_iter().map(line).collect();
        table::folded("As a table", &table::table(&title(self.row), &columns, &lines))
    }
}

impl Chart for Scatter<'_> {
    fn says(&self) -> String {
        let figures: Vec<String> = self
            .points
            .iter()
            .map(|point| {
                format!("{} {} and {}", point.id, plain(point.cycles), plain(point.rss_mib))
            })
            .collect();
        format!(
            "Points: cycles per operation and peak memory in MiB on {}: {}",
            title(self.row),
            figures.join(", ")
        )
    }

    fn height(&self, size: Size) -> u32 {
        if size.is_narrow() { 430 } else { 440 }
    }

    fn draw(&self, area: &Area<'_>, size: Size) -> Result<()> {
        let x = Axis::around(self.points.iter().map(|point| point.cycles));
        let y = Axis::around(self.points.iter().map(|point| point.rss_mib));
        let by_powers = |axis: &Axis| if axis.is_by_powers() { ", by powers" } else { "" };
        let (across, up) = (by_powers(&x), by_powers(&y));
        y_title(area, size, &format!("peak resident memory, MiB{up}"))?;
        let mut plot = ChartBuilder::on(area)
            .margin_top(24)
            .margin_right(14)
            .set_label_area_size(LabelAreaPosition::Left, 42)
            .set_label_area_size(LabelAreaPosition::Bottom, 44)
            .build_cartesian_2d(x, y)?;
        mesh(&mut plot, size, Grid::Both)?;
        let (wide, high) = plot.plotting_area().get_pixel_range();
        let middle = i32::midpoint(wide.start, wide.end);
        x_title(area, size, &format!("cycles per operation{across}"), middle)?;
        let spot = |point: &Point<'_>| plot.backend_coord(&(point.cycles, point.rss_mib));
        let spots: Vec<(i32, i32)> = self.points.iter().map(spot).collect();
        let widths = self.points.iter().map(|point| point.name_width(size));
        let named: Vec<_> = spots.iter().copied().zip(widths).collect();
        let places = place(&named, size.small, (wide.start..area.dim_in_pixel().0 as i32, high));
        for ((spot, place), point) in spots.iter().zip(places).zip(&self.points) {
            let Some(place) = place else { continue };
            if place.is_far {
                area.draw(&PathElement::new([*spot, place.at], AXIS))?;
            }
            let style = if point.kind == Kind::Ours { theme::bold } else { theme::text };
            area.draw_text(point.id, &style(size.small, INK, place.anchor), place.at)?;
        }
        // Over the lines, and those that matter most last.
        self.points.iter().zip(spots).rev().try_for_each(|(point, spot)| mark(area, point, spot))
    }
}

impl Point<'_> {
    fn name_width(&self, size: Size) -> f64 {
        let bold = if self.kind == Kind::Ours { 1.12 } else { 1.0 };
        bold * theme::text_width(self.id, size.small)
    }
}

/// Each kind with a shape of its own.
fn mark(area: &Area<'_>, point: &Point<'_>, spot: (i32, i32)) -> Result<()> {
    match point.kind {
        Kind::Ours => area.draw(&Circle::new(spot, 6, OURS.filled()))?,
        Kind::Variant => area.draw(&Circle::new(spot, 4, VARIANT.stroke_width(2)))?,
        Kind::Peer => area.draw(&TriangleMarker::new(spot, 6, PEER.filled()))?,
    }
    Ok(())
}

fn point<'a>(cell: &'a Measured, best: &str) -> Point<'a> {
    let kind = match cell.peer {
        true if cell.id == HAKMEM => Kind::Ours,
        true => Kind::Peer,
        false if cell.id == best => Kind::Ours,
        false => Kind::Variant,
    };
    let rss_mib = cell.median.peak_rss_kib as f64 / 1024.0;
    Point { kind, id: &cell.id, cycles: cell.median.cycles_per_op, rss_mib }
}
