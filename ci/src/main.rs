//! `cargo ci`: measures the matrix of variants, and checks everything.

mod bench;
mod builds;
mod checks;
mod fuzz;
mod instructions;
mod invariants;
mod ledger;
mod misuse;
mod page;
mod plant;
mod preload;
mod programs;
mod publish;
mod report;
mod soak;
mod test;
mod tools;
mod variants;
#[cfg(test)]
mod workflow;
mod workspace;

use clap::{Parser, Subcommand};
use hakmem_tree as tree;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo ci", about = "Measures the matrix of variants, and checks everything")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure every variant on every workload and print the matrix
    Bench(bench::Options),
    /// Walk the tree of variants and print what each knob did, and the founding report's budget, rebuilt
    Ledger(ledger::LedgerOptions),
    /// Write the page: the budget, the tree with its prices, the peers, the history
    Report(report::ReportOptions),
    /// Join the parts that several machines measured into one result
    Merge(bench::MergeOptions),
    /// Run real programs under the library of every variant, and under the system's malloc
    Programs(programs::Options),
    /// Look for faults with inputs that coverage guides, on the nightly toolchain
    Fuzz(fuzz::Options),
    /// Run programs that break the allocator's rules, print what came of it, and write docs/threat-model.md
    Misuse(misuse::Options),
    /// Stress variants for minutes: threads, forks, a limit, purges, audits; print and draw memory and latency
    Soak(soak::Options),
    /// Check variants/*.toml, and write the library's table and that of docs/variants.md from them
    Variants,
    /// Measure the tables of README and docs in one run of this commit, and write them: an hour
    Publish(publish::PublishOptions),
    /// Print the jobs of the matrix as JSON: a variant with one lookup each
    Matrix,
    /// Plant known bugs in a copy of the source, one at a time, and require our checks to find each: half an hour
    Plant(plant::Options),
    /// Accept the instruction counts as they are: rewrites the limits in variants/ and docs/hot-paths.md
    Bless,
    /// Run every check: format, lints, tests for every variant, docs, features, models
    Test(test::Options),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Bench(options) => bench::run(&options),
        Command::Ledger(options) => ledger::run(&options),
        Command::Report(options) => report::run(&options),
        Command::Merge(options) => bench::merge(&options),
        Command::Programs(options) => programs::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Misuse(options) => misuse::run(&options),
        Command::Soak(options) => soak::run(&options),
        Command::Variants => variants::write(),
        Command::Publish(options) => publish::run(&options),
        Command::Matrix => matrix(),
        Command::Plant(options) => plant::run(&options),
        Command::Bless => instructions::bless(),
        Command::Test(options) => test::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo ci: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints one line, the form that CI systems read.
fn matrix() -> anyhow::Result<()> {
    let jobs = bench::plan::jobs(&workspace::variants()?);
    println!("{}", serde_json::to_string(&jobs)?);
    Ok(())
}
