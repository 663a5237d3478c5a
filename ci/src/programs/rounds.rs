//! The rounds: runs each program under every allocator in turn, each round in the reverse order of the one before.

use super::allocators::{Allocator, Kind};
use super::list::Program;
use super::process::{self, Ended, Interrupts};
use crate::bench::rounds::progress;
use anyhow::{Result, bail, ensure};
use fs_err::{self as fs, File};
use indicatif::ProgressBar;
use itertools::Itertools;
use serde::Serialize;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A program that takes longer than this hangs: the slowest takes some seconds.
pub(super) const LIMIT: Duration = Duration::from_secs(300);

/// The programs and allocators to run.
pub(super) struct Plan<'a> {
    pub(super) programs: &'a [&'static Program],
    /// The system's first; the others are compared with it.
    pub(super) allocators: &'a [Allocator],
    pub(super) quick: bool,
    pub(super) rounds: u32,
    pub(super) limit: Duration,
}

/// A program under an allocator, in every round.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Cell {
    pub(super) program: &'static str,
    pub(super) allocator: String,
    pub(super) kind: Kind,
    pub(super) wall_s: Vec<f64>,
    pub(super) peak_rss_kib: Vec<u64>,
    pub(super) page_faults: Vec<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Failure {
    pub(super) program: &'static str,
    pub(super) allocator: String,
    pub(super) kind: Kind,
    pub(super) why: String,
}

#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) cells: Vec<Cell>,
    pub(super) failed: Vec<Failure>,
}

impl Failure {
    pub(super) fn line(&self) -> String {
        format!("{} under {}: {}", self.program, self.allocator, self.why)
    }
}

impl Plan<'_> {
    pub(super) fn measure(&self) -> Result<Taken> {
        let folder = tempfile::Builder::new().prefix("hakmem-programs-").tempdir()?;
        let _noted = Interrupts::noted();
        let runs = self.programs.len() * self.allocators.len() * self.rounds as usize;
        let bar = progress(runs);
        let mut taken = Taken::default();
        for program in self.programs {
            self.one_program(program, &folder, &bar, &mut taken)?;
        }
        bar.finish_and_clear();
        Ok(taken)
    }

    /// Runs all rounds of a program. A failed allocator is not tried again. If the very first run fails, the others
    /// have nothing to be compared with.
    fn one_program(
        &self,
        program: &'static Program,
        folder: &TempDir,
        bar: &ProgressBar,
        taken: &mut Taken,
    ) -> Result<()> {
        let cell = |allocator: &Allocator| Cell {
            program: program.name,
            allocator: allocator.name.clone(),
            kind: allocator.kind,
            wall_s: Vec::new(),
            peak_rss_kib: Vec::new(),
            page_faults: Vec::new(),
        };
        let mut cells = self.allocators.iter().map(|it| (it, Some(cell(it)))).collect_vec();
        let mut expected: Option<Vec<u8>> = None;
        for _ in 0..self.rounds {
            for (allocator, its_cell) in &mut cells {
                bar.set_message(format!("{} under {}", program.name, allocator.name));
                bar.inc(1);
                let Some(mut cell) = its_cell.take() else { continue };
                let run = self.run(program, allocator, folder);
                ensure!(!Interrupts::came(), "interrupted");
                let checked = run.and_then(|(ended, stdout)| {
                    same(expected.get_or_insert_with(|| stdout.clone()), &stdout)?;
                    cell.wall_s.push(ended.wall.as_secs_f64());
                    cell.peak_rss_kib.push(ended.peak_rss_kib);
                    cell.page_faults.push(ended.page_faults);
                    Ok(())
                });
                let Err(error) = checked else {
                    *its_cell = Some(cell);
                    continue;
                };
                let Cell { program, allocator, kind, .. } = cell;
                taken.failed.push(Failure { program, allocator, kind, why: format!("{error:#}") });
                if expected.is_none() {
                    return Ok(());
                }
            }
            cells.reverse();
        }
        if self.rounds % 2 == 1 {
            cells.reverse();
        }
        taken.cells.extend(cells.into_iter().filter_map(|(_, cell)| cell));
        Ok(())
    }

    /// One run, and its output.
    fn run(
        &self,
        program: &Program,
        allocator: &Allocator,
        folder: &TempDir,
    ) -> Result<(Ended, Vec<u8>)> {
        let [run, stdout, stderr] =
            ["run", "stdout", "stderr"].map(|name| folder.path().join(name));
        // The folder's path is equal for every run, since some programs write it into their results.
        if run.exists() {
            fs::remove_dir_all(&run)?;
        }
        fs::create_dir(&run)?;
        for (name, text) in program.files {
            fs::write(run.join(name), text)?;
        }
        let mut command = Command::new("/bin/sh");
        command.args(["-euc", program.script, "sh"]).arg(program.size(self.quick).to_string());
        command.current_dir(&run).env_clear().env("PATH", "/usr/bin:/bin");
        command.env("LC_ALL", "C").env("TZ", "UTC").env("HOME", &run).env("TMPDIR", &run);
        command.envs(allocator.library.as_ref().map(|library| ("LD_PRELOAD", library)));
        // Files and not pipes: a process that keeps a pipe open would delay this one.
        command.stdin(Stdio::null()).stdout(File::create(&stdout)?.into_file());
        command.stderr(File::create(&stderr)?.into_file());
        let ended = process::run(&mut command, self.limit)?;
        let said = String::from_utf8_lossy(&fs::read(stderr)?).into_owned();
        if !ended.status.success() {
            let last = said.lines().rfind(|line| !line.trim().is_empty());
            bail!(
                "it ended with {}: {}",
                ended.status,
                shortened(last.unwrap_or("it printed no error"))
            );
        }
        // The loader runs a program without a library that it cannot load.
        if let Some(line) = said.lines().find(|line| line.contains("cannot be preloaded")) {
            bail!("{}", shortened(line));
        }
        Ok((ended, fs::read(stdout)?))
    }
}

/// Fails unless both outputs are equal, and says where they differ.
fn same(expected: &[u8], given: &[u8]) -> Result<()> {
    if expected == given {
        return Ok(());
    }
    let [expected, given] = [expected, given].map(String::from_utf8_lossy);
    let pairs = expected.lines().zip_longest(given.lines()).map(|it| it.or("nothing", "nothing"));
    let (expected, given) = pairs.into_iter().find(|(a, b)| a != b).unwrap_or_default();
    let [expected, given] = [expected, given].map(shortened);
    bail!(
        "it printed `{given}`, where the first run under the system's malloc printed `{expected}`"
    )
}

fn shortened(line: &str) -> String {
    let line = line.trim();
    match line.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::time::Instant;

    static FINE: Program = Program::of("fine", "echo \"$1\"");
    static ENDS: Program = Program::of("ends", "echo first >&2; echo why >&2; exit 3");
    static HANGS: Program = Program::of("hangs", "sleep 250");
    static DIFFERS: Program = Program::of("differs", "date +%s.%N");
    static LOADED: Program = Program::of("loaded", "echo \"${LD_PRELOAD:-nothing}\"");

    /// Runs each program under the system's malloc and under this library.
    fn under(library: &Path, programs: &[&'static Program], rounds: u32) -> Taken {
        let other = ("other".to_owned(), library.to_owned());
        let allocators = Allocator::ours(&[other]).expect("a file");
        let limit = Duration::from_secs(1);
        let plan = Plan { programs, allocators: &allocators, quick: true, rounds, limit };
        plan.measure().expect("measured")
    }

    /// Runs under a library that is part of every program anyway.
    fn taken(programs: &[&'static Program], rounds: u32) -> Taken {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("a map of us");
        let mut words = maps.split_whitespace();
        let libc = words.find(|word| word.ends_with("/libc.so.6")).expect("the C library");
        under(Path::new(libc), programs, rounds)
    }

    /// The only failure.
    fn failure(program: &'static Program, rounds: u32) -> String {
        let taken = taken(&[program, &FINE], rounds);
        let [failure] = taken.failed.as_slice() else { panic!("{:?}", taken.failed) };
        assert_eq!(taken.cells.iter().filter(|cell| cell.program == "fine").count(), 2);
        failure.line()
    }

    #[test]
    fn what_is_the_same_is_measured_in_every_round() {
        let taken = taken(&[&FINE], 3);
        assert!(taken.failed.is_empty(), "{:?}", taken.failed);
        let [system, other] = taken.cells.as_slice() else { panic!("{:?}", taken.cells) };
        assert_eq!([&system.allocator, &other.allocator], ["system", "other"]);
        for cell in [system, other] {
            assert_eq!([cell.wall_s.len(), cell.peak_rss_kib.len()], [3, 3]);
            assert!(cell.peak_rss_kib.iter().all(|&kib| kib > 0));
        }
    }

    #[test]
    fn a_program_that_fails_or_hangs_is_reported() {
        assert_eq!(failure(&ENDS, 2), "ends under system: it ended with exit status: 3: why");
        let start = Instant::now();
        assert_eq!(failure(&HANGS, 1), "hangs under system: it did not end within 1 s");
        assert!(start.elapsed() < Duration::from_secs(100));
    }

    #[test]
    fn an_output_that_differs_fails() {
        let line = failure(&LOADED, 3);
        assert!(line.starts_with("loaded under other: it printed `/"), "{line}");
        assert!(line.contains("malloc printed `nothing`"), "{line}");
        let taken = taken(&[&DIFFERS], 2);
        let is_system = |failure: &Failure| failure.kind == Kind::System;
        assert!(taken.failed.iter().any(is_system), "in its own rounds");
    }

    #[test]
    fn a_library_that_is_not_loaded_is_no_success() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "no library").expect("a file");
        let taken = under(file.path(), &[&FINE], 1);
        assert!(taken.failed[0].why.contains("cannot be preloaded"), "{:?}", taken.failed);
        assert_eq!(taken.cells.len(), 1);
    }
}
