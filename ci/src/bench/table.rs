//! The matrix as a table per workload.

use super::result::{Control, Matrix, Measured};
use crate::tree::{Report, Tree};
use comfy_table::{CellAlignment, Table, presets};
use hakmem_workloads::Workload;
use std::ops::Range;

const HEAD: &[&str] = &[
    "variant",
    "lookup",
    "M ops/s",
    "cycles/op",
    "95 %",
    "best",
    "vs parent",
    "user %",
    "kernel %",
    "RSS MiB",
    "SuperSlabs",
    "acquired 0.5/1/2/3",
    "stage 1",
    "fallbacks",
    "atomics/op",
    "the report said",
];

pub(crate) fn print(matrix: &Matrix, tree: &Tree) {
    println!("{}", matrix.passport.line());
    if matrix.noisy {
        println!("NOISY: the control cell moved by more than its interval ({})", movement(matrix));
    }
    for (workload, ws) in matrix.rows() {
        let cells = matrix.cells.iter().filter(|cell| !cell.peer && cell.is_in((workload, ws)));
        let mut table = markdown(HEAD);
        align_right(&mut table, 2..HEAD.len() - 1);
        let mut cycles = 0;
        for cell in cells {
            table.add_row(row(cell, tree));
            cycles = cell.args.cycles;
        }
        println!(
            "\n{workload}, {ws} slots, {cycles} operations, median of {} rounds\n{table}",
            matrix.rounds
        );
    }
}

/// Where the control moved by more than its interval, and how far.
pub(crate) fn movement(matrix: &Matrix) -> String {
    let noisy = matrix.control.iter().filter(|(_, control)| control.is_noisy());
    let moved = noisy.map(|(row, Control { moved_percent, interval_percent })| {
        format!("{row}: {moved_percent:.1} %, interval ±{interval_percent:.1} %")
    });
    moved.collect::<Vec<_>>().join("; ")
}

fn row(cell: &Measured, tree: &Tree) -> Vec<String> {
    let backend_is_ours = cell.id != "legacy";
    let ours = |text: String| if backend_is_ours { text } else { "–".to_owned() };
    let events = &cell.events;
    let acquire = &events.acquire;
    let kernel = cell.kernel_percent;
    vec![
        cell.variant.clone(),
        ours(cell.lookup().to_owned()),
        format!("{:.1}", cell.median.ops_per_s / 1e6),
        format!("{:.1}", cell.median.cycles_per_op),
        interval(cell.cycles_interval),
        format!("{:.1}", cell.min.cycles_per_op),
        cell.against_parent.map_or("–".to_owned(), |parent| format!("{:+.1} %", parent.percent)),
        format!("{:.0}", 100.0 - kernel),
        format!("{kernel:.0}"),
        format!("{:.1}", cell.median.peak_rss_kib as f64 / 1024.0),
        ours(events.superslabs.to_string()),
        ours(format!(
            "{}/{}/{}/{}",
            acquire.empty_scan, acquire.freelist, acquire.unused, acquire.grow
        )),
        events.stage1_percent().map_or("–".to_owned(), |percent| format!("{percent:.0} %")),
        ours(events.all_fallbacks().to_string()),
        ours(format!("{:.4}", events.atomics as f64 / cell.args.cycles as f64)),
        said_of(cell, tree),
    ]
}

/// The interval of a median, from and to.
pub(crate) fn interval(interval: Option<[f64; 2]>) -> String {
    interval.map_or("–".to_owned(), |[low, high]| format!("{low:.1}–{high:.1}"))
}

/// What the founding report says of a variant; it knows one workload.
fn said_of(cell: &Measured, tree: &Tree) -> String {
    let is_its_own = cell.is_in((Workload::RandomMixed.name(), 8192));
    let variant = tree.variants.get(&cell.id).filter(|_| is_its_own);
    variant.map_or_else(String::new, |variant| said(&variant.report))
}

fn said(report: &Report) -> String {
    let speed = report.m_ops_per_s.map(|(low, high)| {
        if low == high { format!("{low} M") } else { format!("{low}–{high} M") }
    });
    let kernel = report.kernel_percent.map(|percent| format!("kernel {percent} %"));
    let stage1 = report.stage1_percent.map(|percent| format!("stage 1 {percent} %"));
    [speed, kernel, stage1].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// An empty table that is Markdown when it is printed.
pub(crate) fn markdown(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(head.iter().copied());
    table
}

/// Aligns columns of figures.
pub(crate) fn align_right(table: &mut Table, columns: Range<usize>) {
    for column in table.column_iter_mut().skip(columns.start).take(columns.len()) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
