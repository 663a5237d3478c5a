//! `--peers`: the same workloads under other allocators, in the same rounds.
//!
//! Each is the program in `rivals/` with one feature: it differs from the others in nothing but its
//! `#[global_allocator]`, `hakmem` (the default variant) included.

use super::cells::install;
use super::matrix::{Matrix, Measured};
use super::table::{align_right, markdown};
use crate::workspace;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Name, and feature of `rivals/`; the system's malloc needs none.
const PEERS: [(&str, &str); 7] = [
    ("hakmem", "hakmem"),
    ("system", ""),
    ("mimalloc3", "mimalloc3"),
    ("mimalloc2", "mimalloc2"),
    ("jemalloc", "jemalloc"),
    ("snmalloc", "snmalloc"),
    ("rpmalloc", "rpmalloc"),
];

const HEAD: &[&str] = &[
    "allocator",
    "M ops/s",
    "cycles/op",
    "best",
    "against the best peer",
    "RSS MiB",
    "against the leanest",
];

/// Us, in the table of the peers.
const OURS: &str = "hakmem";

/// Builds what builds. A peer that does not is named in one line, and the others run.
pub(super) fn build() -> BTreeMap<String, PathBuf> {
    let mut programs = BTreeMap::new();
    for (name, feature) in PEERS {
        eprintln!("building the program of a peer ({name})");
        let mut cargo = workspace::cargo();
        cargo.current_dir(workspace::root().join("rivals"));
        let target = workspace::target().join("rivals");
        cargo
            .args(["build", "--quiet", "--release", "--features", feature])
            .env("CARGO_TARGET_DIR", &target);
        let installed = workspace::must_succeed_quietly(&mut cargo)
            .and_then(|()| install(&target.join("release/hakmem-rivals"), &format!("peer-{name}")));
        match installed {
            Ok(program) => drop(programs.insert(name.to_owned(), program)),
            Err(error) => eprintln!("peer {name} is left out: {error:#}"),
        }
    }
    programs
}

/// A table per row of the matrix: everybody against the best of the others.
pub(super) fn print(matrix: &Matrix) {
    for (workload, ws) in matrix.rows() {
        let mut cells: Vec<&Measured> =
            matrix.cells.iter().filter(|cell| cell.peer && cell.is_in((workload, ws))).collect();
        if cells.is_empty() {
            continue;
        }
        cells.sort_by(|a, b| a.median.cycles_per_op.total_cmp(&b.median.cycles_per_op));
        let others = || cells.iter().filter(|cell| cell.variant != OURS);
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
                format!("{:.1}", cell.min.cycles_per_op),
                format!("{:.2}", cycles / fastest),
                format!("{:.1}", rss / 1024.0),
                format!("{:.2}", rss / leanest),
            ]);
        }
        println!("\n{workload}, {ws} slots, each allocator as the program's own\n{table}");
    }
}
