//! What the rounds took, as tables: a row per allocator, a column per program.

use super::Outcome;
use super::rounds::{Cell, Kind};
use crate::bench::stats::median;
use crate::bench::table::{align_right, markdown};

/// One figure of a cell.
type Figure = fn(&Cell) -> f64;

pub(super) fn print(outcome: &Outcome) {
    println!("{}", outcome.passport_line());
    let rounds = outcome.rounds;
    if rounds > 1 {
        print_one(outcome, &format!("wall time, median of {rounds} rounds"), "s", median_s);
        print_one(outcome, &format!("wall time, best of {rounds} rounds"), "s", best_s);
    } else {
        print_one(outcome, "wall time, one round", "s", median_s);
    }
    print_one(outcome, "peak RSS of the largest process", "MiB", median_mib);
    let failed = outcome.failed.iter().map(|failure| format!("FAILED: {}", failure.line()));
    let notes: Vec<String> = outcome.skipped.iter().cloned().chain(failed).collect();
    if !notes.is_empty() {
        println!("\n{}", notes.join("\n"));
    }
}

fn print_one(outcome: &Outcome, title: &str, unit: &str, figure: Figure) {
    println!("\n{title}: {unit} under the system's malloc, and the others' share of that");
    let names: Vec<&str> = outcome.programs.iter().map(|program| program.name).collect();
    let head: Vec<&str> = ["allocator"].into_iter().chain(names.clone()).chain(["mean"]).collect();
    let mut table = markdown(&head);
    align_right(&mut table, 1..head.len());
    for (allocator, kind) in &outcome.allocators {
        let cells = names.iter().map(|program| {
            if outcome.failed.iter().any(|f| f.program == *program && f.allocator == *allocator) {
                return (None, "FAIL".to_owned());
            }
            let of = |allocator: &str| {
                let mut cells = outcome.cells.iter();
                cells.find(|c| c.program == *program && c.allocator == allocator).map(figure)
            };
            match (of(allocator), of("system")) {
                (Some(value), _) if *kind == Kind::System => (Some(1.0), short(value)),
                (Some(value), Some(system)) => {
                    (Some(value / system), format!("{:.2}", value / system))
                }
                _ => (None, "–".to_owned()),
            }
        });
        let (shares, mut row): (Vec<_>, Vec<_>) = cells.unzip();
        row.insert(
            0,
            if *kind == Kind::System { format!("system, {unit}") } else { allocator.clone() },
        );
        row.push(match geometric_mean(shares) {
            Some(mean) if *kind != Kind::System => format!("{mean:.2}"),
            _ => String::new(),
        });
        table.add_row(row);
    }
    println!("{table}");
}

fn median_s(cell: &Cell) -> f64 {
    median(cell.wall_s.clone()).unwrap_or(f64::NAN)
}

fn best_s(cell: &Cell) -> f64 {
    cell.wall_s.iter().copied().fold(f64::INFINITY, f64::min)
}

fn median_mib(cell: &Cell) -> f64 {
    let mib = cell.peak_rss_kib.iter().map(|&kib| kib as f64 / 1024.0);
    median(mib.collect()).unwrap_or(f64::NAN)
}

/// Of all of them; `None` if one is missing, since the mean of the rest is of other programs.
fn geometric_mean(shares: Vec<Option<f64>>) -> Option<f64> {
    let shares: Vec<f64> = shares.into_iter().collect::<Option<_>>()?;
    let sum: f64 = shares.iter().map(|share| share.ln()).sum();
    Some((sum / shares.len() as f64).exp())
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
    fn a_mean_is_of_all_or_none() {
        assert_eq!(geometric_mean(vec![Some(0.5), Some(2.0)]), Some(1.0));
        assert_eq!(geometric_mean(vec![Some(0.5), None]), None);
    }

    #[test]
    fn figures_stay_narrow() {
        assert_eq!([1.2345, 12.345, 123.45].map(short), ["1.23", "12.3", "123"]);
    }
}
