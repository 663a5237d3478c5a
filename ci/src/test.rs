//! `cargo ci test`: every check, step by step.

mod bench_smoke;
mod c_face;
mod page;

use crate::builds;
use crate::instructions;
use crate::workspace::{self, cargo, must_succeed};
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Instant;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Steps to run, instead of all
    #[arg(value_parser = STEPS.map(|(name, _)| name))]
    steps: Vec<String>,
}

/// A step's name, and what it does.
type Step = (&'static str, fn() -> Result<()>);

const STEPS: [Step; 11] = [
    ("format", format),
    ("lints", lints),
    ("tests", tests),
    ("optimised", optimised),
    ("features", features),
    ("c-face", c_face::run),
    ("models", models),
    ("docs", docs),
    ("instructions", instructions::check),
    ("bench", bench_smoke::run),
    ("page", page::run),
];

pub(crate) fn run(options: &Options) -> Result<()> {
    for (component, command) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if workspace::output_of("cargo", &[command, "--version"]).is_none() {
            bail!("{component} is missing; `rustup component add {component}` installs it");
        }
    }
    let chosen = |name: &str| options.steps.is_empty() || options.steps.iter().any(|s| s == name);
    let (mut passed, mut failed) = (0, Vec::new());
    for (name, step) in STEPS.into_iter().filter(|(name, _)| chosen(name)) {
        println!("── {name}");
        let start = Instant::now();
        let done = step();
        let seconds = start.elapsed().as_secs_f64();
        match done {
            Ok(()) => {
                passed += 1;
                println!("── {name}: passed, {seconds:.0} s");
            }
            Err(error) => {
                println!("── {name}: FAILED, {seconds:.0} s: {error:#}");
                failed.push(name);
            }
        }
    }
    println!("{passed} passed, {} failed", failed.len());
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

fn format() -> Result<()> {
    must_succeed(cargo().args(["fmt", "--all", "--check"]))?;
    must_succeed(cargo().args(["fmt", "--check", "--manifest-path", "rivals/Cargo.toml"]))
}

/// Clippy, over everything with every feature, and over the library with none.
fn lints() -> Result<()> {
    let deny = ["--", "--deny", "warnings"];
    must_succeed(
        cargo()
            .args(["clippy", "--quiet", "--workspace", "--all-targets", "--all-features"])
            .args(deny),
    )?;
    must_succeed(cargo().args(["clippy", "--quiet", "--all-targets"]).args(deny))?;
    // The peers' program, with no peer: theirs take minutes and a C++ compiler.
    let rivals =
        ["clippy", "--quiet", "--manifest-path", "rivals/Cargo.toml", "--features", "hakmem"];
    must_succeed(
        cargo().args(rivals).arg("--target-dir").arg(workspace::target().join("rivals")).args(deny),
    )
}

/// Unit, integration and documentation tests: checked, with every variant, and as a user builds it.
fn tests() -> Result<()> {
    must_succeed(cargo().args(["test", "--quiet", "--all-features"]))?;
    must_succeed(cargo().args(["test", "--quiet", "--package", "hakmem-workloads"]))?;
    must_succeed(cargo().args(["test", "--quiet", "--package", "hakmem-ci"]))?;
    must_succeed(cargo().args(["test", "--quiet", "--package", "hakmem-run"]))?;
    must_succeed(
        cargo().args(["test", "--quiet", "--lib", "--test", "threads", "--test", "misuse"]),
    )
}

/// The tests that look at what the allocator does, without its own assertions: as it ships.
fn optimised() -> Result<()> {
    let tests = ["shadow_map", "threads", "recycling", "exhaustion"];
    let mut command = cargo();
    command.args(["test", "--quiet", "--profile", "optimised", "--all-features"]);
    must_succeed(command.args(tests.iter().flat_map(|test| ["--test", test])))
}

/// Each feature alone builds, selects what docs/variants.md says, and runs a program of real code.
fn features() -> Result<()> {
    let tree = workspace::variants()?;
    let default = tree.default_variant().id.clone();
    let mut runs = BTreeMap::from([(String::new(), default.clone())]);
    for variant in tree.variants.values() {
        runs.insert(variant.id.clone(), variant.id.clone());
        if let Some(twin) = tree.hash_twin(&variant.id) {
            runs.insert(format!("{},hash-lookup", variant.id), twin.id.clone());
        }
    }
    for feature in ["hash-lookup", "all-variants", "stats", "preload"] {
        runs.insert(feature.to_owned(), default.clone());
    }
    // Two that were named, one below the other.
    runs.insert("superslab,option-a".to_owned(), "option-a".to_owned());
    let features: Vec<&String> = runs.keys().collect();
    builds::each(&features, |features, folder| {
        let mut command = cargo();
        // The builds take longer than the program.
        command.env("CARGO_PROFILE_DEV_OPT_LEVEL", "0");
        command.args(["run", "--quiet", "--example", "real_program", "--features", features]);
        must_succeed(command.arg("--target-dir").arg(folder).args(["--", &runs[features]]))
    })?;
    must_succeed(cargo().args(["run", "--quiet", "--example", "real_program", "--all-features"]))
}

/// The lock-free parts, in every interleaving.
fn models() -> Result<()> {
    must_succeed(cargo().args(["test", "--quiet", "--package", "hakmem-models"]))
}

/// The documentation builds, and no link in it is broken.
fn docs() -> Result<()> {
    let mut command: Command = cargo();
    command.args(["doc", "--quiet", "--no-deps", "--all-features"]);
    must_succeed(command.env("RUSTDOCFLAGS", "--deny warnings"))
}
