//! Tables, each in a box of its own that scrolls.

use maud::{Markup, html};

/// A table whose first column names the rows and stays in sight. The second line of a cell is smaller.
pub(super) fn table(name: &str, heads: &[&str], rows: &[Vec<String>]) -> Markup {
    let is_number = |cell: &String| {
        cell.starts_with(|first: char| first.is_ascii_digit() || "+−".contains(first))
    };
    let class = |at: usize| rows.iter().any(|row| is_number(&row[at])).then_some("number");
    let shown = |cell: &str| match cell.split_once('\n') {
        Some((first, second)) => html! { (first) span.small { (second) } },
        None => html! { (cell) },
    };
    html! {
        div.scroll role="region" aria-label={ "Table: " (name) } tabindex="0" {
            table {
                thead {
                    tr {
                        @for (at, head) in heads.iter().enumerate() {
                            th scope="col" class=[class(at)] { (head) }
                        }
                    }
                }
                tbody {
                    @for row in rows {
                        tr {
                            th scope="row" { (shown(&row[0])) }
                            @for (at, cell) in row.iter().enumerate().skip(1) {
                                td class=[class(at)] { (shown(cell)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Hides a part behind a line that opens it.
pub(super) fn folded(summary: &str, inside: &Markup) -> Markup {
    html! { details { summary { (summary) } (inside) } }
}
