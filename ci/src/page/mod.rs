//! The page that `cargo ci report` writes: one file that needs no network.
//!
//! A header states the page's subject, the result, and the machine. Each section that follows has a file of its own.
//! Plotly draws the charts; the page contains its script.
//!
//! Never: measures, or judges measurements.

#[cfg(test)]
mod browser;
mod budget;
mod cells;
pub(crate) mod chart;
mod header;
mod history;
mod memory;
mod number;
mod peers;
mod rows;
mod table;
#[cfg(test)]
mod tests;
mod tree;

use crate::bench::result::Matrix;
use crate::ledger::model::Ledger;
use maud::{DOCTYPE, PreEscaped, html};

/// The page for a run. `best` is the id of the variant that represents hakmem; `history` has the kept runs, in any
/// order.
pub(crate) fn html(
    run: &Matrix,
    ledger: Option<&Ledger>,
    history: &[Matrix],
    best: &str,
) -> String {
    let sections = [
        ("budget", "The founding report's budget", budget::section(ledger)),
        ("tree", "The variants and the price of each knob", tree::section(run, ledger)),
        ("peers", "Beside other allocators", peers::section(run, best)),
        ("memory", "Time against memory", memory::section(run, best)),
        ("history", "From commit to commit", history::section(run, history, best)),
        ("cells", "Every figure", cells::section(run)),
    ];
    let date = run.passport.date.get(..10).unwrap_or_default();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "hakmem: what each decision costs, " (date) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                (header::header(run, ledger, best))
                nav aria-label="Sections" {
                    @for (id, heading, _) in &sections { a href={ "#" (id) } { (heading) } " " }
                }
                main {
                    @for (id, heading, inside) in &sections {
                        section id=(id) { h2 { (heading) } (inside) }
                    }
                }
                footer { p.small { "Written by " code { "cargo ci report" } "." } }
                (chart::scripts())
            }
        }
    }
    .into_string()
}
