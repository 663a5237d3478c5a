//! Errors, and the exit code of each.

use anyhow::anyhow;

/// A failure of our own; the code of `env`, `nohup` and `timeout`.
const OURS: u8 = 125;
/// A wrong command line.
const USAGE: u8 = 2;
/// The program is there, and cannot be run.
const NOT_RUN: u8 = 126;
/// The program is not there.
const NOT_FOUND: u8 = 127;

/// The reason why there is no exit status to pass on, and the exit code in its place.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: u8,
    pub(crate) why: anyhow::Error,
}

impl Refusal {
    /// The request cannot be met.
    pub(crate) fn usage(why: &'static str) -> Self {
        Self { code: USAGE, why: anyhow!(why) }
    }

    /// The program did not start.
    pub(crate) fn no_start(program: &std::ffi::OsStr, error: &std::io::Error) -> Self {
        let found = error.kind() != std::io::ErrorKind::NotFound;
        let code = if found { NOT_RUN } else { NOT_FOUND };
        Self { code, why: anyhow!("{} does not start: {error}", program.display()) }
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(why: anyhow::Error) -> Self {
        Self { code: OURS, why }
    }
}
