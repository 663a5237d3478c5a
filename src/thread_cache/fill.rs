//! Filling: freed blocks are filled with a byte, so that a program can find its own use of them (`M_PERTURB`).
//!
//! A thread whose blocks are filled has no cache: each of its operations takes a slow path, which fills the block. So
//! threads that do not fill pay nothing.
//!
//! Never: on a hot path.

use super::Cached;
use super::lifecycle::{close, prepare_for_forks};
use crate::base::ClassIdx;
use crate::free_block::FreeBlock;
use core::ptr::NonNull;

/// Fills with a byte the blocks that this thread, and every thread that has no cache yet, frees from now on; 0 stops
/// it.
#[allow(dead_code, reason = "a build without a face has no mallopt")]
pub(crate) fn fill_with<V: Cached>(byte: u8) {
    V::page_heap().tuning.fill_with(byte);
    prepare_for_forks::<V>();
    let cache = V::cache();
    if byte != 0 && cache.is_open() {
        V::hook().forget();
        close::<V>(cache);
    }
}

/// True if freed blocks are filled, so that new threads get no cache.
pub(super) fn fills<V: Cached>() -> bool {
    V::BY_ADDRESS && V::page_heap().tuning.filler() != 0
}

/// Fills a freed block of a class, if freed blocks are filled, and returns it.
pub(super) fn wiped<V: Cached>(block: FreeBlock, class: ClassIdx) -> FreeBlock {
    let start = block.into_start();
    // SAFETY: a block of the class has that many bytes, and the caller was its only owner (FB1).
    unsafe { wipe::<V>(start, V::CLASSES.block_bytes(class)) };
    // SAFETY: the block that `into_start` gave up above, so it has no other owner (FB1, FB2).
    unsafe { FreeBlock::new(start) }
}

/// Fills a freed block, if freed blocks are filled.
///
/// # Safety
/// The block has `bytes` bytes, and nothing else refers to it.
pub(crate) unsafe fn wipe<V: Cached>(block: NonNull<u8>, bytes: usize) {
    if fills::<V>() {
        // SAFETY: the caller's condition.
        unsafe { block.write_bytes(V::page_heap().tuning.filler(), bytes) };
    }
}
