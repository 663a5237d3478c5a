//! The functions by which a program limits its memory.

use super::stamp::Hakmem;
use crate::backend::{LimitHandler, Managed, Of};

/// Limits the memory of [`Hakmem`] to so many bytes; 0, the default, is no limit.
///
/// When an allocation would pass the limit, the allocator first gives its unused memory back, and tries again. Then it
/// calls the program's handler, if there is one ([`set_limit_handler`]). Then the allocation returns null.
///
/// The limit is on memory from the kernel that blocks have or could have at once:
///
/// | counts | does not count |
/// |---|---|
/// | 64 KiB pieces that hold blocks, whole, and freed ones until they are purged | purged pieces, which are only addresses |
/// | blocks above 512 KiB, whole, and freed ones until they are purged | the allocator's own tables: some 100 KiB, and a few KiB a thread |
/// | a header of 64 KiB for each 2 MiB of such pieces | stacks, code, and what other allocators have |
///
/// [`Observe::counted`](crate::Observe::counted) returns the present count. Threads that allocate at once do not pass the
/// limit together. A limit below the present count is allowed: the memory does not grow until it has fallen below.
///
/// It costs nothing while a thread's own lists serve it. Returns false, and does nothing, if the selected variant has no
/// limit, as the founding report's variants and the system's malloc.
///
/// ```
/// assert!(hakmem::set_limit(1 << 30));
/// let mut vec: Vec<u8> = Vec::new();
/// # use hakmem::Hakmem;
/// # #[global_allocator]
/// # static A: Hakmem = Hakmem;
/// assert!(vec.try_reserve(2 << 30).is_err());
/// ```
pub fn set_limit(bytes: usize) -> bool {
    Of::<Hakmem>::set_limit(bytes)
}

/// Sets a function to be called when an allocation of [`Hakmem`] finds no memory: it would pass the limit, or the kernel
/// refuses. `None` sets none.
///
/// The function gets the bytes of the request. It may free memory, by any thread, and return true: the allocation is
/// then tried again, up to 64 times. Once it returns false, the allocation returns null.
///
/// The allocator holds no lock meanwhile, so the function may allocate. If there is no memory for that either, it gets
/// null, and is not called again for it. Several threads may call it at once.
///
/// Returns false, and does nothing, where [`set_limit`] does.
pub fn set_limit_handler(handler: Option<LimitHandler>) -> bool {
    Of::<Hakmem>::set_limit_handler(handler)
}
