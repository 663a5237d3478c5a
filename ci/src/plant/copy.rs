//! A copy of the tracked files, in which bugs are planted.

use super::table::Bug;
use crate::workspace::{cargo, output_of, root, target};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::Command;

pub(super) struct Copy {
    folder: PathBuf,
}

impl Copy {
    /// Brings the copy up to date. A file that did not change keeps its time, so that cargo builds little anew.
    pub(super) fn make() -> Result<Self> {
        let copy = Self { folder: target().join("planted/tree") };
        let tracked = output_of("git", &["ls-files"]).context("git does not list the files")?;
        for file in tracked.lines() {
            let (from, to) = (root().join(file), copy.folder.join(file));
            let Ok(bytes) = fs_err::read(&from) else { continue };
            if fs_err::read(&to).ok().as_ref() != Some(&bytes) {
                fs_err::create_dir_all(to.parent().context("a file at the root")?)?;
                fs_err::write(&to, bytes)?;
            }
        }
        Ok(copy)
    }

    /// A cargo that works in the copy.
    pub(super) fn cargo(&self) -> Command {
        let mut command = cargo();
        command.current_dir(&self.folder).env("CARGO_TARGET_DIR", self.target());
        // A model that fails may panic while it prints a backtrace, and would then wait for itself.
        command.env("RUST_BACKTRACE", "0");
        command
    }

    pub(super) fn target(&self) -> PathBuf {
        target().join("planted/target")
    }

    /// Plants a bug; returns the text of its file before.
    pub(super) fn plant(&self, bug: &Bug) -> Result<String> {
        let file = self.folder.join(&bug.file);
        let text = fs_err::read_to_string(&file)?;
        fs_err::write(&file, bug.plant(&text)?)?;
        Ok(text)
    }

    pub(super) fn restore(&self, bug: &Bug, text: &str) -> Result<()> {
        Ok(fs_err::write(self.folder.join(&bug.file), text)?)
    }
}
