//! The programs of `preload/misuse`: their first lines read, and compiled.

use crate::tools;
use crate::workspace::{self, must_succeed};
use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program, compiled.
pub(super) struct Program {
    pub(super) file: PathBuf,
    title: String,
    sizes: Vec<u64>,
    numbers: Vec<u64>,
    /// A fault of the misuse itself is a detection: the program touches memory that it does not have.
    pub(super) wants_fault: bool,
}

/// One run of a program.
pub(super) struct Case {
    pub(super) title: String,
    pub(super) size: u64,
    pub(super) number: u64,
    /// How many sizes the program has.
    pub(super) sizes: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}, {}", self.title, size(self.size))
    }
}

/// A size as the table shows it.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0x80_0000.. => format!("{} MiB", bytes >> 20),
        100_000.. => format!("{} kB", bytes / 1000),
        10_000.. => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} B"),
    }
}

impl Program {
    /// Reads a program's first comments; `file` is to be its compiled form.
    fn read(source: &str, file: PathBuf) -> Result<Self> {
        let line = |start: &str| source.lines().find_map(|line| line.strip_prefix(start));
        let numbers = |start| -> Result<Vec<u64>> {
            let words = line(start).unwrap_or_default().split_whitespace();
            words.map(|word| word.parse().context("no number")).collect()
        };
        let title = line("// ").context("it does not say what it does")?;
        let mut counts = numbers("// n: ")?;
        if counts.is_empty() {
            counts.push(0);
        }
        let sizes = numbers("// sizes: ")?;
        ensure!(!sizes.is_empty(), "it has no sizes");
        let wants_fault = line("// A fault is wanted").is_some();
        let title = title.trim_end_matches('.').to_owned();
        Ok(Self { file, title, sizes, numbers: counts, wants_fault })
    }

    pub(super) fn cases(&self) -> impl Iterator<Item = Case> {
        self.numbers.iter().flat_map(move |number| {
            let title = match number {
                1 => self.title.replace("{n} bytes", "1 byte"),
                _ => self.title.replace("{n}", &number.to_string()),
            };
            self.sizes.iter().map(move |size| Case {
                title: title.clone(),
                size: *size,
                number: *number,
                sizes: self.sizes.len(),
            })
        })
    }
}

/// The programs, or those whose names contain a text, compiled, in the order of their names.
pub(super) fn built(only: Option<&str>) -> Result<Vec<Program>> {
    tools::need(&[tools::GCC, tools::GXX])?;
    let folder = workspace::root().join("preload/misuse");
    let mut sources = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let source = entry?.path();
        let is_program = source.extension().is_some_and(|kind| kind == "c" || kind == "cpp");
        let name = source.file_name().unwrap_or_default().to_string_lossy();
        if is_program && only.is_none_or(|only| name.contains(only)) {
            sources.push(source);
        }
    }
    sources.sort();
    ensure!(!sources.is_empty(), "no such program");
    sources.par_iter().map(|source| build(source)).collect()
}

fn build(source: &Path) -> Result<Program> {
    let folder = workspace::target().join("preload/misuse");
    fs_err::create_dir_all(&folder)?;
    let file = folder.join(source.file_stem().unwrap_or_default());
    let text = fs_err::read_to_string(source)?;
    let program = Program::read(&text, file).with_context(|| source.display().to_string())?;
    let is_cxx = source.extension().is_some_and(|kind| kind == "cpp");
    let mut command = Command::new(if is_cxx { "g++" } else { "gcc" });
    let dialect: &[&str] =
        if is_cxx { &["-std=c++17", "-Wno-mismatched-new-delete"] } else { &["-std=gnu11"] };
    command.args(dialect);
    // What the compiler knows about `malloc` and `free` would let it drop the misuse, or refuse it.
    command.args(["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-fno-builtin", "-o"]);
    must_succeed(command.arg(&program.file).arg(source).arg("-ldl"))?;
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_a_case_for_each_number_and_size() {
        let source =
            "// Overflow by {n} bytes.\n// sizes: 24 20480\n// n: 1 8\n// A fault is wanted.\n";
        let program = Program::read(source, PathBuf::new()).expect("a program");
        let cases: Vec<_> = program.cases().map(|case| case.to_string()).collect();
        let expected = [
            "Overflow by 1 byte, 24 B",
            "Overflow by 1 byte, 20 KiB",
            "Overflow by 8 bytes, 24 B",
            "Overflow by 8 bytes, 20 KiB",
        ];
        assert_eq!(cases, expected);
        assert!(program.wants_fault);
        assert!(Program::read("// No sizes.\n", PathBuf::new()).is_err());
    }
}
