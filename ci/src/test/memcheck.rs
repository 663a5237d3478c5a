//! The step `memcheck`: valgrind's memcheck finds each fault of a program whose blocks it was told of, and none in a
//! program without one.
//!
//! The programs are `examples/faults.rs`, with the library inside, and `preload/memcheck/faults.c`, under
//! `libhakmem.so`. Feature `valgrind` is on in both.

use crate::checks::{output, text};
use crate::tools;
use crate::workspace::{self, Profile, cargo, must_succeed, shown};
use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use std::path::PathBuf;
use std::process::Command;

/// Exit code of a program in which memcheck found a fault.
const FOUND: i32 = 9;

/// The faults, and what memcheck must say of each. `#` is the block's size.
const FAULTS: [(&str, &str); 7] = [
    ("leak", "definitely lost"),
    ("after-free", "Invalid read of size 1"),
    ("after-realloc", "Invalid read of size 1"),
    ("overflow", "0 bytes after a block of size # alloc'd"),
    ("underflow", "1 bytes before a block of size # alloc'd"),
    ("double-free", "Invalid free()"),
    ("undefined", "ninitialised value"),
];

/// Faults that are looked for in a huge block, too.
const OF_HUGE_BLOCKS: [&str; 2] = ["after-free", "overflow"];
/// Faults that are looked for in both backends. Beside any other, memcheck may name a freed block of the same place.
const OF_BOTH: [&str; 3] = ["leak", "after-free", "double-free"];
const SMALL: usize = 24;
const HUGE: usize = 3_000_000;

/// Variants with the library inside: the default, whose huge blocks are its own, and one of the other backend, which has
/// none.
const DEFAULT: &str = "apex";
const OTHER: &str = "superslab";

/// A program with faults.
struct Program {
    path: PathBuf,
    library: Option<PathBuf>,
}

pub(super) fn run() -> Result<()> {
    tools::need(&[tools::GCC, tools::VALGRIND])?;
    let (inside, other) = (with_library_inside(DEFAULT)?, with_library_inside(OTHER)?);
    let of = |names: &'static [&str]| FAULTS.iter().filter(|fault| names.contains(&fault.0));
    let mut runs = vec![(&other, None, SMALL)];
    runs.extend(of(&OF_BOTH).map(|fault| (&other, Some(fault), SMALL)));
    let library = under_library()?;
    for program in [&inside, &library] {
        runs.push((program, None, SMALL));
        runs.extend(FAULTS.iter().map(|fault| (program, Some(fault), SMALL)));
        runs.extend(of(&OF_HUGE_BLOCKS).map(|fault| (program, Some(fault), HUGE)));
    }
    runs.par_iter().try_for_each(|(program, fault, size)| program.check(*fault, *size))
}

/// The program in Rust, with a variant.
fn with_library_inside(variant: &str) -> Result<Program> {
    let folder = workspace::target().join("memcheck");
    let mut command = cargo();
    command.args(["build", "--quiet", "--example", "faults", "--target-dir"]).arg(&folder);
    must_succeed(command.args(["--features", &format!("valgrind,{variant}")]))?;
    // The next variant's program takes the place of this one.
    let path = folder.join(format!("faults-{variant}"));
    let built = folder.join("debug/examples/faults");
    std::fs::copy(&built, &path).with_context(|| built.display().to_string())?;
    Ok(Program { path, library: None })
}

/// The program in C, and the library.
fn under_library() -> Result<Program> {
    let (folder, profile) = (workspace::target().join("memcheck"), Profile::Optimised.name());
    let mut command = cargo();
    command.args(["build", "--quiet", "--package", "hakmem-preload", "--features", "valgrind"]);
    must_succeed(command.args(["--profile", profile, "--target-dir"]).arg(&folder))?;
    let path = folder.join("faults-c");
    let mut command = Command::new("gcc");
    command.args(["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fno-builtin", "-o"]);
    must_succeed(command.arg(&path).arg(workspace::root().join("preload/memcheck/faults.c")))?;
    Ok(Program { path, library: Some(folder.join(profile).join("libhakmem.so")) })
}

impl Program {
    /// Runs the program with a fault in a block of this size, or with none.
    fn check(&self, fault: Option<&(&str, &str)>, size: usize) -> Result<()> {
        let mut command = Command::new("valgrind");
        command.args(["-q", "--soname-synonyms=somalloc=nouserintercepts", "--leak-check=full"]);
        command.arg(format!("--error-exitcode={FOUND}")).arg(&self.path);
        command.arg(fault.map_or("none", |(name, _)| name)).arg(size.to_string());
        if let Some(library) = &self.library {
            command.env("LD_PRELOAD", library);
        }
        let output = output(&mut command)?;
        let report = text(&output.stderr);
        let is_right = match fault {
            Some((_, says)) => {
                output.status.code() == Some(FOUND) && report.contains(&wanted(says, size))
            }
            None => output.status.success() && report.is_empty(),
        };
        let under = self.library.as_deref().map_or("", |_| ", under the library");
        ensure!(is_right, "{}{under} ended by {}: {report}", shown(&command), output.status);
        Ok(())
    }
}

/// The text for a size, whose thousands memcheck separates.
fn wanted(says: &str, size: usize) -> String {
    let digits = size.to_string();
    let mut number = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            number.push(',');
        }
        number.push(digit);
    }
    says.replace('#', &number)
}

#[cfg(test)]
mod tests {
    #[test]
    fn thousands_are_separated() {
        assert_eq!(super::wanted("size #", 3_000_000), "size 3,000,000");
        assert_eq!(super::wanted("size #", 24), "size 24");
    }
}
