//! One cell of the matrix: one workload on one variant, in a process of its own, so that caches, page
//! tables and huge pages are nobody else's. Prints one line of JSON.

mod cell;
mod meter;

use cell::Cell;
use clap::Parser;
use hakmem::{Events, Observe};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Run one workload on one variant and print what it took, as a line of JSON.
#[derive(Parser)]
struct Cli {
    /// A variant's id, as in variants/
    variant: String,
    #[command(flatten)]
    cell: Cell,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    cell::print(run_named(&cli.variant, &cli.cell))
}

macro_rules! by_name {
    ($($variant:ident $id:literal,)*) => {
        /// Runs the variant with this id.
        fn run_named(id: &str, cell: &Cell) -> Result<Value, String> {
            match id {
                $($id => run::<hakmem::$variant>(cell),)*
                _ => Err(format!("no variant `{id}`; allowed: {}", [$($id),*].join(", "))),
            }
        }
    };
}
hakmem::for_each_variant!(by_name);

fn run<V: Observe>(cell: &Cell) -> Result<Value, String> {
    cell.run(&V::default(), || V::events().map(|events| events_json::<V>(&events)))
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
