//! Filling: blocks that are freed get a byte, for programs that look for their own use of them.
//!
//! A thread whose blocks are filled has no lists: each operation goes the slow way, where the block is filled. So nobody
//! else pays for it.
//!
//! Never: on a hot path.

use super::exit::{close, prepare_for_forks};
use super::{Cached, State};
use crate::base::ClassIdx;
use crate::list::FreeBlock;
use core::ptr::NonNull;

/// Has this thread's blocks, and those of threads that come to allocate, be filled with a byte; 0 for none.
#[allow(dead_code, reason = "a build without a face has no mallopt")]
pub(crate) fn fill_with<V: Cached>(byte: u8) {
    V::page_heap().tuning.fill_with(byte);
    prepare_for_forks::<V>();
    let cache = V::cache();
    if byte != 0 && cache.state.get() == State::Open {
        V::hook().forget();
        close::<V>(cache);
    }
}

/// Whether threads that come to allocate are to have no lists.
pub(super) fn fills<V: Cached>() -> bool {
    V::BY_ADDRESS && V::page_heap().tuning.filler() != 0
}

/// A block that is freed, filled if it is to be.
pub(super) fn wiped<V: Cached>(block: FreeBlock, class: ClassIdx) -> FreeBlock {
    let start = block.into_start();
    // SAFETY: a block of the class, which was in the caller's hands alone (FB1).
    unsafe { wipe::<V>(start, V::CLASSES.block_bytes(class)) };
    // SAFETY: the block that was taken out of the caller's hands above.
    unsafe { FreeBlock::new(start) }
}

/// Fills a block that is freed, if it is to be.
///
/// # Safety
/// It has that many bytes, and nobody refers to it.
pub(super) unsafe fn wipe<V: Cached>(block: NonNull<u8>, bytes: usize) {
    if fills::<V>() {
        // SAFETY: the caller's condition.
        unsafe { block.write_bytes(V::page_heap().tuning.filler(), bytes) };
    }
}
