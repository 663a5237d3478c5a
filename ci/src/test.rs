//! `cargo ci test`: every check, step by step.

mod bench_smoke;
mod c_face;
mod features;
mod memcheck;
mod miri;
mod package;
mod page;
mod plugin;
mod sanitizers;
mod suite;

use crate::fuzz;
use crate::instructions;
use crate::misuse;
use crate::soak;
use crate::tools;
use crate::variants;
use crate::workspace::{self, cargo, must_succeed};
use anyhow::{Result, bail};
use std::time::Instant;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Steps to run, instead of all
    #[arg(value_parser = STEPS.map(|step| step.name))]
    steps: Vec<String>,
    /// Run all checks: each variant in both profiles, each feature built and run, all programs under each
    /// variant; hours
    #[arg(long)]
    pub(crate) all: bool,
}

/// One step.
struct Step {
    name: &'static str,
    /// The most seconds that it takes on two quiet cores with nothing built; the summary names slower steps.
    budget: u32,
    /// Runs with `--all` alone.
    exhaustive: bool,
    run: fn(&Options) -> Result<()>,
}

const fn step(name: &'static str, budget: u32, run: fn(&Options) -> Result<()>) -> Step {
    Step { name, budget, exhaustive: false, run }
}

const fn exhaustive(name: &'static str, budget: u32, run: fn(&Options) -> Result<()>) -> Step {
    Step { name, budget, exhaustive: true, run }
}

const STEPS: [Step; 22] = [
    step("setup", 60, |_| setup()),
    step("format", 5, |_| format()),
    step("lints", 90, |_| lints()),
    step("tests", 190, |_| suite::tests()),
    step("optimised", 60, suite::optimised),
    step("features", 60, features::run),
    step("c-face", 150, |_| c_face::run()),
    step("misuse", 60, |_| misuse::check()),
    step("plugin", 60, |_| plugin::run()),
    step("soak", 60, |_| soak::check()),
    step("fuzz", 60, |_| fuzz::replay()),
    step("memcheck", 90, |_| memcheck::run()),
    step("models", 40, |_| models()),
    step("docs", 30, |_| docs()),
    step("package", 20, |_| package::run()),
    step("instructions", 130, |_| instructions::check()),
    step("bench", 160, |_| bench_smoke::run()),
    step("page", 40, |_| page::run()),
    exhaustive("runner", 600, |_| instructions::check_runner()),
    exhaustive("miri", 300, |_| miri::run()),
    exhaustive("sanitizers", 900, |_| sanitizers::run()),
    exhaustive("programs", 7200, |_| c_face::programs()),
];

pub(crate) fn run(options: &Options) -> Result<()> {
    let chosen = |step: &Step| match options.steps[..] {
        [] => options.all || !step.exhaustive,
        _ => options.steps.iter().any(|name| name == step.name),
    };
    let mut ended = Vec::new();
    for step in STEPS.iter().filter(|step| chosen(step)) {
        println!("── {}", step.name);
        let start = Instant::now();
        let done = (step.run)(options);
        let seconds = start.elapsed().as_secs();
        match &done {
            Ok(()) => println!("── {}: passed, {seconds} s", step.name),
            Err(error) => println!("── {}: FAILED, {seconds} s: {error:#}", step.name),
        }
        ended.push((step, seconds, done.is_ok()));
    }
    summary(&ended)
}

/// Prints each step's time, and the steps that failed. A slow machine fails nothing.
fn summary(ended: &[(&Step, u64, bool)]) -> Result<()> {
    println!("── summary");
    for (step, seconds, passed) in ended {
        let budget = u64::from(step.budget);
        let over = if *seconds > budget { format!(", over its {budget} s") } else { String::new() };
        let verdict = if *passed { "passed" } else { "FAILED" };
        println!("{:>5} s  {:<14}{verdict}{over}", seconds, step.name);
    }
    println!("{:>5} s  in all", ended.iter().map(|(_, seconds, _)| seconds).sum::<u64>());
    let failed: Vec<&str> = ended.iter().filter(|end| !end.2).map(|(step, ..)| step.name).collect();
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

/// Installs all foreign programs that the checks need, or names them.
fn setup() -> Result<()> {
    tools::components()?;
    tools::need(&[tools::GCC, tools::GXX, tools::VALGRIND, tools::CHROMIUM])
}

fn format() -> Result<()> {
    must_succeed(cargo().args(["fmt", "--all", "--check"]))?;
    must_succeed(cargo().args(["fmt", "--check", "--manifest-path", "rivals/Cargo.toml"]))?;
    variants::check()
}

/// Clippy over everything with every feature, and over the library with none.
fn lints() -> Result<()> {
    let deny = ["--", "--deny", "warnings"];
    let mut all = cargo();
    all.args(["clippy", "--quiet", "--workspace", "--all-targets", "--all-features"]).args(deny);
    // `hakmem run` carries a library inside. No step runs it here, so any file will do, and need not be built.
    must_succeed(all.env("HAKMEM_LIBRARY", workspace::root().join("Cargo.lock")))?;
    must_succeed(cargo().args(["clippy", "--quiet", "--all-targets"]).args(deny))?;
    // The program of the peers, without a peer: theirs take minutes and a C++ compiler.
    let rivals =
        ["clippy", "--quiet", "--manifest-path", "rivals/Cargo.toml", "--features", "hakmem"];
    must_succeed(
        cargo().args(rivals).arg("--target-dir").arg(workspace::target().join("rivals")).args(deny),
    )
}

/// Model checks of the lock-free parts, in every interleaving.
fn models() -> Result<()> {
    must_succeed(cargo().args(["test", "--quiet", "--package", "hakmem-models"]))
}

/// Builds the documentation, and fails at a broken link.
fn docs() -> Result<()> {
    let mut command = cargo();
    command.args(["doc", "--quiet", "--no-deps", "--all-features"]);
    must_succeed(command.env("RUSTDOCFLAGS", "--deny warnings"))
}
