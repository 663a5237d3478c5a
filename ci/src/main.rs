//! `cargo ci`: measures the matrix of variants, and checks everything.

mod bench;
#[path = "../../build/knobs.rs"]
#[allow(dead_code, reason = "the library's build script reads all of it, this program some")]
mod knobs;
mod test;
#[path = "../../build/tree.rs"]
#[allow(dead_code, reason = "as for `knobs`")]
mod tree;
mod workspace;

use clap::{Parser, Subcommand};
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
    /// Run every check: format, lints, tests for every variant, docs, features, models
    Test(test::Options),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Bench(options) => bench::run(&options),
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
