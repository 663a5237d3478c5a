//! What was measured so far, on disk: each run is appended as it ends, so that an interrupted
//! measurement goes on where it was.
//!
//! A journal belongs to one plan with one set of programs on one machine; its name says which. It is
//! removed when the result is complete.

use super::cells::Sample;
use anyhow::Result;
use fs_err::{self as fs, File, OpenOptions};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Which run of which cell, by the cell's place in the plan.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub(super) struct Run {
    pub(super) place: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub(super) enum Kind {
    /// For speed, in this round.
    Timed(u32),
    /// For speed once more in this round: the control.
    Repeated(u32),
    /// For events.
    Counted,
}

pub(super) struct Journal {
    file: File,
    samples: HashMap<Run, Sample>,
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
            fs::read(program)?.hash(&mut hasher);
        }
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("journal-{:016x}.jsonl", hasher.finish()));
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        if fresh {
            file.set_len(0)?;
        }
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // The last line may have been cut off: what is no line of ours was not measured.
        let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        Ok(Self { file, samples: lines.collect() })
    }

    /// Runs that have a sample.
    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    pub(super) fn get(&self, run: Run) -> Option<&Sample> {
        self.samples.get(&run)
    }

    /// Writes down what `measure` gives, unless the run has a sample already.
    pub(super) fn take(
        &mut self,
        run: Run,
        measure: impl FnOnce() -> Result<Sample>,
    ) -> Result<()> {
        if !self.samples.contains_key(&run) {
            let sample = measure()?;
            // The line break comes first: it also ends a line that was cut off.
            write!(self.file, "\n{}", serde_json::to_string(&(run, &sample))?)?;
            self.samples.insert(run, sample);
        }
        Ok(())
    }

    /// The result is complete: there is nothing to resume.
    pub(super) fn close(self) -> Result<()> {
        Ok(fs::remove_file(self.file.path())?)
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
        let [first, second] = [1, 2].map(|place| Run { place, kind: Kind::Counted });
        let mut journal = open("plan", false);
        journal.take(first, || Ok(sample(1.0))).expect("measured");
        journal.file.write_all(b"\n[{\"place\":").expect("cut off");

        let mut journal = open("plan", false);
        assert_eq!(journal.len(), 1);
        journal.take(first, || panic!("measured twice")).expect("known");
        assert!(journal.get(first).is_some_and(|sample| (sample.cycles - 1.0).abs() < 1e-9));
        assert!(journal.take(second, || anyhow::bail!("a failure is not written down")).is_err());
        journal.take(second, || Ok(sample(2.0))).expect("measured");
        assert_eq!(open("plan", false).len(), 2);
        assert_eq!(open("another plan", false).len(), 0);
        assert_eq!(open("plan", true).len(), 0);
        journal.close().expect("removed");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "the other's");
    }
}
