//! Foreign programs: found, installed where that is possible, or named in one line.

use crate::workspace::{self, cargo, must_succeed_quietly, output_of};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program that runs benchmarks under valgrind; its version is that of the library.
const RUNNER: &str = "gungraun-runner";
const RUNNER_VERSION: &str = "0.20.0";
/// The program that builds fuzz targets.
const FUZZ: &str = "cargo-fuzz";
const FUZZ_VERSION: &str = "0.13.2";

/// A program, and the Debian package that contains it.
pub(crate) type Tool = (&'static str, &'static str);

pub(crate) const VALGRIND: Tool = ("valgrind", "valgrind");
pub(crate) const CHROMIUM: Tool = ("chromium", "chromium");
pub(crate) const GCC: Tool = ("gcc", "gcc");
pub(crate) const GXX: Tool = ("g++", "g++");

/// Makes sure that programs are there: asks each for its version, and installs the packages of the missing ones where
/// this user may.
///
/// # Errors
/// In one line, the missing packages, and the command that installs them.
pub(crate) fn need(tools: &[(&str, &str)]) -> Result<()> {
    let missing = || -> Vec<_> {
        let is_missing = |tool: &&(&str, &str)| output_of(tool.0, &["--version"]).is_none();
        tools.iter().filter(is_missing).map(|(_, package)| *package).collect()
    };
    let packages = missing();
    if !packages.is_empty() {
        install(&packages)?;
    }
    let packages = missing().join(" ");
    ensure!(packages.is_empty(), "missing: {packages}; `apt-get install {packages}` installs it");
    Ok(())
}

/// Installs Debian packages where this user may; elsewhere it does nothing.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let may_install = output_of("id", &["-u"]).is_some_and(|id| id == "0")
        && output_of("apt-get", &["--version"]).is_some();
    if !may_install {
        return Ok(());
    }
    eprintln!("installing {}", packages.join(", "));
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        must_succeed_quietly(&mut command)
    };
    apt(&["update"])?;
    apt(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
}

/// Makes sure that the toolchain has the components that the checks use.
pub(crate) fn components() -> Result<()> {
    for (component, command) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        let is_there = output_of("cargo", &[command, "--version"]).is_some();
        ensure!(is_there, "missing: {component}; `rustup component add {component}` installs it");
    }
    Ok(())
}

/// The program that runs the instruction benchmark; builds it once, which takes minutes.
pub(crate) fn runner() -> Result<PathBuf> {
    need(&[VALGRIND])?;
    built(RUNNER, RUNNER_VERSION)
}

/// The program that builds fuzz targets; builds it once, which takes a minute.
pub(crate) fn cargo_fuzz() -> Result<PathBuf> {
    built(FUZZ, FUZZ_VERSION)
}

/// A program of the registry, at the place where it was built.
fn built(name: &str, version: &str) -> Result<PathBuf> {
    let root = workspace::target().join(format!("tools/{version}"));
    let program = root.join("bin").join(name);
    if !program.exists() {
        eprintln!("building {name}, once: some minutes");
        let mut install = cargo();
        install.args(["install", "--quiet", "--locked", name, "--version", version]);
        must_succeed_quietly(install.arg("--root").arg(&root))
            .with_context(|| format!("{name} {version} cannot be built"))?;
    }
    Ok(program)
}

/// A command of the nightly toolchain, in the workspace.
///
/// # Errors
/// In one line, the command that installs the toolchain, if it is missing.
pub(crate) fn nightly(program: &Path) -> Result<Command> {
    let is_there = output_of("rustup", &["run", "nightly", "cargo", "--version"]).is_some();
    ensure!(is_there, "missing: nightly Rust; `rustup toolchain install nightly` installs it");
    let mut command = Command::new("rustup");
    command.args(["run", "nightly"]).arg(program).current_dir(workspace::root());
    // Those of the stable cargo that runs this program.
    command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTC");
    Ok(command)
}

/// Makes sure that the nightly toolchain has a component.
///
/// # Errors
/// In one line, the command that installs it.
pub(crate) fn nightly_component(component: &str) -> Result<()> {
    let installed =
        output_of("rustup", &["component", "list", "--toolchain", "nightly", "--installed"]);
    let is_there =
        installed.is_some_and(|list| list.lines().any(|line| line.starts_with(component)));
    ensure!(
        is_there,
        "missing: {component} of nightly Rust; `rustup component add {component} --toolchain nightly` installs it"
    );
    Ok(())
}
