//! The measurements so far, on disk. The sample of each run is a file, written as the run ends, so an interrupted
//! measurement goes on where it was.
//!
//! A journal is a folder. It belongs to one plan with one set of programs on one machine, which its name states. It is
//! removed when the result is complete.

use super::cells::Sample;
use super::json;
use anyhow::Result;
use fs_err as fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// A run of a cell, by the cell's place in the plan.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub(super) place: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// For speed, in this round.
    Timed(u32),
    /// A second run for speed in this round: the control.
    Repeated(u32),
    /// For events.
    Counted,
    /// For system calls.
    Traced,
}

pub(super) struct Journal(PathBuf);

impl Journal {
    /// Opens the journal of this plan, with the samples of an interrupted run; `fresh` throws those away.
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
        let own = folder.join(format!("journal-{:016x}", hasher.finish()));
        if fresh && own.exists() {
            fs::remove_dir_all(&own)?;
        }
        fs::create_dir_all(&own)?;
        Ok(Self(own))
    }

    /// Number of the runs that were written down.
    pub(super) fn len(&self) -> Result<usize> {
        Ok(fs::read_dir(&self.0)?.count())
    }

    /// A run's sample; nothing if it was not measured, or the writing was cut off.
    pub(super) fn get(&self, run: Run) -> Option<Sample> {
        serde_json::from_slice(&fs::read(self.file(run)).ok()?).ok()
    }

    /// Measures and writes down the sample, unless the run has one already.
    pub(super) fn take(&self, run: Run, measure: impl FnOnce() -> Result<Sample>) -> Result<()> {
        match self.get(run) {
            Some(_) => Ok(()),
            None => json::write(&self.file(run), &measure()?),
        }
    }

    /// Removes the journal: the result is complete.
    pub(super) fn close(self) -> Result<()> {
        Ok(fs::remove_dir_all(self.0)?)
    }

    fn file(&self, Run { place, kind }: Run) -> PathBuf {
        let kind = match kind {
            Kind::Timed(round) => format!("timed-{round}"),
            Kind::Repeated(round) => format!("repeated-{round}"),
            Kind::Counted => "counted".to_owned(),
            Kind::Traced => "traced".to_owned(),
        };
        self.0.join(format!("{place}-{kind}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_run_goes_on_where_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = |plan, fresh| Journal::open(folder.path(), &plan, &[], fresh).expect("one");
        let len = |plan, fresh| open(plan, fresh).len().expect("a number");
        let sample = || -> Result<Sample> {
            Ok(serde_json::from_str(
                r#"{"ops": 10, "counter": "tsc", "cycles": 1.0, "wall_s": 1.0, "user_s": 1.0,
                    "sys_s": 0.0, "peak_rss_kib": 100}"#,
            )?)
        };
        let [first, second] = [1, 2].map(|place| Run { place, kind: Kind::Timed(0) });
        let journal = open("plan", false);
        journal.take(first, sample).expect("measured");
        fs::write(journal.file(second), "{\"ops\": 1").expect("cut off");

        let journal = open("plan", false);
        journal.take(first, || panic!("measured twice")).expect("known");
        assert!(journal.get(second).is_none());
        assert!(journal.take(second, || anyhow::bail!("a failure is not written down")).is_err());
        journal.take(second, sample).expect("measured");
        assert_eq!(journal.get(second).map(|sample| sample.ops), Some(10));
        assert_eq!((len("plan", false), len("another plan", false)), (2, 0));
        assert_eq!(len("plan", true), 0);
        journal.close().expect("removed");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "the other's");
    }
}
