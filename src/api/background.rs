//! The program's wish for a thread that gives memory back.

use super::backend::{Backend, Of};
use super::stamp::Hakmem;

/// Asks for a thread that gives memory back to the kernel while the program does nothing.
///
/// Without one, memory goes back while the program allocates and frees, so a process that falls silent keeps up to
/// 32 MiB, or half of what it has in use, until it allocates again. With one, what has been idle for a second is gone a second
/// later. It costs a thread of a few KiB, which wakes once a second where there is nothing to do, and eight times where
/// there is; and programs that count their threads see one more.
///
/// The thread is named `hakmem`, starts when a second thread allocates or a large block (above 32 KiB) is freed, handles no
/// signal, and starts again in the child of a fork. Call this once, at any time; in `libhakmem.so`, `HAKMEM_BACKGROUND=1`
/// does. False, and nothing done, where the selected variant gives nothing back by itself, as the founding report's.
///
/// ```
/// assert!(hakmem::background());
/// ```
pub fn background() -> bool {
    <Of<Hakmem> as Backend<Hakmem>>::background()
}
