//! What a program that runs one cell takes and prints, whichever allocator it is for.

use crate::meter::Meter;
use clap::Args as ClapArgs;
use hakmem_workloads::{Args, Workload};
use serde_json::{Value, json};
use std::alloc::GlobalAlloc;
use std::process::ExitCode;

/// Which workload, how long, how wide.
#[derive(ClapArgs)]
pub(crate) struct Cell {
    /// A workload's name
    workload: Workload,
    /// Operations [default: the workload's share of 10000000]
    #[arg(long)]
    cycles: Option<u64>,
    /// Slots: how many blocks can live at once [default: the workload's]
    #[arg(long)]
    ws: Option<usize>,
    /// Start of the random numbers
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

impl Cell {
    /// Runs the workload on an allocator; `events` is asked between its end and the clean-up.
    pub(crate) fn run<A: GlobalAlloc + Sync>(
        &self,
        allocator: &A,
        events: impl FnOnce() -> Option<Value>,
    ) -> Result<Value, String> {
        let workload = self.workload;
        let args = Args {
            cycles: self.cycles.unwrap_or(workload.scaled(10_000_000)),
            ws: self.ws.unwrap_or(workload.default_ws()),
            seed: self.seed,
        };
        let mut prepared = workload.prepare(allocator, args);
        let meter = Meter::start();
        prepared.run();
        let took = meter.stop();
        let events = events();
        prepared.finish().map_err(|wrong| format!("{workload}: {wrong}"))?;
        Ok(json!({
            "workload": workload.name(),
            "ops": args.cycles,
            "counter": took.counter,
            "cycles": took.cycles,
            "wall_s": took.wall_s,
            "user_s": took.user_s,
            "sys_s": took.sys_s,
            "peak_rss_kib": took.peak_rss_kib,
            "events": events,
        }))
    }
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
