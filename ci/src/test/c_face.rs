//! The step `c-face`: `libhakmem.so` under programs in C and C++ that say what it must do, and under real ones.

use crate::bench::result::CONTROL;
use crate::preload::{self, HITS};
use crate::programs;
use crate::tools;
use crate::workspace::{self, must_succeed, shown};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// One of each way to be built: the control, both kinds of the report's backend, and of the central backend those
/// whose large blocks, registries and lists differ. `cargo ci programs` has all.
const VARIANTS: [&str; 6] =
    [CONTROL, "superslab", "option-abd-hash", "address-map", "own-large", "magazines"];

/// Programs of `preload/tests`, by file name.
const CHECKS: [&str; 11] = [
    "edges.c",
    "aligned.c",
    "watched.c",
    "stress.c",
    "ends.c",
    "forks.c",
    "interrupted.c",
    OPENS,
    "exhausted.c",
    FOREIGN,
    "operators.cpp",
];

/// The program that opens the library by itself.
const OPENS: &str = "opened.c";
/// The program that uses blocks of the C library's own.
const FOREIGN: &str = "foreign.c";
/// The variant under which that is fatal, and what its last line begins with.
const REFUSING: &str = "foreign-fatal";
const REFUSES: &str = "hakmem: fatal: no block of this allocator: 0x";

/// Forks among busy threads: of the default variant, and of others.
const MANY_FORKS: u32 = 1000;
const FEW_FORKS: u32 = 50;

pub(super) fn run() -> Result<()> {
    tools::debian("gcc", "gcc")?;
    tools::debian("g++", "g++")?;
    let checks = CHECKS.iter().map(|name| compile(name)).collect::<Result<Vec<_>>>()?;
    // They are what the C library does: it passes them too.
    for check in &checks {
        expect_ok(check, None, FEW_FORKS)?;
    }
    let default = workspace::variants()?.default_variant().id.clone();
    let mut libraries = Vec::new();
    for variant in VARIANTS.iter().copied().chain([default.as_str()]) {
        let library = preload::library(variant)?;
        let forks = if variant == default { MANY_FORKS } else { FEW_FORKS };
        for check in &checks {
            expect_ok(check, Some(&library), forks)
                .with_context(|| format!("under `{variant}`"))?;
        }
        libraries.push((variant.to_owned(), library));
    }
    refuses_foreign(&checks)?;
    let Some((_, library)) = libraries.last() else { bail!("no variant") };
    preload::check_linked(library).with_context(|| format!("libhakmem.so of `{default}`"))?;
    for (function, most) in HITS {
        let took = preload::straight_path(library, function)?.len();
        ensure!(took <= most, "`{function}` takes {took} instructions on a hit, more than {most}");
        println!("`{function}`: {took} instructions on a hit");
    }
    observed(library, &default)?;
    programs::short(&libraries)
}

/// Runs the checks under the variant that hands no block to another allocator: it passes all but one.
fn refuses_foreign(checks: &[PathBuf]) -> Result<()> {
    let library = preload::library(REFUSING)?;
    // Who opens the library frees blocks from before by it.
    for check in checks.iter().filter(|check| !check.ends_with(program_name(OPENS))) {
        if !check.ends_with(program_name(FOREIGN)) {
            expect_ok(check, Some(&library), FEW_FORKS)
                .with_context(|| format!("under `{REFUSING}`"))?;
            continue;
        }
        let output = output(Command::new(check).env("LD_PRELOAD", &library))?;
        let (said, errors) = (text(&output.stdout), text(&output.stderr));
        ensure!(
            output.status.signal() == Some(libc::SIGABRT)
                && errors.starts_with(REFUSES)
                && errors.lines().count() == 1,
            "under `{REFUSING}`, {} ended by {}: {said}{errors}",
            shown(&Command::new(check)),
            output.status
        );
    }
    Ok(())
}

/// What the program made of a check is called.
fn program_name(check: &str) -> String {
    check.replace('.', "-")
}

/// Builds a check, as its users build their programs: without what the compiler knows about `malloc`.
fn compile(name: &str) -> Result<PathBuf> {
    let folder = workspace::target().join("preload/checks");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let program = folder.join(program_name(name));
    let is_cxx = name.ends_with(".cpp");
    let mut command = Command::new(if is_cxx { "g++" } else { "gcc" });
    command.arg(if is_cxx { "-std=c++17" } else { "-std=gnu11" });
    command.args(["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-fno-builtin", "-o"]);
    command.arg(&program).arg(workspace::root().join("preload/tests").join(name)).arg("-ldl");
    must_succeed(&mut command)?;
    Ok(program)
}

/// Runs a check, which says `ok` and nothing else.
fn expect_ok(check: &Path, library: Option<&Path>, forks: u32) -> Result<()> {
    let mut command = Command::new(check);
    if check.ends_with("forks-c") {
        command.arg(forks.to_string());
    }
    if check.ends_with(program_name(OPENS)) {
        command.args(library);
    } else if let Some(library) = library {
        command.env("LD_PRELOAD", library);
    }
    let output = output(&mut command)?;
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    ensure!(
        output.status.success() && said.trim() == "ok",
        "{} failed ({}): {said}{errors}",
        shown(&command),
        output.status
    );
    Ok(())
}

/// What `HAKMEM_STATS` asks for is said, and changes nothing else.
fn observed(library: &Path, variant: &str) -> Result<()> {
    let run = |value: &str| {
        // Not a shell: some end without what is to be done at the end.
        let mut command = Command::new("printf");
        command.arg("fine\n").env("LD_PRELOAD", library).env("HAKMEM_STATS", value);
        let output = output(&mut command)?;
        ensure!(
            output.status.success() && text(&output.stdout) == "fine\n",
            "HAKMEM_STATS={value}"
        );
        Ok(text(&output.stderr))
    };
    ensure!(run("0")?.is_empty() && run("")?.is_empty(), "HAKMEM_STATS=0 says something");
    let summary = run("1")?;
    let begins = format!("hakmem: variant {variant}\n");
    ensure!(summary.starts_with(&begins), "the summary: {summary}");
    let wrong = run("yes")?;
    ensure!(wrong.contains("HAKMEM_STATS=yes is ignored") && wrong.lines().count() == 1, "{wrong}");
    let file = workspace::target().join("preload/stats.json");
    let said = run(&file.display().to_string())?;
    ensure!(said.is_empty(), "{said}");
    let json = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let json: Value = serde_json::from_str(&json)?;
    ensure!(json["variant"] == variant, "{json}");
    for key in ["in_use_bytes", "free_bytes", "mapped_bytes", "superslabs"] {
        ensure!(json[key].is_u64(), "no `{key}` in {json}");
    }
    let nowhere = run("/nowhere/stats.json")?;
    ensure!(nowhere.contains("cannot be written"), "of a file that cannot be written: {nowhere}");
    Ok(())
}

fn output(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("{} does not start", shown(command)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
