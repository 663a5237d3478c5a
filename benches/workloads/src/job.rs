//! The interface of a prepared workload.

use crate::WrongAnswer;

/// A prepared workload.
pub(crate) trait Job {
    /// The timed part.
    fn run(&mut self);

    /// Frees the remaining blocks; fails unless every answer was right.
    fn finish(self: Box<Self>) -> Result<(), WrongAnswer>;
}

/// Ok if nothing was wrong.
pub(crate) fn all_right(wrong: u64) -> Result<(), WrongAnswer> {
    match wrong {
        0 => Ok(()),
        wrong => {
            Err(WrongAnswer(format!("{wrong} answers were wrong: blocks lost or overwritten")))
        }
    }
}
