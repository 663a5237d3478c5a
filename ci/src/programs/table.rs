//! The rounds' figures as tables: a row per allocator, a column per program.

use super::Outcome;
use super::allocators::Kind;
use super::rounds::{Cell, Failure};
use crate::bench::stats::{geometric_mean, median};
use crate::bench::table::{align_right, markdown};
use itertools::Itertools;

pub(super) fn text(outcome: &Outcome) -> String {
    let mut text = outcome.passport.line();
    let mut one = |title: &str, unit, figure| text += &table(outcome, title, unit, figure);
    let median_s = |cell: &Cell| median(cell.wall_s.clone());
    match outcome.rounds {
        1 => one("wall time, one round", "s", median_s),
        rounds => {
            one(&format!("wall time, median of {rounds} rounds"), "s", median_s);
            let best_s = |cell: &Cell| cell.wall_s.iter().copied().reduce(f64::min);
            one(&format!("wall time, best of {rounds} rounds"), "s", best_s);
        }
    }
    one("peak RSS of the largest process", "MiB", |cell| {
        median(cell.peak_rss_kib.iter().map(|&kib| kib as f64 / 1024.0).collect())
    });
    one("page faults of all processes", "thousand", |cell| {
        median(cell.page_faults.iter().map(|&count| count as f64 / 1000.0).collect())
    });
    let failed = outcome.failed.iter().map(|failure| format!("FAILED: {}", failure.line()));
    let notes = outcome.skipped.iter().cloned().chain(failed).join("\n");
    if !notes.is_empty() {
        text += &format!("\n\n{notes}");
    }
    text
}

fn table(outcome: &Outcome, title: &str, unit: &str, figure: fn(&Cell) -> Option<f64>) -> String {
    let names = || outcome.programs.iter().map(|program| program.name);
    let mut table = markdown(["allocator"].into_iter().chain(names()).chain(["mean"]));
    align_right(&mut table, 1..names().count() + 2);
    for (allocator, kind) in &outcome.allocators {
        let is_system = *kind == Kind::System;
        let of = |program: &str, allocator: &str| {
            let is_it = |cell: &&Cell| cell.program == program && cell.allocator == allocator;
            outcome.cells.iter().find(is_it).and_then(figure)
        };
        let share = |program| Some(of(program, allocator)? / of(program, "system")?);
        let text = |program| {
            let has_failed = |it: &Failure| it.program == program && it.allocator == *allocator;
            match (of(program, allocator), share(program)) {
                _ if outcome.failed.iter().any(has_failed) => "FAIL".to_owned(),
                (Some(value), _) if is_system => short(value),
                (_, Some(share)) => format!("{share:.2}"),
                _ => "–".to_owned(),
            }
        };
        // The mean needs all programs: that of some would be of other work.
        let shares: Option<Vec<f64>> = names().map(share).collect();
        let mean = shares.filter(|_| !is_system).map(|it| format!("{:.2}", geometric_mean(&it)));
        let name = if is_system { format!("system, {unit}") } else { allocator.clone() };
        let row = [name].into_iter().chain(names().map(text)).chain([mean.unwrap_or_default()]);
        table.add_row(row);
    }
    format!(
        "\n\n{title}: {unit} under the system's malloc, and the others' share of that\n\n{table}"
    )
}

/// In four characters, up to 9999.
fn short(value: f64) -> String {
    match value {
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stay_narrow() {
        assert_eq!([1.2345, 12.345, 123.45].map(short), ["1.23", "12.3", "123"]);
    }
}
