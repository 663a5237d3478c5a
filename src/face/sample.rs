//! The function by which a program switches samples on.

use super::stamp::Hakmem;
use crate::backend::{Managed, Of};

/// Samples one block in `mean`, on average, from now on; 0 samples none.
///
/// A sampled block has pages of its own between pages that no access reaches. They stay closed for as long as possible
/// after the block is freed. An access past the block's end, or after it was freed, then ends the process by SIGSEGV. A
/// double free, or the free of an address inside the block, ends it by SIGABRT. In both cases standard error gets a
/// report: what it was, the block, the threads that allocated and freed it, and their stack traces. `docs/sampling.md`
/// has an example, the limits, and the price.
///
/// Counted are the blocks that threads fetch from the memory that they share, not those that a thread frees and uses
/// again. With 5000 the price is far below 1 % of a program's time. With 1 every such block is sampled, which is for
/// tests. Each block then lies at the end of its pages, and not at one of both ends by chance.
///
/// The first call with another number than 0 reserves 12 MiB of addresses, and installs a handler of SIGSEGV. The
/// handler passes faults elsewhere on to the handler that was there before. A handler that the program installs later gets
/// all faults, and there is no report then. Threads that are at work learn of the change after some refills.
///
/// It returns false, and does nothing, if the selected variant cannot sample, as the founding report's variants, or if
/// memory is exhausted.
///
/// `libhakmem.so` calls it if `HAKMEM_SAMPLE` is set to a number.
///
/// ```
/// assert!(hakmem::sample(5000));
/// ```
pub fn sample(mean: u32) -> bool {
    Of::<Hakmem>::sample(mean)
}
