//! Blocks of 0 bytes: addresses without access, 16 bytes apart, each with a number that is taken while it is in use.
//!
//! The C library's rules let a program ask for 0 bytes. What it gets must be an address of its own, which it may free but
//! not use. An access ends the program with SIGSEGV. The idea is phkmalloc's and OpenBSD's.
//!
//! Never: gives an address access.

use super::Shared;
use super::numbers::Numbers;
use crate::base::SLICE_BYTES;
use crate::page_map::Kind;
use crate::sys::atomic::{AtomicPtr, AtomicU64, AtomicUsize};
use crate::sys::fatal::fatal;
use crate::sys::pages;
use crate::sys::published::Published;
use core::ptr::{self, NonNull};

/// Bytes between two addresses.
const STEP: usize = 16;
/// Slices without access.
const SLICES: usize = 16;
const BYTES: usize = SLICES * SLICE_BYTES;
const WORDS: usize = BYTES / STEP / 64;

/// The blocks of 0 bytes of a variant.
pub(crate) struct EmptyBlocks {
    /// The first address; null before there is any. [shared], [const] once set
    first: Published<u8>,
    /// The addresses in use, by their number.
    in_use: Numbers<WORDS>,
}

impl EmptyBlocks {
    pub(crate) const fn new() -> Self {
        Self {
            first: Published::over(AtomicPtr::new(ptr::null_mut())),
            in_use: Numbers::over(
                AtomicUsize::new(0),
                AtomicUsize::new(0),
                [const { AtomicU64::new(0) }; WORDS],
            ),
        }
    }

    /// The first address. The range is mapped and noted if it is not yet. `None` when memory is exhausted.
    fn range<V: Shared>(&self) -> Option<NonNull<u8>> {
        // The page map has the range of an address that is found here (F2).
        if let Some(first) = NonNull::new(self.first.get()) {
            return Some(first);
        }
        let fresh = pages::map_aligned_shut(BYTES, SLICE_BYTES)?;
        let (address, map) = (fresh.addr().get(), V::page_map());
        let note = |kind| {
            (0..SLICES).for_each(|slice| map.note(address + slice * SLICE_BYTES, kind));
        };
        // One range may lie in two parts of the page map.
        let covered = map.cover(address) && map.cover(address + BYTES - 1);
        if covered {
            note(Kind::Empty);
        }
        if covered && self.first.put(fresh.as_ptr()) {
            return Some(fresh);
        }
        if covered {
            note(Kind::Foreign);
        }
        // SAFETY: mapped above, and no other code knows of it.
        unsafe { pages::unmap(fresh, BYTES) };
        NonNull::new(self.first.get())
    }

    /// Takes an address. `None` if all are in use, or memory is exhausted.
    fn take<V: Shared>(&self) -> Option<NonNull<u8>> {
        let first = self.range::<V>()?;
        let number = self.in_use.take()?;
        NonNull::new(first.as_ptr().wrapping_add(number * STEP))
    }

    /// The number of an address, if it has one. The caller got the address after the range was placed.
    fn number(&self, address: usize) -> Option<usize> {
        let offset = address.wrapping_sub(self.first.peek().addr());
        offset.is_multiple_of(STEP).then_some(offset / STEP)
    }

    /// Gives an address back. False if it was not in use.
    fn give(&self, address: usize) -> bool {
        self.number(address).is_some_and(|number| self.in_use.give(number))
    }

    /// True if an address is in use.
    fn has(&self, address: usize) -> bool {
        self.number(address).is_some_and(|number| self.in_use.has(number))
    }
}

/// An address for 0 bytes. `None` if all are in use, or memory is exhausted.
pub(crate) fn alloc<V: Shared>() -> Option<NonNull<u8>> {
    V::empty_blocks().take::<V>()
}

/// Frees an address for 0 bytes. One that is not in use ends the process.
pub(crate) fn free<V: Shared>(address: usize) {
    if !V::empty_blocks().give(address) {
        fatal("double free:", address);
    }
}

/// Ends the process if an address for 0 bytes is not in use.
pub(crate) fn check<V: Shared>(address: usize) {
    if !V::empty_blocks().has(address) {
        fatal("use of a freed block:", address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Apex;

    /// Checks EM1.
    #[test]
    fn an_address_is_in_use_until_it_is_given_back() {
        let blocks = EmptyBlocks::new();
        let take = || blocks.take::<Apex>().map(|block| block.addr().get());
        let all: Vec<usize> = std::iter::from_fn(take).collect();
        assert_eq!(all.len(), 64 * WORDS);
        assert!(all.windows(2).all(|two| two[0] + STEP == two[1]));
        assert!(Apex::page_map().has(all[0], Kind::Empty));
        let some = all[1000];
        assert!(blocks.has(some) && !blocks.has(some + 1) && !blocks.has(all[0] - STEP));
        assert!(blocks.give(some) && !blocks.has(some) && !blocks.give(some));
        assert!(!blocks.give(some + 8) && take() == Some(some) && take().is_none());
    }
}
