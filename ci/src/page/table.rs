//! Tables, each in a box of its own to scroll in.

use maud::{Markup, html};

pub(super) struct Column<'a> {
    head: &'a str,
    is_number: bool,
}

impl<'a> Column<'a> {
    pub(super) fn text(head: &'a str) -> Self {
        Self { head, is_number: false }
    }

    pub(super) fn number(head: &'a str) -> Self {
        Self { head, is_number: true }
    }
}

/// The first column names the rows, and stays in sight.
pub(super) fn table(name: &str, columns: &[Column<'_>], rows: &[Vec<Markup>]) -> Markup {
    let class = |column: &Column<'_>| column.is_number.then_some("number");
    html! {
        div.scroll role="region" aria-label={ "Table: " (name) } tabindex="0" {
            table {
                thead {
                    tr {
                        @for column in columns {
                            th scope="col" class=[class(column)] { (column.head) }
                        }
                    }
                }
                tbody {
                    @for row in rows {
                        tr {
                            @for (at, (column, cell)) in columns.iter().zip(row).enumerate() {
                                @if at == 0 {
                                    th scope="row" { (cell) }
                                } @else {
                                    td class=[class(column)] { (cell) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Behind a line that opens it.
pub(super) fn folded(summary: &str, inside: &Markup) -> Markup {
    html! { details { summary { (summary) } (inside) } }
}
