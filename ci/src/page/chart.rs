//! A chart on the page: drawn once wide and once narrow, for the style sheet to choose from.

use super::axis::Axis;
use super::theme::{self, AXIS, GRID, INK, MUTED, PAPER, SIZES, Size};
use anyhow::Result;
use maud::{Markup, PreEscaped, html};
use plotters::chart::ChartContext;
use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

/// What a chart is drawn on.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// What its figures are drawn on, once the axes are there.
pub(super) type Plot<'a, 's, Y = Axis> = ChartContext<'a, SVGBackend<'s>, Cartesian2d<Axis, Y>>;

/// A plot whose height is lanes, from 0 downwards.
pub(super) type LanePlot<'a, 's> = Plot<'a, 's, RangedCoordf64>;

pub(super) trait Chart {
    /// What is to be seen, for those who do not see it.
    fn says(&self) -> String;

    fn height(&self, size: Size) -> u32;

    fn draw(&self, area: &Area<'_>, size: Size) -> Result<()>;
}

/// A chart in both sizes, and how to read it.
pub(super) fn figure(chart: &dyn Chart, caption: &Markup) -> Result<Markup> {
    let drawn: Vec<(Size, String)> =
        SIZES.iter().map(|size| Ok((*size, svg(chart, *size)?))).collect::<Result<_>>()?;
    Ok(html! {
        figure {
            @for (size, svg) in &drawn {
                div class=(size.class) role="img" aria-label=(chart.says()) { (PreEscaped(svg)) }
            }
            figcaption { (caption) }
        }
    })
}

/// In a legend: a mark as it is in the chart, and what it stands for.
pub(super) fn key(class: &str, text: &str) -> Markup {
    html! { span.key { span class={ "mark " (class) } {} (text) } " " }
}

/// An error bar from one end to the other, with a cap on both that reaches so far to its sides. It
/// has a margin, so that it can be seen on a bar.
pub(super) fn whisker(
    [low, high]: [(f64, f64); 2],
    cap: (f64, f64),
) -> [PathElement<(f64, f64)>; 2] {
    let cap_of = |(x, y): (f64, f64)| [(x - cap.0, y - cap.1), (x + cap.0, y + cap.1)];
    let [first, second] = [cap_of(low), cap_of(high)];
    let path = [first[0], first[1], low, high, second[0], second[1]];
    [PAPER.stroke_width(3), INK.stroke_width(1)].map(|style| PathElement::new(path, style))
}

/// The title of the horizontal axis: below its middle, but within the chart.
pub(super) fn x_title(area: &Area<'_>, size: Size, title: &str, middle: i32) -> Result<()> {
    let (width, height) = area.dim_in_pixel();
    let half = (theme::text_width(title, size.small) / 2.0) as i32;
    let at = middle.min(width as i32 - half - 2).max(half + 2);
    let style = theme::text(size.small, MUTED, HPos::Center);
    Ok(area.draw_text(title, &style, (at, height as i32 - 9))?)
}

/// The title of the vertical axis: above it, so that nobody has to tilt their head.
pub(super) fn y_title(area: &Area<'_>, size: Size, title: &str) -> Result<()> {
    Ok(area.draw_text(title, &theme::text(size.small, MUTED, HPos::Left), (2, 9))?)
}

/// Which axes have numbers and lines.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Grid {
    X,
    Y,
    Both,
}

/// Draws the axes.
pub(super) fn mesh<Y>(plot: &mut Plot<'_, '_, Y>, size: Size, grid: Grid) -> Result<()>
where
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut mesh = plot.configure_mesh();
    if grid == Grid::X {
        mesh.disable_y_mesh().disable_y_axis();
    }
    if grid == Grid::Y {
        mesh.disable_x_mesh().disable_x_axis();
    }
    mesh.x_labels(size.ticks)
        .y_labels(6)
        .label_style(theme::text(size.small, MUTED, HPos::Center))
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(AXIS)
        .set_all_tick_mark_size(3);
    Ok(mesh.draw()?)
}

fn svg(chart: &dyn Chart, size: Size) -> Result<String> {
    let mut svg = String::new();
    {
        let area =
            SVGBackend::with_string(&mut svg, (size.width, chart.height(size))).into_drawing_area();
        chart.draw(&area, size)?;
        area.present()?;
    }
    // What every element would have anyway, or has from the style sheet.
    Ok(svg.replace(" opacity=\"1\"", "").replace(" font-family=\"sans-serif\"", ""))
}
