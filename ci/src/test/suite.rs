//! The steps `tests` and `optimised`: unit, integration and documentation tests.

use super::Options;
use crate::preload;
use crate::workspace::{self, cargo, must_succeed};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::Command;

/// Seconds from which on the summary names a test.
const SLOW: f64 = 2.0;

/// The tests of a checked build with every variant, then of a build as users have it, then those of the tools.
pub(super) fn tests() -> Result<()> {
    timed(cargo().args(["test", "--quiet", "--all-features"]))?;
    must_succeed(cargo().args(["test", "--quiet", "--lib", "--test", "suite"]))?;
    let mut tools = cargo();
    tools.args(["test", "--quiet", "--profile", "tool"]);
    for package in ["hakmem-ci", "hakmem-run", "hakmem-tree", "hakmem-workloads"] {
        tools.args(["--package", package]);
    }
    // The variant that the step `c-face` looks at, and no other.
    let default = workspace::variants()?.default_variant().id.clone();
    tools.env("HAKMEM_LIBRARY", preload::library(&default)?);
    must_succeed(&mut tools)
}

/// The tests of a build as it ships, without its own assertions: of the default variant and the report's best, or of
/// each variant. Events do not depend on the profile, so only `tests` looks at them, unless it is each variant.
pub(super) fn optimised(options: &Options) -> Result<()> {
    let mut command = cargo();
    command.args(["test", "--quiet", "--profile", "optimised", "--test", "suite"]);
    if options.all {
        return timed(command.arg("--all-features"));
    }
    timed(command.args(["--features", "all-variants", "--", "apex", "option_abd_hash"]))
}

/// Runs tests, and names the slow ones: each notes its time in a file.
fn timed(command: &mut Command) -> Result<()> {
    let file: PathBuf = workspace::target().join("test-times");
    std::fs::write(&file, "").with_context(|| file.display().to_string())?;
    let done = must_succeed(command.env("HAKMEM_TEST_TIMES", &file));
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let mut times: Vec<(f64, &str)> = text.lines().filter_map(time).collect();
    times.sort_by(|one, other| other.0.total_cmp(&one.0));
    for (seconds, test) in times.iter().take_while(|(seconds, _)| *seconds >= SLOW) {
        println!("{seconds:>5.1} s  {test}");
    }
    done
}

fn time(line: &str) -> Option<(f64, &str)> {
    let (seconds, test) = line.split_once(' ')?;
    Some((seconds.parse().ok()?, test))
}
