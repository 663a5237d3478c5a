//! Programs that are not ours: found, installed where that is possible, or named in one line.

use crate::workspace::{self, cargo, must_succeed_quietly, output_of};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// Runs benchmarks under valgrind; its version is that of the library.
const RUNNER: &str = "gungraun-runner";
pub(crate) const RUNNER_VERSION: &str = "0.20.0";

/// Makes sure that there is a program of Debian's: finds it by asking its version, or installs its
/// package where we may.
pub(crate) fn debian(program: &str, package: &str) -> Result<()> {
    let is_there = || output_of(program, &["--version"]).is_some();
    if is_there() {
        return Ok(());
    }
    install(package).with_context(|| format!("{program} is missing"))?;
    if !is_there() {
        bail!("{program} is missing; `apt-get install {package}` installs it");
    }
    Ok(())
}

/// Installs a package of Debian's, where we may; where we may not, nothing is done.
pub(crate) fn install(package: &str) -> Result<()> {
    let may_install = output_of("id", &["-u"]).is_some_and(|id| id == "0")
        && output_of("apt-get", &["--version"]).is_some();
    if !may_install {
        return Ok(());
    }
    eprintln!("installing {package}");
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        must_succeed_quietly(&mut command)
    };
    apt(&["update"])?;
    apt(&["install", "--yes", "--no-install-recommends", package])
}

/// The program that runs the instruction benchmarks; builds it once, which takes minutes.
pub(crate) fn runner() -> Result<PathBuf> {
    debian("valgrind", "valgrind")?;
    let root = workspace::target().join(format!("tools/{RUNNER_VERSION}"));
    let program = root.join("bin").join(RUNNER);
    if !program.exists() {
        eprintln!("building {RUNNER}, once: some minutes");
        let mut install = cargo();
        install.args(["install", "--quiet", "--locked", RUNNER, "--version", RUNNER_VERSION]);
        must_succeed_quietly(install.arg("--root").arg(&root))
            .with_context(|| format!("{RUNNER} {RUNNER_VERSION} cannot be built"))?;
    }
    Ok(program)
}
