//! The workspace that this program was built from, and commands that run in it.

use crate::tree::Tree;
use anyhow::{Context, Result, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace's root folder.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Cargo's output folder.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The variants, from their files.
pub(crate) fn variants() -> Result<Tree> {
    Tree::read(&root().join("variants")).map_err(|message| anyhow!(message))
}

/// The cargo that runs this program, in the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command to its end; its output goes where this program's goes.
pub(crate) fn must_succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{} does not start", shown(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", shown(command));
    }
    Ok(())
}

/// Like [`must_succeed`], for a command that may fail for foreign reasons: reports its first line of error alone.
pub(crate) fn must_succeed_quietly(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{} does not start", shown(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let first =
            stderr.lines().find(|line| line.starts_with("error")).unwrap_or("no error shown");
        bail!("{} failed: {first}", shown(command));
    }
    Ok(())
}

/// A command's standard output, trimmed; `None` if it fails.
pub(crate) fn output_of(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).current_dir(root()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// A command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// How measured programs are built.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Profile {
    /// As it ships: for published figures.
    #[default]
    Release,
    /// Without fat LTO, so linked in a tenth of the time: for comparisons of a build with itself, and for a quick look.
    Optimised,
    /// For counting events, which do not depend on how the code is compiled.
    Events,
}

impl Profile {
    /// Its name in `Cargo.toml`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Optimised => "optimised",
            Self::Events => "events",
        }
    }

    /// Builds a package, while cargo shows its progress; returns the folder of the result.
    pub(crate) fn build(self, package: &str, features: &[&str]) -> Result<PathBuf> {
        let mut command = cargo();
        command.args(["build", "--profile", self.name(), "--package", package]).args(features);
        must_succeed(&mut command)?;
        Ok(target().join(self.name()))
    }
}

/// A progress bar for so many steps; nothing if standard error is no terminal.
pub(crate) fn progress(steps: usize, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(steps as u64).with_style(style).with_message(what)
}
