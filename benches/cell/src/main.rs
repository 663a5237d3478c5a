//! One cell of the matrix: one workload on one variant, in a process of its own, so that caches, page
//! tables and huge pages are nobody else's. Prints one line of JSON.

mod meter;

use clap::Parser;
use hakmem::{Events, Observe};
use hakmem_workloads::{Args, Workload};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Run one workload on one variant and print what it took, as a line of JSON.
#[derive(Parser)]
struct Cli {
    /// A variant's id, as in variants/
    variant: String,
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

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ws = cli.ws.unwrap_or(cli.workload.default_ws());
    let cycles = cli.cycles.unwrap_or(cli.workload.scaled(10_000_000));
    let args = Args { cycles, ws, seed: cli.seed };
    match run_named(&cli.variant, cli.workload, args) {
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

macro_rules! by_name {
    ($($variant:ident $id:literal,)*) => {
        /// Runs the variant with this id.
        fn run_named(id: &str, workload: Workload, args: Args) -> Result<Value, String> {
            match id {
                $($id => run::<hakmem::$variant>(workload, args),)*
                _ => Err(format!("no variant `{id}`; allowed: {}", [$($id),*].join(", "))),
            }
        }
    };
}
hakmem::for_each_variant!(by_name);

fn run<V: Observe>(workload: Workload, args: Args) -> Result<Value, String> {
    let allocator = V::default();
    let mut prepared = workload.prepare(&allocator, args);
    let meter = meter::Meter::start();
    prepared.run();
    let took = meter.stop();
    let events = V::events().map(|events| events_json::<V>(&events));
    prepared.finish().map_err(|wrong| format!("{} on {workload}: {wrong}", V::ID))?;
    Ok(json!({
        "variant": V::ID,
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

fn events_json<V: Observe>(events: &Events) -> Value {
    json!({
        "acquire": {
            "empty_scan": events.acquire.empty_scan,
            "freelist": events.acquire.freelist,
            "unused": events.acquire.unused,
            "grow": events.acquire.grow,
        },
        "fallbacks": events.fallbacks[..V::CLASSES],
        "retired": events.retired,
        "adopted": events.adopted,
        "drains": events.list_drains + events.remote_drains,
        "remote_frees": events.remote_frees,
        "lookups": events.lookups,
        "probes": events.probes,
        "superslabs": events.superslabs,
    })
}
