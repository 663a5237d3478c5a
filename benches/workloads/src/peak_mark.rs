//! The kernel's mark of the most memory that this process had resident at once.

use crate::WrongAnswer;
use std::fs;

/// Lowers the mark to the memory that is resident now, so that the reported peak is what the peak left behind.
pub(crate) fn lower() -> Result<(), WrongAnswer> {
    // See proc_pid_clear_refs(5): 5 sets the mark to what is resident now.
    fs::write("/proc/self/clear_refs", "5")
        .map_err(|error| WrongAnswer(format!("the kernel keeps the mark of the peak: {error}")))
}
