//! The page that `cargo ci report` writes: one file that needs no network, no script, no font.
//!
//! ```text
//!   header     what this is, what came out, the passport
//!   budget     the founding report's cycles, rebuilt          waterfall
//!   tree       the variants, each with its knob's price       tree, edges
//!   peers      cycles per operation, workload by workload     peers
//!   memory     the same against memory                        scatter, labels
//!   history    the best variant, commit by commit             history
//!   cells      everything as tables                           cells
//! ```
//!
//! `chart` draws each chart twice, wide and narrow; `lanes` and `axis` are what the charts share;
//! `theme` has the colours. `browser` looks at the result as readers do.
//!
//! Never: measures, or judges what was measured.

mod axis;
pub(crate) mod browser;
mod cells;
mod chart;
mod edges;
mod header;
mod history;
mod labels;
mod lanes;
mod number;
mod peers;
mod rows;
#[cfg(test)]
mod sample;
mod scatter;
mod table;
#[cfg(test)]
mod tests;
mod theme;
mod tree;
mod waterfall;

use crate::bench::result::Matrix;
use crate::ledger::model::Ledger;
use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The sections, by the name that a link knows them by, and their headings.
const SECTIONS: [(&str, &str); 6] = [
    ("budget", "The founding report's budget"),
    ("tree", "The variants and the price of each knob"),
    ("peers", "Beside other allocators"),
    ("memory", "Time against memory"),
    ("history", "From commit to commit"),
    ("cells", "Every figure"),
];

/// The page for a run. `best` is the id of the variant that stands for hakmem; `history` is the
/// runs that were kept, in any order.
pub(crate) fn html(
    run: &Matrix,
    ledger: Option<&Ledger>,
    history: &[Matrix],
    best: &str,
) -> Result<String> {
    let sections = [
        waterfall::section(ledger)?,
        tree::section(run, ledger)?,
        peers::section(run, best)?,
        scatter::section(run, best)?,
        history::section(run, history, best)?,
        cells::section(run),
    ];
    let header = header::header(run, ledger, best);
    let date = run.passport.date.get(..10).unwrap_or_default();
    Ok(page(&format!("hakmem: what each decision costs, {date}"), &header, &sections).into_string())
}

fn page(title: &str, header: &Markup, sections: &[Markup; SECTIONS.len()]) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(theme::css())) }
            }
            body {
                (header)
                nav aria-label="Sections" {
                    ul {
                        @for (id, heading) in SECTIONS { li { a href={ "#" (id) } { (heading) } } }
                    }
                }
                main {
                    @for ((id, heading), inside) in SECTIONS.iter().zip(sections) {
                        section id=(id) { h2 { (heading) } (inside) }
                    }
                }
                footer { p.small { "Written by " code { "cargo ci report" } "." } }
            }
        }
    }
}
