//! The step `plugin`: a shared library of Rust with hakmem as its allocator, opened and closed by a program in C.

use crate::checks::{output, text};
use crate::tools;
use crate::workspace::{self, Profile, cargo, must_succeed, shown};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The files that are compiled in C, and their flags.
const HOST: (&str, &[&str]) = ("host", &[]);
const EARLY: (&str, &[&str]) = ("early", &["-shared", "-fPIC"]);

/// The cases for a plugin that a program opens; `plugin/host.c` describes them.
const CASES: [&str; 6] = ["outlived", "again", "copies", "forks", "standard", "exits"];
/// The cases for a plugin with every variant in it. Sixty of those in a process would need more keys than it has.
const ALL_VARIANTS: [&str; 3] = ["outlived", "again", "exits"];

pub(super) fn run() -> Result<()> {
    tools::need(&[tools::GCC])?;
    let (host, early) = (compile(HOST)?, compile(EARLY)?);
    let plugin = build("default", &[])?;
    for case in CASES {
        passes(&host, case, &plugin, &[])?;
    }
    passes(&host, "preloaded", &plugin, &[&plugin])?;
    passes(&host, "nothing", &plugin, &[&early])?;
    passes(&host, "elsewhere", &plugin, &[&early, &plugin])?;
    let all = build("all-variants", &["--features", "hakmem-alloc/all-variants"])?;
    ALL_VARIANTS.iter().try_for_each(|case| passes(&host, case, &all, &[]))
}

/// Runs a case, with libraries that are there from the start.
fn passes(host: &Path, case: &str, plugin: &Path, preload: &[&Path]) -> Result<()> {
    let preload: Vec<_> = preload.iter().map(|file| file.display().to_string()).collect();
    let mut command = Command::new(host);
    command.arg(case).arg(plugin).env("PLUGIN", plugin).env("LD_PRELOAD", preload.join(":"));
    let output = output(&mut command)?;
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    let is_right = output.status.success() && said == "ok\n";
    ensure!(is_right, "{} ended by {}: {said}{errors}", shown(&command), output.status);
    Ok(())
}

fn folder() -> Result<PathBuf> {
    let folder = workspace::target().join("plugin");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

fn compile((name, how): (&str, &[&str])) -> Result<PathBuf> {
    let compiled = folder()?.join(name);
    let mut command = Command::new("gcc");
    command.args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread"]).args(how);
    command.arg(workspace::root().join("plugin").join(name).with_extension("c"));
    must_succeed(command.arg("-ldl").arg("-o").arg(&compiled))?;
    Ok(compiled)
}

/// Builds the plugin; returns where it is, under a name of its own.
fn build(name: &str, features: &[&str]) -> Result<PathBuf> {
    let profile = Profile::Optimised.name();
    let mut command = cargo();
    command.args(["build", "--quiet", "--profile", profile, "--package", "hakmem-plugin"]);
    must_succeed(command.args(features))?;
    let built = workspace::target().join(profile).join("libplugin.so");
    let kept = folder()?.join(format!("lib{name}.so"));
    std::fs::copy(&built, &kept).with_context(|| built.display().to_string())?;
    Ok(kept)
}
