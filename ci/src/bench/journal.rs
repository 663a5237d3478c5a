//! What was measured so far, on disk: each run is appended as it ends, so that an interrupted
//! measurement goes on where it was.
//!
//! A journal belongs to one plan with one set of programs on one machine; its name says which. It is
//! removed when the result is complete.

use super::cells::Sample;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Which run of which cell.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub(super) enum Run {
    /// For speed: place in the plan, and round.
    Timed { place: usize, round: u32 },
    /// The control once more: which of the controls, and round.
    Repeated { control: usize, round: u32 },
    /// For events.
    Counted { place: usize },
}

#[derive(Deserialize, Serialize)]
struct Line {
    run: Run,
    sample: Sample,
}

pub(super) struct Journal {
    path: PathBuf,
    file: File,
    done: HashMap<Run, Sample>,
}

impl Journal {
    /// Opens the journal of this plan, with what an interrupted run has left in it; `fresh` throws that
    /// away.
    pub(super) fn open(
        folder: &Path,
        plan: &impl Hash,
        programs: &[PathBuf],
        fresh: bool,
    ) -> Result<Self> {
        let mut hasher = DefaultHasher::new();
        plan.hash(&mut hasher);
        for program in programs {
            let bytes = std::fs::read(program).with_context(|| program.display().to_string())?;
            bytes.hash(&mut hasher);
        }
        let path = folder.join(format!("journal-{:016x}.jsonl", hasher.finish()));
        let open = || {
            std::fs::create_dir_all(folder)?;
            if fresh && path.exists() {
                std::fs::remove_file(&path)?;
            }
            OpenOptions::new().create(true).append(true).open(&path)
        };
        let file = open().with_context(|| path.display().to_string())?;
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        // The last line may have been cut off: what is no line of ours was not measured.
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let done = lines.map(|Line { run, sample }| (run, sample)).collect();
        let mut journal = Self { path, file, done };
        if !text.is_empty() && !text.ends_with('\n') {
            journal.file.write_all(b"\n").context("the journal")?;
        }
        Ok(journal)
    }

    /// Runs that were there already.
    pub(super) fn len(&self) -> usize {
        self.done.len()
    }

    /// The sample of this run: what the journal has, or what `measure` gives, which is written down.
    pub(super) fn take(
        &mut self,
        run: Run,
        measure: impl FnOnce() -> Result<Sample>,
    ) -> Result<Sample> {
        if let Some(sample) = self.done.get(&run) {
            return Ok(sample.clone());
        }
        let sample = measure()?;
        let mut line = serde_json::to_string(&Line { run, sample: sample.clone() })?;
        line.push('\n');
        self.file.write_all(line.as_bytes()).with_context(|| self.path.display().to_string())?;
        Ok(sample)
    }

    /// The result is complete: there is nothing to resume.
    pub(super) fn close(self) -> Result<()> {
        std::fs::remove_file(&self.path).with_context(|| self.path.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(cycles: f64) -> Sample {
        serde_json::from_value(serde_json::json!({
            "ops": 10, "counter": "tsc", "cycles": cycles, "wall_s": 1.0, "user_s": 1.0,
            "sys_s": 0.0, "peak_rss_kib": 100, "events": null,
        }))
        .expect("a sample")
    }

    #[test]
    fn an_interrupted_run_goes_on_where_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let open =
            |plan: &str, fresh| Journal::open(folder.path(), &plan, &[], fresh).expect("one");
        let (first, second) = (Run::Counted { place: 1 }, Run::Counted { place: 2 });
        let mut journal = open("plan", false);
        journal.take(first, || Ok(sample(1.0))).expect("measured");
        journal.file.write_all(b"{\"run\":{\"Counted").expect("cut off");
        drop(journal);

        let mut journal = open("plan", false);
        assert_eq!(journal.len(), 1);
        let again = journal.take(first, || panic!("measured twice")).expect("known");
        assert!((again.cycles - 1.0).abs() < 1e-9);
        assert!(journal.take(second, || anyhow::bail!("a failure is not written down")).is_err());
        journal.take(second, || Ok(sample(2.0))).expect("measured");
        drop(journal);
        assert_eq!(open("plan", false).len(), 2);
        assert_eq!(open("another plan", false).len(), 0);
        open("plan", false).close().expect("removed");
        assert_eq!(open("plan", false).len(), 0);
        open("plan", false).take(first, || Ok(sample(1.0))).expect("measured");
        assert_eq!(open("plan", true).len(), 0);
    }
}
