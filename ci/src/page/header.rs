//! The head of the page: what this is, what came out, and what it was measured on.

use super::number::{percent, percent_range, plain};
use super::rows::{first, title};
use crate::bench::passport::Passport;
use crate::bench::peers::{NULL, OURS, is_other};
use crate::bench::result::{CONTROL, Matrix, Measured, Row};
use crate::ledger::model::{Edge, EdgeRow, Ledger};
use maud::{Markup, html};

pub(super) fn header(run: &Matrix, ledger: Option<&Ledger>, best: &str) -> Markup {
    html! {
        header {
            h1 { "hakmem: what each decision costs" }
            p {
                "hakmem is a memory allocator whose every design decision is a knob, and a variant \
                 is one knob away from its parent. This page is what all of them cost, in cycles \
                 and bytes, beside each other and beside other allocators."
            }
            (noise(run))
            (in_short(run, ledger, best))
            (passport(&run.passport, run.rounds))
            (parts(run))
            (failures(run))
        }
    }
}

fn noise(run: &Matrix) -> Markup {
    html! {
        @if run.noisy {
            div.noisy role="note" {
                p {
                    strong { "NOISY. " }
                    "The control cell, " code { (CONTROL) } ", ran twice per round, and its two \
                     medians lay further apart than its interval explains. Differences in time of \
                     that order mean nothing; counts and memory repeat."
                }
                ul {
                    @for (row, control) in run.control.iter().filter(|(_, c)| c.is_noisy()) {
                        li {
                            (row) ": moved by " (plain(control.moved_percent))
                            " %, interval ±" (plain(control.interval_percent)) " %"
                        }
                    }
                }
            }
        }
    }
}

/// Up to three sentences: the best variant, the knob that bought most, the peers.
fn in_short(run: &Matrix, ledger: Option<&Ledger>, best: &str) -> Markup {
    let row = first(run);
    let facts = row.map_or([None, None, None], |row| {
        [against_control(run, row, best), dearest(ledger, row), against_peers(run, row)]
    });
    html! {
        @if let Some(row) = row.filter(|_| facts.iter().any(Option::is_some)) {
            h2 { "In short, on " (title(row)) }
            ul { @for fact in facts.iter().flatten() { li { (fact) } } }
        }
    }
}

fn against_control(run: &Matrix, row: Row<'_>, best: &str) -> Option<Markup> {
    let cell = run.in_row(best, row)?;
    let change = run.against(cell, run.control_for(cell)?)?;
    Some(html! {
        "The best variant, " code { (best) } ", takes "
        strong { (plain(cell.median.cycles_per_op)) " cycles" } " per operation: "
        strong { (percent(change.percent)) } " against " code { (CONTROL) } ", the system's malloc"
        @if let Some(ends) = change.interval { " (95 % interval " (percent_range(ends)) ")" } "."
    })
}

/// Of the knobs whose saving is sure, the one that saves most.
fn dearest(ledger: Option<&Ledger>, (workload, ws): Row<'_>) -> Option<Markup> {
    let price = |edge: &'_ Edge| -> Option<(f64, [f64; 2])> {
        let is_it = |row: &&EdgeRow| row.workload == workload && row.ws == ws;
        let row = edge.rows.iter().find(is_it)?;
        Some((row.cycles_percent?, row.cycles_percent_interval?))
    };
    let priced = ledger?.edges.iter().filter_map(|edge| Some((edge, price(edge)?)));
    let sure = priced.filter(|(_, (_, [_, high]))| *high < 0.0);
    let (edge, (by, ends)) = sure.min_by(|(_, a), (_, b)| a.0.total_cmp(&b.0))?;
    Some(html! {
        "The knob that buys most is " code { (edge.knob) } ": " strong { (percent(by)) }
        " cycles from " code { (edge.against) } " to " code { (edge.variant) }
        " (95 % interval " (percent_range(ends)) ")."
    })
}

fn against_peers(run: &Matrix, row: Row<'_>) -> Option<Markup> {
    let peers = || run.cells.iter().filter(|cell| cell.peer && cell.is_in(row) && cell.id != NULL);
    let cycles = |cell: &Measured| cell.median.cycles_per_op;
    let ours = peers().find(|cell| cell.id == OURS)?;
    let others = peers().filter(|cell| is_other(cell));
    let other = others.min_by(|a, b| cycles(a).total_cmp(&cycles(b)))?;
    Some(html! {
        "As a program's global allocator hakmem takes " strong { (plain(cycles(ours))) " cycles" }
        "; the fastest of the others, " code { (other.id) } ", takes "
        strong { (plain(cycles(other))) } "."
    })
}

fn passport(passport: &Passport, rounds: u32) -> Markup {
    let Passport { commit, dirty, cpu, cores, kernel, rustc, counter, date } = passport;
    let counter = match counter.as_str() {
        "hardware" => "the hardware's counter",
        _ => "processor time at the time-stamp counter's rate",
    };
    let facts = [
        ("commit", format!("{commit}{}", if *dirty { " (with changes)" } else { "" })),
        ("processor", format!("{cpu}, {cores} cores")),
        ("kernel", format!("Linux {kernel}")),
        ("compiler", rustc.clone()),
        ("cycles by", counter.to_owned()),
        ("rounds", rounds.to_string()),
        ("date", date.clone()),
    ];
    html! {
        h2 { "Measured on" }
        dl { @for (name, fact) in facts { div { dt { (name) } dd { (fact) } } } }
    }
}

fn parts(run: &Matrix) -> Markup {
    html! {
        @if !run.parts.is_empty() {
            p {
                "Merged from " (run.parts.len()) " runs, on one machine or several. Times of \
                 different runs are compared only through their control cells."
            }
            ul.small { @for part in &run.parts { li { (part.line()) } } }
        }
    }
}

fn failures(run: &Matrix) -> Markup {
    html! {
        @if !run.failed.is_empty() {
            p { strong { "Without a result:" } }
            ul { @for failed in &run.failed { li { (failed) } } }
        }
    }
}
