//! The founding report's budget of cycles, rebuilt: what it said, and what was measured.

use super::axis::Axis;
use super::chart::{Area, Chart, figure, key};
use super::lanes::{Bars, Lane, Lanes};
use super::number::{self, NONE, or_none, plain, said, said_range};
use super::table::{self, Column};
use super::theme::{OURS, PEER, SAID, Size, VARIANT};
use crate::ledger::model::{Ledger, Part, Stage};
use anyhow::Result;
use maud::{Markup, html};
use plotters::prelude::*;

pub(super) fn section(ledger: Option<&Ledger>) -> Result<Markup> {
    let stages = ledger.map_or(&[][..], |ledger| &ledger.budget);
    let stages: Vec<Markup> = stages.iter().map(stage).collect::<Result<_>>()?;
    Ok(html! {
        p {
            "The founding report gives a budget: how many cycles of an operation go where, now and \
             after each of its fixes. Here each line of it is measured by a method of its own, which \
             the tables state: a part taken out, a price times how often it is paid, or a difference."
        }
        @if stages.is_empty() {
            p.empty {
                "There is no ledger yet: " code { "cargo ci ledger" } " measures these parts."
            }
        } @else {
            p {
                "Each bar starts where the one above it ends. What is left between the parts and \
                 the measured total is “not separated”; it is below zero where the parts overlap \
                 in the processor."
            }
        }
        @for stage in &stages { (stage) }
    })
}

fn stage(stage: &Stage) -> Result<Markup> {
    let caption = html! {
        (key("variant", "measured, a part")) (key("ours", "measured, all of it"))
        @if stage.not_separated() < 0.0 { (key("peer", "below zero")) }
        (key("box", "what the report said (the middle of its range)"))
    };
    Ok(html! {
        h3 { "“" (stage.name) "”: " code { (stage.variant) } }
        p {
            "The report says " strong { (said(stage.said)) } " cycles per operation; measured are "
            strong { (plain(stage.measured)) } "."
        }
        (figure(&Waterfall { stage }, &caption)?)
        (table::folded("How each part was measured", &parts(stage)))
    })
}

fn parts(stage: &Stage) -> Markup {
    let columns = [
        Column::text("part"),
        Column::number("report, cycles/op"),
        Column::number("measured, cycles/op"),
        Column::text("how"),
    ];
    let mut rows: Vec<Vec<Markup>> = Vec::new();
    for part in &stage.parts {
        rows.push(vec![
            html! { (part.name) },
            html! { (or_none(part.said, said_range)) },
            html! { (or_none(part.cycles, plain)) },
            html! { (part.method) },
        ]);
    }
    rows.push(vec![
        html! { "not separated" },
        html! { (NONE) },
        html! { (plain(stage.not_separated())) },
        html! { "the measured total less the parts above" },
    ]);
    rows.push(vec![
        html! { strong { "total" } },
        html! { strong { (said(stage.said)) } },
        html! { strong { (plain(stage.measured)) } },
        html! { "median of the rounds" },
    ]);
    table::table(&format!("the budget {}", stage.name), &columns, &rows)
}

struct Waterfall<'a> {
    stage: &'a Stage,
}

/// A bar of the chart, by where it begins and ends; one for each of the two.
struct Step {
    lane: Lane,
    measured: Option<[f64; 2]>,
    said: Option<[f64; 2]>,
}

impl Waterfall<'_> {
    fn steps(&self) -> Vec<Step> {
        let Stage { said, measured, .. } = *self.stage;
        let (mut measured_so_far, mut said_so_far) = (0.0, 0.0);
        let mut steps: Vec<Step> = Vec::new();
        for part in &self.stage.parts {
            let middle = part.said.map(|[low, high]| f64::midpoint(low, high));
            steps.push(Step {
                lane: lane(part),
                measured: part.cycles.map(|cycles| advance(&mut measured_so_far, cycles)),
                said: middle.map(|cycles| advance(&mut said_so_far, cycles)),
            });
        }
        let rest = self.stage.not_separated();
        steps.push(Step {
            lane: Lane {
                name: ["not separated".to_owned(), String::new()],
                value: [plain(rest), String::new()],
                strong: false,
            },
            measured: Some(advance(&mut measured_so_far, rest)),
            said: None,
        });
        steps.push(Step {
            lane: Lane {
                name: ["total".to_owned(), String::new()],
                value: [plain(measured), format!("said {}", number::said(said))],
                strong: true,
            },
            measured: Some([0.0, measured]),
            said: Some([0.0, said]),
        });
        steps
    }

    fn lanes(&self) -> (Lanes<'static>, Vec<[Option<[f64; 2]>; 2]>) {
        let steps = self.steps();
        let ends = steps.iter().flat_map(|step| [step.measured, step.said]).flatten().flatten();
        let axis = Axis::from_zero(ends);
        let bars = steps.iter().map(|step| [step.measured, step.said]).collect();
        let lanes = steps.into_iter().map(|step| step.lane).collect();
        (Lanes { title: "cycles per operation, added up", axis, lanes }, bars)
    }
}

impl Chart for Waterfall<'_> {
    fn says(&self) -> String {
        let Stage { name, said, measured, .. } = self.stage;
        format!(
            "Waterfall of the budget “{name}”: {} cycles per operation measured, {} said by the \
             report",
            plain(*measured),
            number::said(*said)
        )
    }

    fn height(&self, size: Size) -> u32 {
        self.lanes().0.height(size)
    }

    fn draw(&self, area: &Area<'_>, size: Size) -> Result<()> {
        let (lanes, ends) = self.lanes();
        let total = ends.len() - 1;
        lanes.draw(area, size, |bars| {
            let mut ends = ends.into_iter().enumerate();
            ends.try_for_each(|(lane, ends)| draw_step(bars, lane, total, ends))
        })
    }
}

fn draw_step(
    bars: &mut Bars<'_, '_>,
    lane: usize,
    total: usize,
    [measured, said]: [Option<[f64; 2]>; 2],
) -> Result<()> {
    if let Some([from, to]) = measured {
        let colour = match lane == total {
            true => OURS,
            false if to < from => PEER,
            false => VARIANT,
        };
        bars.bar(lane, [0.1, 0.48], [from, to], colour.filled())?;
        // To the next bar, which begins where this one ends.
        if lane + 1 < total {
            bars.step(lane, 0.48, 0.1, to)?;
        }
    }
    said.map_or(Ok(()), |ends| bars.bar(lane, [0.56, 0.88], ends, SAID))
}

fn lane(part: &Part) -> Lane {
    let measured = part.cycles.map_or_else(|| "not separable".to_owned(), plain);
    let said =
        part.said.map(|said| format!("said {}", number::said_range(said))).unwrap_or_default();
    Lane { name: [part.name.clone(), String::new()], value: [measured, said], strong: false }
}

/// Moves on by so much; from where, to where.
fn advance(so_far: &mut f64, by: f64) -> [f64; 2] {
    let from = *so_far;
    *so_far += by;
    [from, *so_far]
}
