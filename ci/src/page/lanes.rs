//! A chart of lanes, one below the other: a name at the left, bars, a figure at the right. Where
//! the texts would leave too little width for the bars, they stand above them.

use super::axis::Axis;
use super::chart::{Area, Grid, LanePlot, mesh, whisker, x_title};
use super::theme::{self, AXIS, INK, MUTED, Size};
use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

/// One line of the chart. The second of each pair of texts stands below the first.
#[derive(Default)]
pub(super) struct Lane {
    pub(super) name: [String; 2],
    pub(super) value: [String; 2],
    /// Whether it is what the chart is about.
    pub(super) strong: bool,
}

pub(super) struct Lanes<'a> {
    /// Of the horizontal axis, with its unit.
    pub(super) title: &'a str,
    pub(super) axis: Axis,
    pub(super) lanes: Vec<Lane>,
}

/// What bars are drawn on. Within a lane they are placed by shares of its height, 0 at its top.
pub(super) struct Bars<'a, 's> {
    pub(super) plot: LanePlot<'a, 's>,
    lanes: usize,
    /// Share of a lane's height that texts above the bars take.
    above: f64,
}

/// Below the lanes: numbers and title.
const FOOT: u32 = 44;
/// Above the lanes.
const HEAD: u32 = 6;
/// Height of a line of text.
const LINE: u32 = 16;

impl Lane {
    /// A line of text between lanes.
    pub(super) fn heading(text: &str) -> Self {
        Self { name: [text.to_owned(), String::new()], ..Self::default() }
    }

    fn is_heading(&self) -> bool {
        self.value[0].is_empty()
    }

    fn lines(&self) -> u32 {
        if self.name[1].is_empty() && self.value[1].is_empty() { 1 } else { 2 }
    }
}

impl Lanes<'_> {
    pub(super) fn height(&self, size: Size) -> u32 {
        HEAD + FOOT + self.lane_height(size) * self.lanes.len() as u32
    }

    /// Draws all of it. The caller draws the bars in lanes 0, 1, …; the texts come over them.
    pub(super) fn draw(
        &self,
        area: &Area<'_>,
        size: Size,
        draw_bars: impl FnOnce(&mut Bars<'_, '_>) -> Result<()>,
    ) -> Result<()> {
        let [left, right] = self.sides(size);
        let stacked = self.is_stacked(size);
        let mut plot = ChartBuilder::on(area)
            .margin_top(HEAD)
            .margin_left(if stacked { 22 } else { 0 })
            .margin_right(if stacked { 22 } else { right })
            .set_label_area_size(LabelAreaPosition::Left, if stacked { 0 } else { left })
            .set_label_area_size(LabelAreaPosition::Bottom, FOOT)
            .build_cartesian_2d(self.axis.clone(), self.lanes.len() as f64..0.0)?;
        mesh(&mut plot, size, Grid::X)?;
        let (across, _) = plot.plotting_area().get_pixel_range();
        x_title(area, size, self.title, i32::midpoint(across.start, across.end))?;
        let above = if stacked { self.text_height(size) } else { 0 };
        let above = f64::from(above) / f64::from(self.lane_height(size));
        let mut bars = Bars { plot, lanes: self.lanes.len(), above };
        draw_bars(&mut bars)?;
        bars.zero()?;
        (0..).zip(&self.lanes).try_for_each(|(at, lane)| self.write(area, size, at, lane))
    }

    fn write(&self, area: &Area<'_>, size: Size, at: u32, lane: &Lane) -> Result<()> {
        let stacked = self.is_stacked(size);
        let left = match lane.is_heading() || stacked {
            true => (0, HPos::Left),
            false => (self.sides(size)[0] as i32 - 8, HPos::Right),
        };
        let right = (area.dim_in_pixel().0 as i32 - 2, HPos::Right);
        let middle = HEAD + at * self.lane_height(size) + self.text_height(size) / 2;
        for (pair, side) in [(&lane.name, left), (&lane.value, right)] {
            // A text that is alone stands right above the bars.
            let is_above = stacked && self.lines() == 2 && pair[1].is_empty();
            let middle = middle + if is_above { LINE / 2 } else { 0 };
            lane.write(area, size, pair, side, middle as i32)?;
        }
        Ok(())
    }

    /// Widths of the texts at the left and at the right.
    fn sides(&self, size: Size) -> [u32; 2] {
        let width = |[first, second]: &[String; 2]| {
            theme::text_width(first, size.text).max(theme::text_width(second, size.small))
        };
        let lanes = || self.lanes.iter().filter(|lane| !lane.is_heading());
        let widest = |widths: &mut dyn Iterator<Item = f64>| widths.fold(0.0, f64::max) as u32 + 10;
        [
            widest(&mut lanes().map(|lane| width(&lane.name))),
            widest(&mut lanes().map(|lane| width(&lane.value))),
        ]
    }

    fn is_stacked(&self, size: Size) -> bool {
        2 * self.sides(size).iter().sum::<u32>() > size.width
    }

    fn lines(&self) -> u32 {
        self.lanes.iter().map(Lane::lines).max().unwrap_or(1)
    }

    fn lane_height(&self, size: Size) -> u32 {
        match (self.is_stacked(size), self.lines()) {
            (true, lines) => self.text_height(size) + 10 + 10 * lines,
            (false, 1) => 24,
            (false, _) => 40,
        }
    }

    /// Of a lane, what its texts may take.
    fn text_height(&self, size: Size) -> u32 {
        if self.is_stacked(size) { LINE * self.lines() + 2 } else { self.lane_height(size) }
    }
}

impl Lane {
    /// A pair of texts around a middle height, or one text on it.
    fn write(
        &self,
        area: &Area<'_>,
        size: Size,
        [first, second]: &[String; 2],
        (x, anchor): (i32, HPos),
        middle: i32,
    ) -> Result<()> {
        let style = match (self.is_heading(), self.strong) {
            (true, _) => theme::text(size.small, MUTED, anchor),
            (false, true) => theme::bold(size.text, INK, anchor),
            (false, false) => theme::text(size.text, INK, anchor),
        };
        let apart = if second.is_empty() { 0 } else { LINE as i32 / 2 };
        area.draw_text(first, &style, (x, middle - apart))?;
        if !second.is_empty() {
            let style = theme::text(size.small, MUTED, anchor);
            area.draw_text(second, &style, (x, middle + apart))?;
        }
        Ok(())
    }
}

impl Bars<'_, '_> {
    /// A bar from one value to another.
    pub(super) fn bar(
        &mut self,
        lane: usize,
        [top, bottom]: [f64; 2],
        [from, to]: [f64; 2],
        style: impl Into<ShapeStyle>,
    ) -> Result<()> {
        let corners = [(from, self.down(lane, top)), (to, self.down(lane, bottom))];
        self.plot.draw_series([Rectangle::new(corners, style.into())])?;
        Ok(())
    }

    /// An error bar; nothing if an end is no number.
    pub(super) fn whisker(
        &mut self,
        lane: usize,
        middle: f64,
        interval: Option<[f64; 2]>,
    ) -> Result<()> {
        let ends = interval.filter(|ends| ends.iter().all(|end| end.is_finite()));
        let (y, cap) = (self.down(lane, middle), (0.0, 0.1 * (1.0 - self.above)));
        if let Some(ends) = ends {
            self.plot.draw_series(whisker(ends.map(|x| (x, y)), cap))?;
        }
        Ok(())
    }

    pub(super) fn dot(&mut self, lane: usize, middle: f64, at: f64) -> Result<()> {
        let at = (at, self.down(lane, middle));
        self.plot.draw_series([Circle::new(at, 4, INK.filled())])?;
        Ok(())
    }

    /// A line down from a bar to the one below it.
    pub(super) fn step(&mut self, lane: usize, from: f64, to: f64, at: f64) -> Result<()> {
        let line = [(at, self.down(lane, from)), (at, self.down(lane + 1, to))];
        self.plot.draw_series([PathElement::new(line, AXIS)])?;
        Ok(())
    }

    /// A dashed line down through the first lanes.
    pub(super) fn floor(&mut self, at: f64, lanes: usize) -> Result<()> {
        let line = [(at, 0.0), (at, lanes as f64)];
        self.plot.draw_series(DashedLineSeries::new(line, 5, 4, INK.stroke_width(2)))?;
        Ok(())
    }

    fn zero(&mut self) -> Result<()> {
        let line = [(0.0, 0.0), (0.0, self.lanes as f64)];
        self.plot.draw_series([PathElement::new(line, AXIS)])?;
        Ok(())
    }

    fn down(&self, lane: usize, share: f64) -> f64 {
        lane as f64 + self.above + (1.0 - self.above) * share
    }
}
