//! Endurance: one variant under threads that come and go, forks, sizes that drift, a limit that comes and goes, purges,
//! and audits. Prints a line of JSON for each stretch of time.
//!
//! An *epoch* is a number of operations by each of a few new threads. They share a table of blocks, so mostly another
//! thread frees a block than the one that allocated it. The bytes of all blocks stay below a budget. Between two epochs no
//! thread is at work, and the whole heap is audited.
//!
//! It ends with an error at the first wrong content, null without a limit, broken invariant, or block that is left.

mod block;
mod epoch;
mod table;

use clap::{Parser, ValueEnum};
use epoch::{Plan, Took};
use hakmem::Observe;
use serde_json::json;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use table::Table;

/// Stress one variant for some time, or for some epochs, and print figures as lines of JSON.
#[derive(Parser)]
struct Cli {
    /// A variant's id, as in variants/
    variant: String,
    /// Seconds to go on for; unless epochs are given
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Epochs, whatever time they take
    #[arg(long)]
    epochs: Option<u64>,
    /// MiB that blocks may have at a time
    #[arg(long, default_value_t = 64)]
    budget_mib: usize,
    /// Start of the random numbers
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// A fault to make, which the run must find
    #[arg(long)]
    plant: Option<Plant>,
}

/// Faults that the run must find.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Plant {
    /// Every eighth block that is to be freed stays.
    Leak,
    /// One block in all is never freed.
    Lost,
    /// One byte of one block changes.
    Wrong,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run_named(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("soak: {message}");
            ExitCode::FAILURE
        }
    }
}

macro_rules! by_name {
    ($($variant:ident $id:literal,)*) => {
        /// Runs the variant with this id.
        fn run_named(cli: &Cli) -> Result<(), String> {
            match cli.variant.as_str() {
                $($id => run::<hakmem::$variant>(cli),)*
                id => Err(format!("no variant `{id}`; allowed: {}", [$($id),*].join(", "))),
            }
        }
    };
}
hakmem::for_each_variant!(by_name);

/// Samples that a run prints, about: as many points as a chart has room for.
const SAMPLES: u64 = 240;

fn run<V: Observe>(cli: &Cli) -> Result<(), String> {
    let begin = Instant::now();
    let table = Table::<V>::new(cli.budget_mib << 20, cli.plant);
    let every = Duration::from_secs(cli.seconds) / SAMPLES as u32;
    let (mut took, mut sampled_at) = (Took::default(), begin);
    // A broken heap ends the process at once, also in the middle of an epoch.
    V::audit_every(50);
    for epoch in 0.. {
        let is_last = match cli.epochs {
            Some(epochs) => epoch + 1 >= epochs,
            None => begin.elapsed().as_secs() >= cli.seconds,
        };
        took.add(epoch::run(&table, Plan::of(epoch, cli.seed))?);
        // SAFETY: the epoch's threads have ended, and this one is the only other.
        unsafe { V::audit() }.map_err(|unsound| format!("epoch {epoch}: {unsound}"))?;
        if cli.epochs.is_some() || is_last || sampled_at.elapsed() >= every {
            print::<V>(&table, &took, begin, epoch)?;
            took.begin_sample();
            sampled_at = Instant::now();
        }
        if is_last {
            break;
        }
    }
    V::set_limit(0);
    table.free_all()?;
    V::purge();
    // SAFETY: this is the only thread.
    let audit = unsafe { V::audit() }.map_err(|unsound| format!("at the end: {unsound}"))?;
    let (blocks, spans, huge) = (audit.live(), audit.spans, V::counted());
    let headers = V::superslabs() as usize * (64 << 10);
    if blocks + spans > 0 || huge > headers {
        let huge = huge.saturating_sub(headers);
        return Err(format!("{blocks} blocks, {spans} spans and {huge} bytes are left at the end"));
    }
    Ok(())
}

fn print<V: Observe>(
    table: &Table<V>,
    took: &Took,
    begin: Instant,
    epoch: u64,
) -> Result<(), String> {
    let at = |quantile: f64| took.times.value_at_quantile(quantile);
    let line = json!({
        "seconds": begin.elapsed().as_secs_f64(),
        "epoch": epoch,
        "operations": took.operations,
        "threads": took.threads,
        "forks": took.forks,
        "nulls": took.nulls,
        "live_kib": table.live() >> 10,
        "counted_kib": V::counted() >> 10,
        "rss_kib": rss_kib()?,
        "p50_ns": at(0.5),
        "p99_ns": at(0.99),
        "p999_ns": at(0.999),
        "max_ns": took.times.max(),
    });
    println!("{line}");
    Ok(())
}

/// KiB of memory that the process has.
fn rss_kib() -> Result<u64, String> {
    let text = std::fs::read_to_string("/proc/self/statm").map_err(|error| error.to_string())?;
    let pages = text.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok());
    pages.map(|pages| pages * 4).ok_or_else(|| format!("/proc/self/statm says {text}"))
}
