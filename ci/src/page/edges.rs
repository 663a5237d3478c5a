//! The prices of knobs as a chart: a lane per edge of the tree.

use super::axis::Axis;
use super::chart::{Area, Chart};
use super::lanes::{Bars, Lane, Lanes};
use super::number::{or_none, percent};
use super::theme::{OURS, PEER, SAID, Size};
use crate::ledger::model::{Change, Edge, EdgeRow};
use anyhow::Result;
use plotters::prelude::*;

/// How an expectation about cycles is named.
pub(super) const CYCLES: &str = "cycles_per_op";

/// The edges' bars for one row.
pub(super) struct EdgeBars<'a> {
    /// Against what, for the title.
    pub(super) against: &'a str,
    /// Where this was measured.
    pub(super) row: String,
    pub(super) edges: Vec<(&'a Edge, &'a EdgeRow)>,
}

impl EdgeBars<'_> {
    pub(super) fn has_expectations(&self) -> bool {
        self.edges.iter().any(|(_, row)| expected(row).is_some())
    }

    fn lanes(&self) -> Lanes<'static> {
        let values = self.edges.iter().flat_map(|(_, row)| {
            let own = [cycles(row), instructions(row)].into_iter().flatten();
            let interval = row.cycles_percent_interval.into_iter().flatten();
            own.chain(interval).chain(expected(row).into_iter().flatten())
        });
        Lanes {
            title: "change per operation, %",
            axis: Axis::from_zero(values),
            lanes: self.edges.iter().map(|(edge, row)| lane(edge, row)).collect(),
        }
    }
}

impl Chart for EdgeBars<'_> {
    fn says(&self) -> String {
        let price = |(edge, row): &(&Edge, &EdgeRow)| {
            format!("{} {}", edge.variant, or_none(cycles(row), percent))
        };
        let prices: Vec<String> = self.edges.iter().map(price).collect();
        format!(
            "Bars: change of cycles per operation against {} on {}: {}",
            self.against,
            self.row,
            prices.join(", ")
        )
    }

    fn height(&self, size: Size) -> u32 {
        self.lanes().height(size)
    }

    fn draw(&self, area: &Area<'_>, size: Size) -> Result<()> {
        self.lanes().draw(area, size, |bars| {
            let mut rows = self.edges.iter().map(|(_, row)| row).enumerate();
            rows.try_for_each(|(lane, row)| draw_row(bars, lane, row))
        })
    }
}

fn draw_row(bars: &mut Bars<'_, '_>, lane: usize, row: &EdgeRow) -> Result<()> {
    if let Some(expected) = expected(row) {
        bars.bar(lane, [0.06, 0.6], expected, SAID)?;
    }
    if let Some(by) = cycles(row) {
        let colour = if by < 0.0 { OURS } else { PEER };
        bars.bar(lane, [0.15, 0.51], [0.0, by], colour.filled())?;
        bars.whisker(lane, 0.33, row.cycles_percent_interval)?;
    }
    instructions(row).map_or(Ok(()), |by| bars.dot(lane, 0.76, by))
}

/// Change of cycles per operation, in percent.
pub(super) fn cycles(row: &EdgeRow) -> Option<f64> {
    row.cycles_percent.filter(|percent| percent.is_finite())
}

fn instructions(row: &EdgeRow) -> Option<f64> {
    finite_percent(row.instructions)
}

fn finite_percent(change: Option<Change>) -> Option<f64> {
    change?.percent().filter(|by| by.is_finite())
}

/// What the variant's file expects of cycles.
fn expected(row: &EdgeRow) -> Option<[f64; 2]> {
    row.expected.iter().find(|expected| expected.metric == CYCLES).map(|expected| expected.range)
}

fn lane(edge: &Edge, row: &EdgeRow) -> Lane {
    let instructions = instructions(row).map(|by| format!("● {}", percent(by)));
    Lane {
        name: [edge.variant.clone(), edge.knob.clone()],
        value: [or_none(cycles(row), percent), instructions.unwrap_or_default()],
        strong: false,
    }
}
