//! `cargo ci fuzz`: looks for faults with inputs that coverage guides. The step `fuzz` of `cargo ci test` replays the
//! inputs that were kept.
//!
//! The fuzzer needs the nightly toolchain. It builds with debug assertions and without sanitizers: the targets check
//! each block themselves.

use crate::tools;
use crate::workspace::{self, cargo, must_succeed};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The targets, with the bytes of their longest inputs.
const TARGETS: [(&str, u32); 3] = [("operations", 1500), (C_FACE, 1500), ("variant_file", 1500)];
/// The target that opens a `libhakmem.so`.
const C_FACE: &str = "c_face";
const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// Makes a library count the edges that its code takes, as cargo-fuzz does for a program.
const COUNTED: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table";
/// With counters a library cannot drop the standard library's panics, and their thread-local variables.
const ROOM_FOR_TLS: &str = "glibc.rtld.optional_static_tls=16384";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Minutes for each target
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    minutes: u32,
    /// The target, instead of all
    #[arg(long, value_parser = TARGETS.map(|(name, _)| name))]
    target: Option<String>,
    /// Afterwards put the inputs into `fuzz/corpus` that together reach all code that was reached, and no others
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let cargo_fuzz = tools::cargo_fuzz()?;
    let is_chosen = |name: &str| options.target.as_deref().is_none_or(|target| target == name);
    let mut failed = Vec::new();
    for (name, longest) in TARGETS.into_iter().filter(|(name, _)| is_chosen(name)) {
        println!("── {name}");
        let target = Target::build(name, &cargo_fuzz)?;
        match target.look(options.minutes, longest)? {
            None if options.keep => target.keep(longest)?,
            None => {}
            Some(fault) => failed.push(fault),
        }
    }
    ensure!(failed.is_empty(), "{}", failed.join("; "));
    Ok(())
}

/// Replays the kept inputs of each target with the stable toolchain.
pub(crate) fn replay() -> Result<()> {
    let default = workspace::variants()?.default_variant().id.clone();
    let library = crate::preload::library(&default)?;
    let mut command = cargo();
    command.args(["test", "--quiet", "--package", "hakmem-fuzz"]);
    must_succeed(command.env("HAKMEM_LIBRARY", library))
}

/// A target's program, built by the nightly toolchain.
struct Target {
    name: &'static str,
    program: PathBuf,
    /// The library that it opens, if it opens one.
    library: Option<PathBuf>,
}

impl Target {
    fn build(name: &'static str, cargo_fuzz: &Path) -> Result<Self> {
        let folder = folder();
        let mut command = tools::nightly(cargo_fuzz)?;
        command.args(["build", "--sanitizer", "none", "--target-dir"]).arg(&folder).arg(name);
        must_succeed(quick(&mut command))?;
        let program = folder.join(TRIPLE).join("release").join(name);
        let library = if name == C_FACE { Some(library()?) } else { None };
        Ok(Self { name, program, library })
    }

    /// The inputs in the repository.
    fn kept(&self) -> PathBuf {
        workspace::root().join("fuzz/corpus").join(self.name)
    }

    /// A folder for files of this target.
    fn folder(&self, what: &str) -> Result<PathBuf> {
        let folder = folder().join(what).join(self.name);
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(folder)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(library) = &self.library {
            command.env("HAKMEM_LIBRARY", library).env("GLIBC_TUNABLES", ROOM_FOR_TLS);
        }
        command
    }

    /// Runs the target for so many minutes, beginning with the inputs that are known. Returns the fault, if it finds one.
    fn look(&self, minutes: u32, longest: u32) -> Result<Option<String>> {
        let (found, faults) = (self.folder("corpus")?, self.folder("faults")?);
        let mut command = self.command();
        command.arg(&found).arg(self.kept());
        command.arg(format!("-max_total_time={}", 60 * minutes));
        command.arg(format!("-max_len={longest}")).arg("-len_control=20");
        command.args([
            "-timeout=120",
            "-rss_limit_mb=4096",
            "-print_final_stats=1",
            "-verbosity=1",
        ]);
        command.arg(format!("-artifact_prefix={}/", faults.display()));
        let before = newest(&faults)?;
        let status = command.status().with_context(|| self.program.display().to_string())?;
        if status.success() {
            return Ok(None);
        }
        let Some(input) = newest(&faults)?.filter(|input| before.as_ref() != Some(input)) else {
            bail!("{} ended with {status}, and left no input", self.name);
        };
        Ok(Some(format!(
            "{}: a fault: `cargo run --package hakmem-fuzz --bin {} -- {}` replays it; if that finds none, the inputs \
             before it mattered",
            self.name,
            self.name,
            input.display()
        )))
    }

    /// Puts into the repository as few inputs as reach all code that those found and those kept reach.
    fn keep(&self, longest: u32) -> Result<()> {
        let (merged, found) = (self.folder("merged")?, self.folder("corpus")?);
        std::fs::remove_dir_all(&merged).with_context(|| merged.display().to_string())?;
        let merged = self.folder("merged")?;
        let mut command = self.command();
        // Code that is reached, and not how often.
        command.args(["-set_cover_merge=1", "-use_counters=0"]).arg(format!("-max_len={longest}"));
        command.arg(&merged).arg(self.kept());
        must_succeed(command.arg(&found))?;
        let kept = self.kept();
        std::fs::remove_dir_all(&kept).with_context(|| kept.display().to_string())?;
        std::fs::create_dir_all(&kept).with_context(|| kept.display().to_string())?;
        let (mut inputs, mut bytes) = (0, 0);
        for entry in std::fs::read_dir(&merged).with_context(|| merged.display().to_string())? {
            let entry = entry?;
            bytes += std::fs::copy(entry.path(), kept.join(entry.file_name()))?;
            inputs += 1;
        }
        println!("{}: {inputs} inputs, {bytes} bytes", kept.display());
        Ok(())
    }
}

fn folder() -> PathBuf {
    workspace::target().join("fuzz")
}

/// Builds as it ships, but linked sooner.
fn quick(command: &mut Command) -> &mut Command {
    command.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
}

/// The library of the default variant, which counts its edges.
fn library() -> Result<PathBuf> {
    let folder = folder().join("library");
    let mut command = tools::nightly(Path::new("cargo"))?;
    command.args(["build", "--quiet", "--release", "--package", "hakmem-preload"]);
    command.args(["--target", TRIPLE, "--target-dir"]).arg(&folder).env("RUSTFLAGS", COUNTED);
    must_succeed(quick(&mut command))?;
    Ok(folder.join(TRIPLE).join("release/libhakmem.so"))
}

/// The newest file of a folder.
fn newest(folder: &Path) -> Result<Option<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        files.push((entry.metadata()?.modified()?, entry.path()));
    }
    Ok(files.into_iter().max().map(|(_, path)| path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_program_and_inputs() {
        let fuzz = workspace::root().join("fuzz");
        let names = |folder: &str| -> Vec<String> {
            let entries = std::fs::read_dir(fuzz.join(folder)).expect("a folder");
            let stem =
                |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
            let mut names: Vec<_> =
                entries.map(|entry| stem(&entry.expect("an entry").path())).collect();
            names.sort();
            names
        };
        let mut targets = TARGETS.map(|(name, _)| name.to_owned());
        targets.sort();
        assert_eq!(names("fuzz_targets"), targets);
        assert_eq!(names("corpus"), targets);
    }
}
