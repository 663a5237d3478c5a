//! Runs every variant on every workload under criterion: `workload_slots/variant/time`, and `…/cycles`.
//!
//! An iteration is 1000 operations. They run in a process of their own (`hakmem-cell`), which prints its figures;
//! starting it is not measured.
//!
//! ```sh
//! cargo bench --package hakmem-cell --bench criterion -- random_mixed_8192/option-a/time
//! ```
#![allow(missing_docs, reason = "of what the macros write")]

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use hakmem_workloads::Workload;
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

const CELL: &str = env!("CARGO_BIN_EXE_hakmem-cell");
/// Operations of one iteration.
const OPS: u64 = 1000;

macro_rules! ids {
    ($($variant:ident $id:literal,)*) => { &[$($id),*] };
}

/// Cycles of the processor, as the cell counts them.
struct Cycles;

impl Measurement for Cycles {
    type Intermediate = ();
    type Value = f64;

    fn start(&self) {}

    fn end(&self, (): ()) -> f64 {
        0.0
    }

    fn add(&self, a: &f64, b: &f64) -> f64 {
        a + b
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, cycles: &f64) -> f64 {
        *cycles
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        &PerOperation
    }
}

/// Writes cycles of an iteration as cycles per operation.
struct PerOperation;

impl ValueFormatter for PerOperation {
    fn scale_values(&self, _: f64, values: &mut [f64]) -> &'static str {
        values.iter_mut().for_each(|cycles| *cycles /= OPS as f64);
        "cycles/op"
    }

    fn scale_throughputs(&self, _: f64, _: &Throughput, values: &mut [f64]) -> &'static str {
        values.iter_mut().for_each(|cycles| *cycles = OPS as f64 / *cycles);
        "ops/cycle"
    }

    fn scale_for_machines(&self, values: &mut [f64]) -> &'static str {
        self.scale_values(0.0, values)
    }
}

/// The figures of so many iterations.
fn run(variant: &str, (workload, ws): (Workload, usize), iterations: u64) -> Value {
    let mut cell = Command::new(CELL);
    cell.args([variant, workload.name(), "--ws", &ws.to_string()]);
    let output = cell.args(["--cycles", &(iterations * OPS).to_string()]).output();
    let output = output.expect("hakmem-cell starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{variant} on {workload}: {said}");
    serde_json::from_slice(&output.stdout).expect("a line of JSON")
}

fn rows() -> impl Iterator<Item = (Workload, usize)> {
    let widths = |workload: Workload| match workload {
        Workload::RandomMixed => vec![256, 8192, 1 << 18],
        _ => vec![workload.default_ws()],
    };
    Workload::ALL
        .into_iter()
        .flat_map(move |workload| widths(workload).into_iter().map(move |ws| (workload, ws)))
}

fn all<M: Measurement + 'static>(
    criterion: &mut Criterion<M>,
    name: &str,
    value: fn(&Value) -> M::Value,
) {
    let ids: &[&str] = hakmem::for_each_variant!(ids);
    for row in rows() {
        let mut group = criterion.benchmark_group(format!("{}_{}", row.0, row.1));
        group.throughput(Throughput::Elements(OPS)).sampling_mode(SamplingMode::Flat);
        for id in ids {
            group.bench_function(format!("{id}/{name}"), |bencher| {
                bencher.iter_custom(|iterations| value(&run(id, row, iterations)));
            });
        }
    }
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().expect("a number")
}

fn time(criterion: &mut Criterion<WallTime>) {
    all(criterion, "time", |took| Duration::from_secs_f64(number(took, "wall_s")));
}

fn cycles(criterion: &mut Criterion<Cycles>) {
    all(criterion, "cycles", |took| number(took, "cycles"));
}

fn short<M: Measurement>(criterion: Criterion<M>) -> Criterion<M> {
    let (warm_up, measure) = (Duration::from_millis(200), Duration::from_secs(1));
    criterion.sample_size(20).warm_up_time(warm_up).measurement_time(measure)
}

criterion_group!(name = times; config = short(Criterion::default()); targets = time);
criterion_group!(
    name = cycle_counts;
    config = short(Criterion::default().with_measurement(Cycles));
    targets = cycles
);
criterion_main!(times, cycle_counts);
