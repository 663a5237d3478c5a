//! The head of the page: its subject, the result, and the machine that it was measured on.

use super::number::{or_none, percent, percent_range, plain};
use super::peers::{cells, cycles};
use super::rows::{first, title};
use super::tree::row_of;
use crate::bench::peers::{OURS, is_other};
use crate::bench::result::{CONTROL, Matrix, Row};
use crate::ledger::model::Ledger;
use maud::{Markup, html};

pub(super) fn header(run: &Matrix, ledger: Option<&Ledger>, best: &str) -> Markup {
    html! {
        header {
            h1 { "hakmem: what each decision costs" }
            p {
                "hakmem is a memory allocator whose every design decision is a knob, and a variant \
                 is one knob away from its parent. This page shows what each knob costs, in cycles \
                 and bytes, and compares the variants with each other and with other allocators."
            }
            @if run.noisy {
                p.noisy role="note" {
                    strong { "NOISY. " }
                    "The control cell, " code { (CONTROL) } ", ran twice per round, and its two \
                     medians lay further apart than its interval explains. A difference in time \
                     of that size means nothing; counts and memory repeat. "
                    @for (row, control) in run.control.iter().filter(|(_, c)| c.is_noisy()) {
                        "On " (row) " it moved by " (plain(control.moved_percent))
                        " %, with an interval of ±" (plain(control.interval_percent)) " %. "
                    }
                }
            }
            @if let Some(row) = first(run) {
                h2 { "In short, on " (title(row)) }
                ul {
                    @for fact in [
                        against_control(run, row, best),
                        dearest(ledger, row),
                        against_peers(run, row),
                    ].iter().flatten() { li { (fact) } }
                }
            }
            h2 { "Measured on" }
            p { (run.passport.line()) " · " (run.rounds) " rounds" }
            @if let Some(lacks) = run.passport.lacks() { p.small { (lacks) } }
            @if !run.parts.is_empty() {
                p {
                    "Merged from " (run.parts.len()) " runs, on one machine or several. Compare \
                     the times of different runs only through their control cells."
                }
                ul.small { @for part in &run.parts { li { (part.line()) } } }
            }
            @if !run.failed.is_empty() {
                p { strong { "Without a result: " } (run.failed.join("; ")) }
            }
        }
    }
}

fn against_control(run: &Matrix, row: Row<'_>, best: &str) -> Option<Markup> {
    let cell = run.in_row(best, row)?;
    let change = run.against(cell, run.control_for(cell)?)?;
    Some(html! {
        "The best variant, " code { (best) } ", takes " strong { (plain(cycles(cell))) " cycles" }
        " per operation: " strong { (percent(change.percent)) } " against " code { (CONTROL) }
        ", the system's malloc (95 % interval " (or_none(change.interval, percent_range)) ")."
    })
}

/// The knob that saves most, among those whose saving is certain.
fn dearest(ledger: Option<&Ledger>, row: Row<'_>) -> Option<Markup> {
    let priced = ledger?.edges.iter().filter_map(|edge| {
        let row = row_of(edge, row)?;
        Some((edge, row.cycles_percent?, row.cycles_percent_interval?))
    });
    let sure = priced.filter(|(.., [_, high])| *high < 0.0);
    let (edge, by, ends) = sure.min_by(|(_, a, _), (_, b, _)| a.total_cmp(b))?;
    Some(html! {
        "The knob that saves most is " code { (edge.knob) } ": " strong { (percent(by)) }
        " cycles from " code { (edge.against) } " to " code { (edge.variant) }
        " (95 % interval " (percent_range(ends)) ")."
    })
}

fn against_peers(run: &Matrix, row: Row<'_>) -> Option<Markup> {
    let peers = || cells(run, row).into_iter().filter(|cell| cell.peer);
    let ours = peers().find(|cell| cell.id == OURS)?;
    let fastest = peers().find(|cell| is_other(cell))?;
    Some(html! {
        "As a program's global allocator hakmem takes " strong { (plain(cycles(ours))) " cycles" }
        "; the fastest of the others, " code { (fastest.id) } ", takes "
        strong { (plain(cycles(fastest))) } "."
    })
}
