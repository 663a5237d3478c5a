//! The function by which a program asks for a background thread that purges.

use super::stamp::Hakmem;
use crate::backend::{Managed, Of};

/// Asks for a background thread, which purges even while the program does nothing.
///
/// Without one, purges run only while the program allocates and frees. A process that falls silent then keeps unused
/// memory until it allocates again: up to 32 MiB, or half of the memory in use. With one, memory that has been idle for
/// a second goes back within another second.
///
/// The thread takes a few KiB. It wakes once a second while it has nothing to do, and eight times a second otherwise. A
/// program that counts its threads sees one more.
///
/// The thread is named `hakmem`, and handles no signal. It starts when a second thread allocates, or when a large block
/// (above 32 KiB) is freed. It starts again in the child of a fork.
///
/// Call this once, at any time; `libhakmem.so` calls it if `HAKMEM_BACKGROUND=1` is set. It returns false, and does
/// nothing, if the selected variant has no timed purges, as the founding report's variants.
///
/// ```
/// assert!(hakmem::background());
/// ```
pub fn background() -> bool {
    Of::<Hakmem>::background()
}
