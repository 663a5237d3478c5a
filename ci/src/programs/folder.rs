//! The one temporary folder, in which everything happens.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Removed, with all that is in it, when this goes.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, next) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(format!("hakmem-programs-{process}-{next}"));
        std::fs::create_dir(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The folder of a run, with these files and nothing else: its path is the same for every run, since
    /// some programs write it into what they make.
    pub(super) fn fresh_run(&self, files: &[(&str, &str)]) -> Result<PathBuf> {
        let path = self.0.join("run");
        let fill = |path: &Path| {
            if path.exists() {
                std::fs::remove_dir_all(path)?;
            }
            std::fs::create_dir(path)?;
            files.iter().try_for_each(|(name, text)| std::fs::write(path.join(name), text))
        };
        fill(&path).with_context(|| path.display().to_string())?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}
