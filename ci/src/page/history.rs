//! The best variant from commit to commit, held against the control cell of the same run.

use super::axis::Axis;
use super::chart::{Area, Chart, Grid, Plot, figure, key, mesh, whisker, x_title, y_title};
use super::number::{or_none, plain, range};
use super::rows::{self, MAIN};
use super::table::{self, Column};
use super::theme::{self, AXIS, MUTED, OURS, PEER, Size};
use crate::bench::result::{CONTROL, Matrix, Row};
use anyhow::Result;
use maud::{Markup, html};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

pub(super) fn section(run: &Matrix, history: &[Matrix], best: &str) -> Result<Markup> {
    let entries = entries(run, history, best);
    let Some(latest) = entries.last() else {
        return Ok(html! {
            p.empty {
                "No run has both " code { (best) } " and " code { (CONTROL) }
                " on one of the rows shown here."
            }
        });
    };
    let caption = html! {
        @for (series, mark) in ["ours round", "square"].into_iter().enumerate() {
            @if entries.iter().any(|entry| entry.shares[series].is_some()) {
                (key(mark, &rows::title(MAIN[series])))
            }
        }
        (key("whisker", "95 % interval"))
        p {
            "100 % is the system's malloc in the same run, so that a busy machine moves the points \
             little; another processor can. Below it is faster."
        }
    };
    let chart = History { entries: &entries, best };
    Ok(html! {
        p {
            "Cycles per operation of " code { (best) } " in percent of " code { (CONTROL) }
            "'s, commit after commit. The latest is " code { (latest.commit()) } "."
            @if entries.len() == 1 {
                " There is one run so far: every further one that is kept adds a point."
            }
        }
        (figure(&chart, &caption)?)
        (table::folded("As a table", &as_table(&entries)))
    })
}

/// A run's shares of the control's cycles, a pair of them for the main rows.
struct Entry<'a> {
    run: &'a Matrix,
    shares: [Option<Share>; 2],
}

/// In percent.
#[derive(Clone, Copy)]
struct Share {
    middle: f64,
    interval: Option<[f64; 2]>,
}

impl Entry<'_> {
    fn commit(&self) -> &str {
        let commit = &self.run.passport.commit;
        commit.get(..7).unwrap_or(commit)
    }
}

/// From the oldest on; this run too, if it is not among the kept ones.
fn entries<'a>(run: &'a Matrix, history: &'a [Matrix], best: &str) -> Vec<Entry<'a>> {
    let mut runs: Vec<&Matrix> = history.iter().collect();
    if !runs.iter().any(|kept| kept.passport == run.passport) {
        runs.push(run);
    }
    runs.sort_by(|a, b| a.passport.date.cmp(&b.passport.date));
    let entry = |run| Entry { run, shares: MAIN.map(|row| share(run, row, best)) };
    let mut entries: Vec<Entry<'_>> = runs.into_iter().map(entry).collect();
    entries.retain(|entry| entry.shares.iter().any(Option::is_some));
    entries
}

fn share(run: &Matrix, row: Row<'_>, best: &str) -> Option<Share> {
    let cell = run.in_row(best, row)?;
    let change = run.against(cell, run.control_for(cell)?)?;
    let share = |percent: f64| 100.0 + percent;
    let interval = change.interval.filter(|ends| ends.iter().all(|end| end.is_finite()));
    let share =
        Share { middle: share(change.percent), interval: interval.map(|ends| ends.map(share)) };
    share.middle.is_finite().then_some(share)
}

fn as_table(entries: &[Entry<'_>]) -> Markup {
    let titles = MAIN.map(|row| format!("{}, % (95 % interval)", rows::title(row)));
    let columns = [
        Column::text("commit"),
        Column::text("date"),
        Column::number(&titles[0]),
        Column::number(&titles[1]),
        Column::text("machine"),
    ];
    let shown = |share: Share| match share.interval {
        Some(ends) => format!("{} ({})", plain(share.middle), range(ends)),
        None => plain(share.middle),
    };
    let line = |entry: &Entry<'_>| {
        let passport = &entry.run.passport;
        vec![
            html! {
                code { (entry.commit()) }
                @if passport.dirty { " dirty" }
                @if entry.run.noisy { " noisy" }
            },
            html! { (passport.date) },
            html! { (or_none(entry.shares[0], shown)) },
            html! { (or_none(entry.shares[1], shown)) },
            html! { (passport.cpu) ", " (passport.cores) " cores" },
        ]
    };
    let lines: Vec<Vec<Markup>> = entries.iter().rev().map(line).collect();
    table::table("history", &columns, &lines)
}

struct History<'a> {
    entries: &'a [Entry<'a>],
    best: &'a str,
}

impl History<'_> {
    /// One row's points: at each entry that has it, a little to the side of the other row's.
    fn points(&self, series: usize) -> Vec<(f64, Share)> {
        let has_both = (0..2).all(|n| self.entries.iter().any(|entry| entry.shares[n].is_some()));
        let aside = if has_both { [0.44, 0.56][series] } else { 0.5 };
        let at = (0..).map(|n| f64::from(n) + aside).zip(self.entries);
        at.filter_map(|(x, entry)| Some((x, entry.shares[series]?))).collect()
    }

    fn draw_series(&self, area: &Area<'_>, plot: &mut Plot<'_, '_>, series: usize) -> Result<()> {
        let colour = [OURS, PEER][series];
        let points = self.points(series);
        let middles = points.iter().map(|(x, share)| (*x, share.middle));
        plot.draw_series(LineSeries::new(middles, colour.stroke_width(2)))?;
        for (x, Share { middle, interval }) in points {
            let cap = ((0.008 * self.entries.len() as f64).min(0.05), 0.0);
            if let Some(ends) = interval {
                plot.draw_series(whisker(ends.map(|y| (x, y)), cap))?;
            }
            let (x, y) = plot.backend_coord(&(x, middle));
            let size = if self.entries.len() > 16 { 3 } else { 5 };
            if series == 0 {
                area.draw(&Circle::new((x, y), size, colour.filled()))?;
            } else {
                let size = size - 1;
                let corners = [(x - size, y - size), (x + size, y + size)];
                area.draw(&Rectangle::new(corners, colour.filled()))?;
            }
        }
        Ok(())
    }

    /// As many commits as fit, the latest in any case.
    fn draw_commits(&self, area: &Area<'_>, plot: &Plot<'_, '_>, size: Size) -> Result<()> {
        let (wide, high) = plot.plotting_area().get_pixel_range();
        let room = f64::from(wide.end - wide.start);
        let count = self.entries.len();
        let fit = (room / theme::text_width("0123456789", size.small)) as usize;
        let every = count.div_ceil(fit.max(1));
        for (at, entry) in self.entries.iter().enumerate().rev().step_by(every) {
            let x = f64::from(wide.start) + room * (at as f64 + 0.5) / count as f64;
            let half = theme::text_width(entry.commit(), size.small) / 2.0;
            let x = x.min(f64::from(area.dim_in_pixel().0) - half);
            let style = theme::text(size.small, MUTED, HPos::Center);
            area.draw_text(entry.commit(), &style, (x as i32, high.end + 14))?;
        }
        Ok(())
    }
}

impl Chart for History<'_> {
    fn says(&self) -> String {
        let entry = |entry: &Entry<'_>| {
            let shares = entry.shares.map(|share| or_none(share, |share| plain(share.middle)));
            format!("{} {}", entry.commit(), shares.join(" and "))
        };
        let entries: Vec<String> = self.entries.iter().map(entry).collect();
        format!(
            "Lines: cycles per operation of {} in percent of {CONTROL}'s on {} and {}, by commit: \
             {}",
            self.best,
            rows::title(MAIN[0]),
            rows::title(MAIN[1]),
            entries.join(", ")
        )
    }

    fn height(&self, _: Size) -> u32 {
        330
    }

    fn draw(&self, area: &Area<'_>, size: Size) -> Result<()> {
        let shares = || self.entries.iter().flat_map(|entry| entry.shares).flatten();
        let ends = shares().flat_map(|share| share.interval.unwrap_or([share.middle; 2]));
        let y = Axis::from_zero(ends.chain([100.0]));
        y_title(area, size, &format!("cycles per operation, % of {CONTROL}'s"))?;
        let mut plot = ChartBuilder::on(area)
            .margin_top(24)
            .margin_right(10)
            .set_label_area_size(LabelAreaPosition::Left, 42)
            .set_label_area_size(LabelAreaPosition::Bottom, 44)
            .build_cartesian_2d(Axis::exactly(0.0, self.entries.len() as f64), y)?;
        mesh(&mut plot, size, Grid::Y)?;
        let (wide, _) = plot.plotting_area().get_pixel_range();
        x_title(area, size, "commit, the oldest first", i32::midpoint(wide.start, wide.end))?;
        let control = [(0.0, 100.0), (self.entries.len() as f64, 100.0)];
        plot.draw_series(DashedLineSeries::new(control, 5, 4, AXIS.stroke_width(2)))?;
        self.draw_commits(area, &plot, size)?;
        (0..MAIN.len()).try_for_each(|series| self.draw_series(area, &mut plot, series))
    }
}
