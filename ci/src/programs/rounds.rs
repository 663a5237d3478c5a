//! The rounds: each program under every allocator in turn, each round in the reverse order of the one before.

use super::folder::Folder;
use super::list::{Program, Size};
use super::process::{self, Interrupts};
use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A program that takes longer hangs: the slowest takes some seconds.
pub(super) const LIMIT: Duration = Duration::from_secs(300);

/// Whose allocator it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    System,
    Variant,
    Peer,
}

pub(super) struct Allocator {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// What is loaded before all other libraries.
    library: Option<PathBuf>,
}

/// What is to be run.
pub(super) struct Plan<'a> {
    pub(super) programs: &'a [&'static Program],
    /// The system's first: the others are held against it.
    pub(super) allocators: &'a [Allocator],
    pub(super) size: Size,
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

struct Sample {
    stdout: Vec<u8>,
    wall_s: f64,
    peak_rss_kib: u64,
}

impl Allocator {
    pub(super) fn system() -> Self {
        Self { name: "system".to_owned(), kind: Kind::System, library: None }
    }

    pub(super) fn preloaded(name: &str, kind: Kind, library: &Path) -> Result<Self> {
        let path = library.canonicalize().with_context(|| library.display().to_string())?;
        let shown = path.display().to_string();
        ensure!(!shown.contains([' ', ':']), "{shown} cannot be in LD_PRELOAD: it separates there");
        Ok(Self { name: name.to_owned(), kind, library: Some(path) })
    }
}

impl Failure {
    pub(super) fn line(&self) -> String {
        format!("{} under {}: {}", self.program, self.allocator, self.why)
    }
}

impl Plan<'_> {
    pub(super) fn measure(&self) -> Result<Taken> {
        let folder = Folder::new()?;
        let _noted = Interrupts::noted();
        let runs = self.programs.len() * self.allocators.len() * self.rounds as usize;
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len}, {eta} left: {msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(runs as u64).with_style(style);
        let mut taken = Taken::default();
        for program in self.programs {
            self.one_program(program, &folder, &bar, &mut taken)?;
        }
        bar.finish_and_clear();
        Ok(taken)
    }

    /// All rounds of a program. What has failed is not tried again; and if that is the very first run, there
    /// is nothing to hold the others against.
    fn one_program(
        &self,
        program: &'static Program,
        folder: &Folder,
        bar: &ProgressBar,
        taken: &mut Taken,
    ) -> Result<()> {
        let mut samples: Vec<Vec<Sample>> = self.allocators.iter().map(|_| Vec::new()).collect();
        let mut failed = vec![false; self.allocators.len()];
        let mut expected: Option<Vec<u8>> = None;
        for round in 0..self.rounds {
            let mut order: Vec<usize> = (0..self.allocators.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for place in order {
                let Allocator { name, kind, .. } = &self.allocators[place];
                bar.set_message(format!("{} under {name}", program.name));
                bar.inc(1);
                if failed[place] {
                    continue;
                }
                let sample = self.run(program, &self.allocators[place], folder);
                if Interrupts::came() {
                    bail!("interrupted");
                }
                let sample = sample.and_then(|sample| {
                    same(expected.as_deref().unwrap_or(&sample.stdout), &sample.stdout)?;
                    Ok(sample)
                });
                match sample {
                    Ok(sample) => {
                        expected.get_or_insert_with(|| sample.stdout.clone());
                        samples[place].push(sample);
                    }
                    Err(error) => {
                        failed[place] = true;
                        let (allocator, kind) = (name.clone(), *kind);
                        let why = format!("{error:#}");
                        taken.failed.push(Failure { program: program.name, allocator, kind, why });
                        if expected.is_none() {
                            return Ok(());
                        }
                    }
                }
            }
        }
        for (place, allocator) in self.allocators.iter().enumerate() {
            if !failed[place] && !samples[place].is_empty() {
                taken.cells.push(Cell::of(program, allocator, &samples[place]));
            }
        }
        Ok(())
    }

    fn run(&self, program: &Program, allocator: &Allocator, folder: &Folder) -> Result<Sample> {
        let run = folder.fresh_run(program.files)?;
        let (stdout, stderr) = (folder.file("stdout"), folder.file("stderr"));
        let mut command = Command::new("/bin/sh");
        command.args(["-euc", program.script, "sh"]).arg(program.size(self.size).to_string());
        command.current_dir(&run).env_clear().env("PATH", "/usr/bin:/bin");
        command.env("LC_ALL", "C").env("TZ", "UTC").env("HOME", &run).env("TMPDIR", &run);
        command.envs(allocator.library.as_ref().map(|library| ("LD_PRELOAD", library)));
        // Files, so that nobody who keeps a pipe open keeps us waiting.
        command.stdin(std::process::Stdio::null());
        command.stdout(std::fs::File::create(&stdout)?).stderr(std::fs::File::create(&stderr)?);
        let ended = process::run(&mut command, self.limit)?;
        let said = String::from_utf8_lossy(&std::fs::read(&stderr)?).into_owned();
        if !ended.status.success() {
            let last = said.lines().rfind(|line| !line.trim().is_empty());
            bail!("it ended with {}: {}", ended.status, shortened(last.unwrap_or("nothing said")));
        }
        // The loader goes on without a library that it cannot load.
        if let Some(line) = said.lines().find(|line| line.contains("cannot be preloaded")) {
            bail!("{}", shortened(line));
        }
        Ok(Sample {
            stdout: std::fs::read(&stdout)?,
            wall_s: ended.wall.as_secs_f64(),
            peak_rss_kib: ended.peak_rss_kib,
        })
    }
}

impl Cell {
    fn of(program: &Program, allocator: &Allocator, samples: &[Sample]) -> Self {
        Self {
            program: program.name,
            allocator: allocator.name.clone(),
            kind: allocator.kind,
            wall_s: samples.iter().map(|sample| sample.wall_s).collect(),
            peak_rss_kib: samples.iter().map(|sample| sample.peak_rss_kib).collect(),
        }
    }
}

/// Fails, and says where, unless both outputs are the same.
fn same(expected: &[u8], given: &[u8]) -> Result<()> {
    if expected == given {
        return Ok(());
    }
    let (expected, given) = (String::from_utf8_lossy(expected), String::from_utf8_lossy(given));
    let lines = expected.lines().count().max(given.lines().count());
    let at = |text: &str, line| text.lines().nth(line).unwrap_or("nothing").to_owned();
    let differs = (0..lines).find(|&line| at(&expected, line) != at(&given, line)).unwrap_or(0);
    let [expected, given] = [expected, given].map(|text| shortened(&at(&text, differs)));
    bail!("it printed `{given}`, where it printed `{expected}` at first under the system's malloc")
}

fn shortened(line: &str) -> String {
    let line = line.trim();
    match line.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
#[path = "rounds_tests.rs"]
mod tests;
