//! What every workload is, once it is prepared.

use crate::WrongAnswer;

/// A prepared workload.
pub(crate) trait Job {
    /// The part that is timed.
    fn run(&mut self);

    /// Frees what is left, and says whether every answer was right.
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
