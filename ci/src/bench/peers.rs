//! `--peers`: runs the workloads under other allocators, in the same rounds.
//!
//! Each peer is the program in `rivals/` with one feature. The programs, that of `hakmem` (the default variant)
//! included, differ only in their `#[global_allocator]`.

use super::cells::install;
use super::result::{Matrix, Measured, Row};
use super::stats::geometric_mean;
use super::table::{align_right, interval, markdown, mib, or_dash, per_1000};
use crate::workspace::{self, Profile};
use anyhow::Result;
use itertools::Itertools;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// All peers.
pub(super) const PEERS: [&str; 10] = [
    OURS,
    THIN,
    SYSTEM,
    "mimalloc3",
    "mimalloc2",
    "rusty_alloc",
    "jemalloc",
    "snmalloc",
    "rpmalloc",
    NULL,
];

const HEAD: &str = "allocator|M ops/s|cycles/op|95 %|best|against the best peer|RSS MiB|against the leanest|\
    faults/1000|calls/1000|switches/1000";

const STANDING: &str = "workload|slots|cycles/op|the fastest other|median|best|thin LTO|RSS MiB|\
    the leanest other but the system|RSS|RSS, the system's malloc|faults/1000|calls/1000";

/// The null allocator: the workload's own cost, with memory that takes no time to get. It is a floor and no peer, so
/// nothing is held against it.
pub(crate) const NULL: &str = "null";

/// hakmem, in the table of the peers.
pub(crate) const OURS: &str = "hakmem";

/// hakmem, in a program linked with thin LTO; the others have fat LTO.
pub(crate) const THIN: &str = "hakmem-thin";

/// The system's malloc, whose memory has a column of its own.
const SYSTEM: &str = "system";

/// Builds all peers. A peer that does not build is named in one line, and the others run.
pub(super) fn build() -> BTreeMap<String, PathBuf> {
    let mut programs = BTreeMap::new();
    for name in PEERS {
        match program(name, Profile::Release) {
            Ok(program) => drop(programs.insert(name.to_owned(), program)),
            Err(error) => eprintln!("peer {name} is left out: {error:#}"),
        }
    }
    programs
}

/// Builds the program of a peer, linked as that of hakmem is.
pub(crate) fn program(name: &str, profile: Profile) -> Result<PathBuf> {
    eprintln!("building the program of a peer ({name})");
    let is_fat = name != THIN && profile == Profile::Release;
    let profile = if is_fat { "release" } else { "thin" };
    let feature = match name {
        OURS | THIN => "hakmem",
        SYSTEM => "",
        other => other,
    };
    let target = workspace::target().join("rivals");
    let mut cargo = workspace::cargo();
    cargo.current_dir(workspace::root().join("rivals")).env("CARGO_TARGET_DIR", &target);
    cargo.args(["build", "--quiet", "--profile", profile, "--features", feature]);
    workspace::must_succeed_quietly(&mut cargo)?;
    install(&target.join(profile).join("hakmem-rivals"), &format!("peer-{name}"))
}

/// True for a cell that hakmem is held against: neither its own, nor the floor.
pub(crate) fn is_other(cell: &Measured) -> bool {
    ![OURS, THIN, NULL].contains(&cell.id.as_str())
}

/// Every allocator's cells in each row of the matrix, the fastest first.
fn rows(matrix: &Matrix) -> impl Iterator<Item = (Row<'_>, Vec<&Measured>)> {
    let rows = matrix.rows().into_iter().map(|row| {
        let cells = matrix.cells.iter().filter(|cell| cell.peer && cell.is_in(row));
        (row, cells.sorted_by(|a, b| cycles(a).total_cmp(&cycles(b))).collect_vec())
    });
    rows.filter(|(_, cells)| !cells.is_empty())
}

fn cycles(cell: &Measured) -> f64 {
    cell.median.cycles_per_op
}

fn rss(cell: &Measured) -> f64 {
    cell.median.peak_rss_kib as f64
}

/// Prints a table per row of the matrix, every allocator against the best of the others; and one of all rows, with the
/// default variant's ratios.
pub(super) fn print(matrix: &Matrix) {
    for ((workload, ws), cells) in rows(matrix) {
        let least = |figure: fn(&Measured) -> f64| {
            cells.iter().filter(|cell| is_other(cell)).map(|cell| figure(cell)).reduce(f64::min)
        };
        let (fastest, leanest) = (least(cycles), least(rss));
        let against = |own: f64, least: Option<f64>| {
            or_dash(least.map(|least| format!("{:.2}", own / least)))
        };
        let mut table = markdown(HEAD.split('|'));
        align_right(&mut table, 1..11);
        for cell in &cells {
            table.add_row([
                cell.variant.clone(),
                format!("{:.1}", cell.median.ops_per_s / 1e6),
                format!("{:.1}", cycles(cell)),
                interval(cell.cycles_interval),
                format!("{:.1}", cell.min.cycles_per_op),
                against(cycles(cell), fastest),
                mib(cell.median.peak_rss_kib),
                against(rss(cell), leanest),
                per_1000(cell.median.page_faults_per_op),
                per_1000(cell.system_calls_per_op),
                per_1000(cell.median.voluntary_switches_per_op),
            ]);
        }
        println!("\n{workload}, {ws} slots, each allocator as the program's own\n{table}");
    }
    let standing = standing(matrix);
    if !standing.is_empty() {
        println!("\n{standing}");
    }
}

/// The default variant's ratios on each row, to the fastest and the leanest of the others, and their geometric means;
/// nothing if hakmem, or every other, is missing.
pub(super) fn standing(matrix: &Matrix) -> String {
    let mut table = markdown(STANDING.split('|'));
    let mut all: Vec<[f64; 5]> = Vec::new();
    for ((workload, ws), cells) in rows(matrix) {
        let of = |id: &str| cells.iter().find(|cell| cell.id == id);
        let others = || cells.iter().filter(|cell| is_other(cell));
        let leanest =
            others().filter(|cell| cell.id != SYSTEM).min_by_key(|cell| cell.median.peak_rss_kib);
        let (Some(ours), Some(fastest), Some(leanest), Some(system)) =
            (of(OURS), others().next(), leanest, of(SYSTEM))
        else {
            continue;
        };
        let best = others().map(|cell| cell.min.cycles_per_op).fold(f64::INFINITY, f64::min);
        let over = [
            cycles(ours) / cycles(fastest),
            ours.min.cycles_per_op / best,
            of(THIN).map_or(f64::NAN, |thin| cycles(thin)) / cycles(fastest),
            rss(ours) / rss(leanest),
            rss(ours) / rss(system),
        ];
        all.push(over);
        let [median, best, thin, rss, rss_system] = over.map(ratio);
        let fastest = format!("{} {:.1}", fastest.id, cycles(fastest));
        let leanest = format!("{} {}", leanest.id, mib(leanest.median.peak_rss_kib));
        let own = (format!("{:.1}", cycles(ours)), mib(ours.median.peak_rss_kib));
        table.add_row([
            workload,
            &ws.to_string(),
            &own.0,
            &fastest,
            &median,
            &best,
            &thin,
            &own.1,
            &leanest,
            &rss,
            &rss_system,
            &per_1000(ours.median.page_faults_per_op),
            &per_1000(ours.system_calls_per_op),
        ]);
    }
    if all.is_empty() {
        return String::new();
    }
    let mean = |at: usize| ratio(geometric_mean(&all.iter().map(|over| over[at]).collect_vec()));
    let [median, best, thin, rss, rss_system] = [0, 1, 2, 3, 4].map(mean);
    let row =
        ["geometric mean", "", "", "", &median, &best, &thin, "", "", &rss, &rss_system, "", ""];
    table.add_row(row);
    align_right(&mut table, 1..13);
    format!("`{OURS}` over the best of the others, row by row; below 1 is better\n\n{table}")
}

/// A ratio as text, or a dash: a program that did not build has none.
fn ratio(ratio: f64) -> String {
    or_dash((!ratio.is_nan()).then(|| format!("{ratio:.2}")))
}
