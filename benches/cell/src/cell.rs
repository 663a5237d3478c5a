//! The arguments and the output of a program that runs one cell, for every allocator.

use crate::meter::Meter;
use clap::Args as ClapArgs;
use hakmem_workloads::{Args, MARK, Workload};
use serde_json::{Value, json};
use std::alloc::GlobalAlloc;
use std::process::ExitCode;

/// A run's length, its slots, and its random numbers.
#[derive(ClapArgs)]
pub(crate) struct Options {
    /// Operations [default: the workload's share of 10000000]
    #[arg(long)]
    pub(crate) cycles: Option<u64>,
    /// Slots: how many blocks can live at once [default: the workload's]
    #[arg(long)]
    pub(crate) ws: Option<usize>,
    /// Start of the random numbers
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Mark both ends of the measured part by a system call, for a tracer that counts the calls between them
    #[arg(long)]
    marked: bool,
}

impl Options {
    /// Runs a workload on an allocator; calls `events` between its end and the clean-up.
    pub(crate) fn run<A: GlobalAlloc + Sync>(
        &self,
        workload: Workload,
        allocator: &A,
        events: impl FnOnce() -> Option<Value>,
    ) -> Result<Value, String> {
        let ws = self.ws.unwrap_or(workload.default_ws());
        let cycles = self.cycles.unwrap_or(workload.scaled(10_000_000));
        let args = Args { cycles: workload.whole(cycles, ws), ws, seed: self.seed };
        let mut prepared = workload.prepare(allocator, args);
        let mut took = measured(workload.name(), args.cycles, || {
            self.mark();
            prepared.run();
            self.mark();
        });
        took["events"] = json!(events());
        prepared.finish().map_err(|wrong| format!("{workload}: {wrong}"))?;
        Ok(took)
    }

    /// Makes a system call that nothing else makes, if the marks were asked for.
    fn mark(&self) {
        if self.marked {
            // SAFETY: the kernel knows no such option, and refuses it.
            unsafe { libc::prctl(MARK, 0, 0, 0, 0) };
        }
    }
}

/// Runs a closure, and returns its figures.
pub(crate) fn measured(name: &str, ops: u64, run: impl FnOnce()) -> Value {
    let meter = Meter::start();
    measured_region(run);
    let took = meter.stop();
    let mut line = json!({
        "workload": name,
        "ops": ops,
        "counter": took.counter,
        "cycles": took.cycles,
        "wall_s": took.wall_s,
        "user_s": took.user_s,
        "sys_s": took.sys_s,
        "peak_rss_kib": took.peak_rss_kib,
        "page_faults": took.page_faults,
        "voluntary_switches": took.voluntary_switches,
        "events": null,
    });
    for (key, count) in took.hardware {
        line[key] = json!(count);
    }
    line
}

/// The measured part: a symbol of its own, so that callgrind knows where to count.
#[inline(never)]
pub(crate) fn measured_region(run: impl FnOnce()) {
    run();
    // Without something after the call it would be a tail call, and the region would end with it.
    std::hint::black_box(());
}

/// Prints a result as a line of JSON, or a message as a line on standard error.
pub(crate) fn print(result: Result<Value, String>) -> ExitCode {
    match result {
        Ok(result) => {
            println!("{result}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("cell: {message}");
            ExitCode::FAILURE
        }
    }
}
