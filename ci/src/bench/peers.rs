//! `--peers`: the same workloads under other allocators, in the same rounds.
//!
//! Each is the program in `rivals/` with one feature: it differs from the others in nothing but its
//! `#[global_allocator]`, `hakmem` (the default variant) included.

use super::cells::install;
use super::result::{Matrix, Measured, Row};
use super::table::{align_right, interval, markdown};
use crate::workspace;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Name, and feature of `rivals/`; the system's malloc needs none.
const PEERS: [(&str, &str); 9] = [
    (OURS, "hakmem"),
    (THIN, "hakmem"),
    ("system", ""),
    ("mimalloc3", "mimalloc3"),
    ("mimalloc2", "mimalloc2"),
    ("jemalloc", "jemalloc"),
    ("snmalloc", "snmalloc"),
    ("rpmalloc", "rpmalloc"),
    (NULL, "null"),
];

const HEAD: &[&str] = &[
    "allocator",
    "M ops/s",
    "cycles/op",
    "95 %",
    "best",
    "against the best peer",
    "RSS MiB",
    "against the leanest",
];

/// The null allocator: what the workload costs by itself, with memory that takes nothing to get. A floor, no
/// peer, so nothing is held against it.
pub(crate) const NULL: &str = "null";

/// Us, in the table of the peers.
pub(crate) const OURS: &str = "hakmem";

/// Us, in a program linked with thin LTO, not fat as the others.
pub(crate) const THIN: &str = "hakmem-thin";

/// Every peer there could be.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PEERS.into_iter().map(|(name, _)| name)
}

/// Builds what builds. A peer that does not is named in one line, and the others run.
pub(super) fn build() -> BTreeMap<String, PathBuf> {
    let mut programs = BTreeMap::new();
    for (name, feature) in PEERS {
        match build_one(name, feature) {
            Ok(program) => drop(programs.insert(name.to_owned(), program)),
            Err(error) => eprintln!("peer {name} is left out: {error:#}"),
        }
    }
    programs
}

/// Builds the program of the null allocator.
pub(crate) fn null_program() -> Result<(String, PathBuf)> {
    Ok((NULL.to_owned(), build_one(NULL, NULL)?))
}

fn build_one(name: &str, feature: &str) -> Result<PathBuf> {
    eprintln!("building the program of a peer ({name})");
    let mut cargo = workspace::cargo();
    cargo.current_dir(workspace::root().join("rivals"));
    let target = workspace::target().join("rivals");
    let profile = if name == THIN { "thin" } else { "release" };
    cargo
        .args(["build", "--quiet", "--profile", profile, "--features", feature])
        .env("CARGO_TARGET_DIR", &target);
    workspace::must_succeed_quietly(&mut cargo)?;
    install(&target.join(profile).join("hakmem-rivals"), &format!("peer-{name}"))
}

/// Everybody's cells in a row of the matrix.
pub(super) fn in_row<'a>(matrix: &'a Matrix, row: Row<'_>) -> Vec<&'a Measured> {
    matrix.cells.iter().filter(|cell| cell.peer && cell.is_in(row)).collect()
}

/// Whether a cell is one to be held against: neither ours, nor the floor.
pub(crate) fn is_other(cell: &Measured) -> bool {
    ![OURS, THIN, NULL].contains(&cell.id.as_str())
}

/// A table per row of the matrix: everybody against the best of the others.
pub(super) fn print(matrix: &Matrix) {
    for (workload, ws) in matrix.rows() {
        let mut cells = in_row(matrix, (workload, ws));
        if cells.is_empty() {
            continue;
        }
        cells.sort_by(|a, b| a.median.cycles_per_op.total_cmp(&b.median.cycles_per_op));
        let others = || cells.iter().filter(|cell| is_other(cell));
        let fastest = others().map(|cell| cell.median.cycles_per_op).fold(f64::INFINITY, f64::min);
        let leanest = others().map(|cell| cell.median.peak_rss_kib).min().unwrap_or(1) as f64;
        let mut table = markdown(HEAD);
        align_right(&mut table, 1..HEAD.len());
        for cell in &cells {
            let (cycles, rss) = (cell.median.cycles_per_op, cell.median.peak_rss_kib as f64);
            table.add_row([
                cell.variant.clone(),
                format!("{:.1}", cell.median.ops_per_s / 1e6),
                format!("{cycles:.1}"),
                interval(cell.cycles_interval),
                format!("{:.1}", cell.min.cycles_per_op),
                format!("{:.2}", cycles / fastest),
                format!("{:.1}", rss / 1024.0),
                format!("{:.2}", rss / leanest),
            ]);
        }
        println!("\n{workload}, {ws} slots, each allocator as the program's own\n{table}");
    }
}
