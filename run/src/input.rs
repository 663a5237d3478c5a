//! Standard input for two runs.

use crate::refusal::Refusal;
use anyhow::Context;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;

pub(crate) enum Input {
    /// A terminal, `/dev/null`: the second run reads on, as the program would.
    Stays,
    /// A file, read from this offset on; the program's own descriptor moves with this one.
    From(File, u64),
}

impl Input {
    /// # Errors
    /// If it can be read only once.
    pub(crate) fn look() -> Result<Self, Refusal> {
        let stdin = std::io::stdin().as_fd().try_clone_to_owned();
        let mut file = File::from(stdin.context("standard input")?);
        let kind = file.metadata().context("standard input")?.file_type();
        if kind.is_fifo() || kind.is_socket() {
            return Err(Refusal::usage(
                "--compare reads standard input twice, and a pipe can be read once; give it a file, or /dev/null",
            ));
        }
        if !kind.is_file() {
            return Ok(Self::Stays);
        }
        let offset = file.stream_position().context("standard input")?;
        Ok(Self::From(file, offset))
    }

    /// Moves back to the start.
    pub(crate) fn rewind(&mut self) -> anyhow::Result<()> {
        if let Self::From(file, offset) = self {
            file.seek(SeekFrom::Start(*offset)).context("standard input")?;
        }
        Ok(())
    }
}
