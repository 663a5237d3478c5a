//! The rows of the matrix: a workload with its slots.

use super::table;
use crate::bench::result::{Matrix, Row};
use maud::{Markup, html};

/// The founding report's workload, and the one whose sizes shift: the page shows them first.
pub(super) const MAIN: [Row<'_>; 2] = [("random_mixed", 8192), ("phase_shift", 512)];

pub(super) fn title((workload, ws): Row<'_>) -> String {
    format!("{workload}, {ws} {}", if ws == 1 { "slot" } else { "slots" })
}

/// The row that represents the run.
pub(super) fn first(run: &Matrix) -> Option<Row<'_>> {
    let rows = run.rows();
    MAIN.into_iter().find(|row| rows.contains(row)).or(rows.first().copied())
}

/// Shows something for each row: first the main ones, openly, and then the others behind a line that opens them. If no
/// main row is there, the first is shown openly.
pub(super) fn show<'a>(mut rows: Vec<Row<'a>>, block: impl Fn(Row<'a>) -> Markup) -> Markup {
    rows.sort_by_key(|row| MAIN.iter().position(|main| main == row).unwrap_or(MAIN.len()));
    html! {
        @for (at, row) in rows.into_iter().enumerate() {
            @if at == 0 || MAIN.contains(&row) {
                h3 { (title(row)) } (block(row))
            } @else {
                (table::folded(&title(row), &block(row)))
            }
        }
    }
}
