//! Results in files, as JSON.

use anyhow::{Context, Result};
use fs_err::{self as fs, OpenOptions};
use serde::{Serialize, de::DeserializeOwned};
use std::path::{Path, PathBuf};

/// The option `--json` of every command that has a result.
#[derive(clap::Args, Clone, Default)]
pub(crate) struct Json {
    /// Also write the results to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Json {
    /// Fails if the file cannot be written: before the measuring, which takes minutes. The file keeps its content until
    /// there is a new result.
    pub(crate) fn check(&self) -> Result<()> {
        let Some(file) = &self.json else { return Ok(()) };
        OpenOptions::new().create(true).append(true).open(file).context("--json")?;
        Ok(())
    }

    pub(crate) fn write(&self, result: &impl Serialize) -> Result<()> {
        self.json.as_ref().map_or(Ok(()), |file| write(file, result).context("--json"))
    }
}

pub(crate) fn write(file: &Path, result: &impl Serialize) -> Result<()> {
    Ok(fs::write(file, serde_json::to_string_pretty(result)?)?)
}

/// Reads a result that one of our commands, named in full, has written.
pub(crate) fn read<T: DeserializeOwned>(file: &Path, command: &str) -> Result<T> {
    serde_json::from_str(&fs::read_to_string(file)?)
        .with_context(|| format!("{} is no result of `{command}`", file.display()))
}
