//! Instructions of every variant: the paths through it, and whole workloads.
//!
//! Each run is a process of its own under callgrind, which counts in `cell::measured_region` only, and simulates the
//! caches. Time stands still for the allocator, since a figure that must repeat cannot include purging after a while.
//!
//! This bench is for looking into one variant (`-- apex`), with all that gungraun offers: the change since the last
//! run, flame graphs. `cargo ci test` counts all variants in fewer processes, and checks the limits.

#![allow(missing_docs, reason = "of what the macros write")]

extern crate iai_callgrind as gungraun;

use gungraun::{
    Bench, BinaryBenchmark, BinaryBenchmarkConfig, BinaryBenchmarkGroup, Callgrind, Command,
    OutputFormat, binary_benchmark_group, main,
};
use hakmem_workloads::measures::{How, MEASURES, Measure};

const CELL: &str = env!("CARGO_BIN_EXE_hakmem-cell");

macro_rules! ids {
    ($($variant:ident $id:literal,)*) => { &[$($id),*] };
}

/// The lengths of a measure's runs, each with the name that it has in the output.
fn runs(measure: &Measure) -> Vec<(String, u64)> {
    let name = |end: &str| format!("{}{end}", measure.name);
    let ops = measure.runs();
    match measure.how {
        How::Region { .. } => vec![(name(""), ops[0])],
        How::Slope { .. } => vec![(name("_short"), ops[0]), (name("_long"), ops[1])],
        // Pages are not counted in instructions.
        How::Pages => Vec::new(),
    }
}

fn command(variant: &str, measure: &Measure, ops: u64) -> Command {
    let mut command = Command::new(CELL);
    command.args([variant, measure.what, "--cycles", &ops.to_string(), "--still"]);
    if let How::Slope { ws, .. } = measure.how {
        command.args(["--ws", &ws.to_string()]);
    }
    command.build()
}

fn all(group: &mut BinaryBenchmarkGroup) {
    let ids: &[&str] = hakmem::for_each_variant!(ids);
    for id in ids {
        let mut benchmark = BinaryBenchmark::new(id.replace('-', "_"));
        for measure in MEASURES {
            // The system's malloc has no SuperSlabs.
            if *id == "legacy" && measure.name.starts_with("lookup") {
                continue;
            }
            for (name, ops) in runs(measure) {
                benchmark.bench(Bench::new(name).command(command(id, measure, ops)));
            }
        }
        group.binary_benchmark(benchmark);
    }
}

binary_benchmark_group!(
    name = variants;
    benchmarks = |group: &mut BinaryBenchmarkGroup| all(group)
);

main!(
    config = BinaryBenchmarkConfig::default()
        .tool(Callgrind::with_args([
            "--toggle-collect=*measured_region*",
            // A middling machine's caches, equal on every machine.
            "--I1=32768,8,64",
            "--D1=32768,8,64",
            "--LL=8388608,16,64",
        ]))
        .output_format(OutputFormat::default().truncate_description(None));
    binary_benchmark_groups = variants
);
