//! The matrix as a table per workload, and the parts of which all our tables are made.

use super::result::{Control, Matrix, Measured, Row};
use crate::tree::{Report, Tree};
use comfy_table::{CellAlignment, Table, presets};
use hakmem_workloads::Workload;
use itertools::Itertools;
use std::ops::Range;

const HEAD: &str = "variant|lookup|M ops/s|cycles/op|95 %|best|vs parent|user %|kernel %|RSS MiB|\
    faults/1000|calls/1000|lock waits|SuperSlabs|acquired 0.5/1/2/3|stage 1|fallbacks|atomics/op|the report said";

/// The row of the founding report's figures.
const REPORT: Row<'static> = (Workload::RandomMixed.name(), 8192);

/// The passport, and then a table per workload.
pub(crate) fn text(matrix: &Matrix, tree: &Tree) -> String {
    let mut text = matrix.passport.lines();
    if matrix.noisy {
        let moved = movement(matrix);
        text += &format!("\nNOISY: the control cell moved by more than its interval ({moved})");
    }
    for (workload, ws) in matrix.rows() {
        let mut table = markdown(HEAD.split('|'));
        align_right(&mut table, 2..18);
        let mut cycles = 0;
        for cell in matrix.cells.iter().filter(|cell| !cell.peer && cell.is_in((workload, ws))) {
            table.add_row(row(cell, tree));
            cycles = cell.args.cycles;
        }
        let rounds = matrix.rounds;
        text += &format!(
            "\n\n{workload}, {ws} slots, {cycles} operations, median of {rounds} rounds\n\n{table}"
        );
    }
    text
}

/// The rows in which the control moved by more than its interval, and how far.
pub(crate) fn movement(matrix: &Matrix) -> String {
    let noisy = matrix.control.iter().filter(|(_, control)| control.is_noisy());
    let mut moved = noisy.map(|(row, Control { moved_percent, interval_percent })| {
        format!("{row}: {moved_percent:.1} %, interval ±{interval_percent:.1} %")
    });
    moved.join("; ")
}

fn row(cell: &Measured, tree: &Tree) -> [String; 19] {
    // The system's malloc counts no events.
    let ours = |text: String| or_dash((cell.id != "legacy").then_some(text));
    let (events, acquire) = (&cell.events, &cell.events.acquire);
    let acquired = [acquire.empty_scan, acquire.freelist, acquire.unused, acquire.grow];
    [
        cell.variant.clone(),
        ours(cell.lookup().to_owned()),
        format!("{:.1}", cell.median.ops_per_s / 1e6),
        format!("{:.1}", cell.median.cycles_per_op),
        interval(cell.cycles_interval),
        format!("{:.1}", cell.min.cycles_per_op),
        or_dash(cell.against_parent.map(|parent| format!("{:+.1} %", parent.percent))),
        format!("{:.0}", 100.0 - cell.kernel_percent),
        format!("{:.0}", cell.kernel_percent),
        mib(cell.median.peak_rss_kib),
        per_1000(cell.median.page_faults_per_op),
        per_1000(cell.system_calls_per_op),
        ours(events.lock_waits.to_string()),
        ours(events.superslabs.to_string()),
        ours(acquired.iter().join("/")),
        or_dash(events.stage1_percent().map(|percent| format!("{percent:.0} %"))),
        ours(events.all_fallbacks().to_string()),
        ours(format!("{:.4}", events.atomics as f64 / cell.args.cycles as f64)),
        said_of(cell, tree).unwrap_or_default(),
    ]
}

/// The founding report's figures for a variant; they are of one workload.
fn said_of(cell: &Measured, tree: &Tree) -> Option<String> {
    let variant = tree.variants.get(&cell.id)?;
    let Report { m_ops_per_s, kernel_percent, stage1_percent } = variant.report;
    let speed = m_ops_per_s.map(|(low, high)| match low == high {
        true => format!("{low} M"),
        false => format!("{low}–{high} M"),
    });
    let kernel = kernel_percent.map(|percent| format!("kernel {percent} %"));
    let stage1 = stage1_percent.map(|percent| format!("stage 1 {percent} %"));
    let said = [speed, kernel, stage1].into_iter().flatten().join(", ");
    cell.is_in(REPORT).then_some(said)
}

/// The interval of a median, from and to.
pub(crate) fn interval(interval: Option<[f64; 2]>) -> String {
    or_dash(interval.map(|[low, high]| format!("{low:.1}–{high:.1}")))
}

/// KiB as MiB.
pub(crate) fn mib(kib: u64) -> String {
    format!("{:.1}", kib as f64 / 1024.0)
}

/// A number per operation, for a thousand of them.
pub(crate) fn per_1000(per_op: Option<f64>) -> String {
    or_dash(per_op.map(|number| {
        let number = 1000.0 * number;
        let digits = match number {
            0.0 | 100.0.. => 0,
            1.0.. => 1,
            _ => 3,
        };
        format!("{number:.digits$}")
    }))
}

/// A figure, or a dash where there is none.
pub(crate) fn or_dash(figure: Option<String>) -> String {
    figure.unwrap_or_else(|| "–".to_owned())
}

/// An empty table that is Markdown when it is printed.
pub(crate) fn markdown(head: impl IntoIterator<Item = impl ToString>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(head);
    table
}

/// Aligns columns of figures.
pub(crate) fn align_right(table: &mut Table, columns: Range<usize>) {
    for column in table.column_iter_mut().skip(columns.start).take(columns.len()) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_per_1000_stay_narrow() {
        let numbers = [0.0, 0.000_012, 0.0123, 21.9].map(Some);
        assert_eq!(numbers.map(per_1000), ["0", "0.012", "12.3", "21900"]);
        assert_eq!(per_1000(None), "–");
    }
}
