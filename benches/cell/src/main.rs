//! One cell of the matrix: runs one workload on one variant, in a process of its own, so that no other cell shares its
//! caches, page tables and huge pages. Prints one line of JSON.

mod cell;
mod chosen;
mod count;
mod erased;
mod hardware;
mod memory;
mod meter;
mod paths;

use cell::Options;
use chosen::Chosen;
use clap::Parser;
use hakmem::{Events, Observe};
use hakmem_workloads::Workload;
use paths::Path;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::str::FromStr;

#[global_allocator]
static ALLOCATOR: Chosen = Chosen;

/// Run one workload, or one path, on one variant and print what it took, as a line of JSON.
#[derive(Parser)]
struct Cli {
    /// A variant's id, as in variants/
    variant: String,
    /// A workload's name, or a path's; or `count`, `count_program` or `count_pages`
    what: String,
    #[command(flatten)]
    options: Options,
    /// Let time stand still for the allocator: for counting instructions
    #[arg(long)]
    still: bool,
}

enum What {
    Workload(Workload),
    Path(Path),
    /// All measures of a kind, of a variant.
    Count(count::Kind),
}

impl FromStr for What {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if let Ok(path) = name.parse() {
            return Ok(Self::Path(path));
        }
        if let Some(kind) = count::Kind::named(name) {
            return Ok(Self::Count(kind));
        }
        name.parse().map(Self::Workload).map_err(|message: String| {
            let paths: Vec<String> = Path::names().collect();
            format!("{message}; or one path of {}", paths.join(", "))
        })
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    cell::print(run_named(&cli))
}

macro_rules! by_name {
    ($($variant:ident $id:literal,)*) => {
        /// Runs the variant with this id.
        fn run_named(cli: &Cli) -> Result<Value, String> {
            match cli.variant.as_str() {
                $($id => run::<hakmem::$variant>(cli),)*
                id => Err(format!("no variant `{id}`; allowed: {}", [$($id),*].join(", "))),
            }
        }
    };
}
hakmem::for_each_variant!(by_name);

fn run<V: Observe>(cli: &Cli) -> Result<Value, String> {
    if cli.still {
        V::set_clock(0);
    }
    match cli.what.parse()? {
        What::Workload(workload) if workload.is_of_program() && !chosen::is(V::ID) => {
            Err(format!("{workload} needs the variant and the workload before any option"))
        }
        What::Workload(workload) => cli.options.run(workload, &erased::allocator::<V>(), || {
            V::events().map(|events| events_json::<V>(&events))
        }),
        What::Count(kind) => count::all::<V>(kind),
        What::Path(_) if cli.options.ws.is_some() => {
            Err("--ws means nothing for a path".to_owned())
        }
        What::Path(path) => {
            let mut took = path.run::<V>(&cli.what, cli.options.cycles)?;
            took["events"] = json!(V::events().map(|events| events_json::<V>(&events)));
            Ok(took)
        }
    }
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
        "refills": events.refills,
        "transfers": events.transfers,
        "atomics": events.atomics,
        "purged_pages": events.purged_pages,
        "lock_waits": events.lock_waits,
    })
}
