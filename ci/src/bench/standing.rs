//! `--peers`, in one table: on each row, where the default variant stands against the fastest and the leanest
//! of the others, and the geometric means.

use super::peers::{OURS, THIN, in_row, is_other};
use super::result::{Matrix, Measured};
use super::table::{align_right, markdown};

const HEAD: &[&str] = &[
    "workload",
    "slots",
    "cycles/op",
    "the fastest other",
    "median",
    "best",
    "thin LTO",
    "RSS MiB",
    "the leanest other but the system",
    "RSS",
    "RSS, the system's malloc",
];

/// The system's malloc, whose memory is looked at apart.
const SYSTEM: &str = "system";

/// Ours over the other: below 1 is better.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Standing {
    /// Median against the lowest median, and best against the lowest best.
    median: f64,
    best: f64,
    /// The median of the program that is linked with thin LTO, against the same others.
    thin: f64,
    /// Memory against the leanest but the system, and against the system.
    rss: f64,
    rss_system: f64,
}

/// Prints the table; nothing where we, or all others, are missing.
pub(super) fn print(matrix: &Matrix) {
    let mut table = markdown(HEAD);
    let mut standings = Vec::new();
    for row in matrix.rows() {
        let cells = in_row(matrix, row);
        let Some(ours) = cells.iter().find(|cell| cell.id == OURS) else { continue };
        let others = || cells.iter().filter(|cell| is_other(cell));
        let fastest =
            others().min_by(|a, b| a.median.cycles_per_op.total_cmp(&b.median.cycles_per_op));
        let best = others().map(|cell| cell.min.cycles_per_op).fold(f64::INFINITY, f64::min);
        let leanest =
            others().filter(|cell| cell.id != SYSTEM).min_by_key(|cell| cell.median.peak_rss_kib);
        let system = others().find(|cell| cell.id == SYSTEM);
        let (Some(fastest), Some(leanest), Some(system)) = (fastest, leanest, system) else {
            continue;
        };
        let thin = cells.iter().find(|cell| cell.id == THIN);
        let rss = |cell: &Measured| cell.median.peak_rss_kib as f64;
        let standing = Standing {
            median: ours.median.cycles_per_op / fastest.median.cycles_per_op,
            best: ours.min.cycles_per_op / best,
            thin: thin.map_or(f64::NAN, |thin| thin.median.cycles_per_op)
                / fastest.median.cycles_per_op,
            rss: rss(ours) / rss(leanest),
            rss_system: rss(ours) / rss(system),
        };
        standings.push(standing);
        table.add_row(line(
            [row.0, &row.1.to_string(), &format!("{:.1}", ours.median.cycles_per_op)],
            &format!("{} {:.1}", fastest.id, fastest.median.cycles_per_op),
            &format!("{:.1}", rss(ours) / 1024.0),
            &format!("{} {:.1}", leanest.id, rss(leanest) / 1024.0),
            standing,
        ));
    }
    if standings.is_empty() {
        return;
    }
    table.add_row(line(["geometric mean", "", ""], "", "", "", mean(&standings)));
    align_right(&mut table, 1..HEAD.len());
    println!("\n`{OURS}` over the best of the others, row by row; below 1 is better\n{table}");
}

fn line(row: [&str; 3], fastest: &str, rss: &str, leanest: &str, over: Standing) -> Vec<String> {
    // A program that did not build has no ratio.
    let ratio = |ratio: f64| if ratio.is_nan() { "–".to_owned() } else { format!("{ratio:.2}") };
    let mut cells: Vec<String> = row.into_iter().map(str::to_owned).collect();
    cells.extend([fastest.to_owned(), ratio(over.median), ratio(over.best), ratio(over.thin)]);
    cells.extend([rss.to_owned(), leanest.to_owned(), ratio(over.rss), ratio(over.rss_system)]);
    cells
}

fn mean(standings: &[Standing]) -> Standing {
    let of = |field: fn(&Standing) -> f64| {
        let sum: f64 = standings.iter().map(|standing| field(standing).ln()).sum();
        (sum / standings.len() as f64).exp()
    };
    Standing {
        median: of(|it| it.median),
        best: of(|it| it.best),
        thin: of(|it| it.thin),
        rss: of(|it| it.rss),
        rss_system: of(|it| it.rss_system),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_geometric() {
        let standing =
            |ratio| Standing { median: ratio, best: 1.0, thin: 1.0, rss: 2.0, rss_system: 0.5 };
        let mean = mean(&[standing(0.5), standing(2.0), standing(1.0)]);
        assert!((mean.median - 1.0).abs() < 1e-9, "{mean:?}");
        assert!((mean.rss - 2.0).abs() < 1e-9 && (mean.rss_system - 0.5).abs() < 1e-9, "{mean:?}");
    }
}
