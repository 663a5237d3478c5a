//! Blocks of 0 bytes: addresses without access, 16 bytes apart, and a bit for each that tells if it is in use.
//!
//! The C library's rules let a program ask for 0 bytes. What it gets must be an address of its own, which it may free but
//! not use. An access ends the program with SIGSEGV. The idea is phkmalloc's and OpenBSD's.
//!
//! EM1  A bit is set exactly while its address is in use.
//!
//! Never: gives an address access.

use super::Shared;
use crate::base::SLICE_BYTES;
use crate::page_map::Kind;
use crate::sys::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use crate::sys::fatal::fatal;
use crate::sys::pages;
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
    first: AtomicPtr<u8>,
    /// The word that the last search ended with. [shared]
    hint: AtomicUsize,
    /// How many are in use, or are about to be. [shared]
    count: AtomicUsize,
    /// A bit for each address (EM1). [shared]
    used: [AtomicU64; WORDS],
}

impl EmptyBlocks {
    pub(crate) const fn new() -> Self {
        Self {
            first: AtomicPtr::new(ptr::null_mut()),
            hint: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
            used: [const { AtomicU64::new(0) }; WORDS],
        }
    }

    /// The first address. The range is mapped and noted if it is not yet. `None` when memory is exhausted.
    fn range<V: Shared>(&self) -> Option<NonNull<u8>> {
        // ORDERING: acquire, paired with the release below: the page map has the range.
        if let Some(first) = NonNull::new(self.first.load(Ordering::Acquire)) {
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
        let placed = covered
            && self
                .first
                // ORDERING: release, paired with the acquire above; relaxed on failure, since it is read again below.
                .compare_exchange(
                    ptr::null_mut(),
                    fresh.as_ptr(),
                    Ordering::Release,
                    Ordering::Relaxed,
                )
                .is_ok();
        if placed {
            return Some(fresh);
        }
        if covered {
            note(Kind::Foreign);
        }
        // SAFETY: mapped above, and no other code knows of it.
        unsafe { pages::unmap(fresh, BYTES) };
        // ORDERING: acquire, paired with the release above.
        NonNull::new(self.first.load(Ordering::Acquire))
    }

    /// Takes an address. `None` if all are in use, or memory is exhausted.
    fn take<V: Shared>(&self) -> Option<NonNull<u8>> {
        let first = self.range::<V>()?;
        // ORDERING: relaxed; a number that publishes nothing. It is too high for a moment where it is taken back below.
        if self.count.fetch_add(1, Ordering::Relaxed) >= 64 * WORDS {
            // ORDERING: relaxed; a number that publishes nothing.
            self.count.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        // ORDERING: relaxed; it is where a search begins.
        let hint = self.hint.load(Ordering::Relaxed);
        for at in (0..WORDS).map(|word| (hint + word) % WORDS) {
            let word = self.used.get(at)?;
            // ORDERING: relaxed; the exchange below decides.
            let mut bits = word.load(Ordering::Relaxed);
            while bits != u64::MAX {
                let bit = bits.trailing_ones() as usize;
                // ORDERING: relaxed; there is no memory behind the address that a thread could read.
                match word.compare_exchange(
                    bits,
                    bits | 1 << bit,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => {
                        // ORDERING: relaxed, as for the load.
                        self.hint.store(at, Ordering::Relaxed);
                        return NonNull::new(first.as_ptr().wrapping_add((64 * at + bit) * STEP));
                    }
                    Err(now) => bits = now,
                }
            }
        }
        // ORDERING: relaxed; a number that publishes nothing.
        self.count.fetch_sub(1, Ordering::Relaxed);
        None
    }

    /// Changes the bit of an address to unused. False if it was not in use.
    fn give(&self, address: usize) -> bool {
        // ORDERING: relaxed; the caller got the address after the range was placed.
        let offset = address.wrapping_sub(self.first.load(Ordering::Relaxed).addr());
        let (number, bit) = (offset / STEP, 1 << (offset / STEP % 64));
        let Some(word) = self.used.get(number / 64) else { return false };
        // ORDERING: relaxed; the bit publishes nothing (EM1).
        let was = offset.is_multiple_of(STEP) && word.fetch_and(!bit, Ordering::Relaxed) & bit != 0;
        if was {
            // ORDERING: relaxed; a number that publishes nothing.
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        was
    }

    /// True if an address is in use.
    fn has(&self, address: usize) -> bool {
        // ORDERING: relaxed, as in `give`.
        let offset = address.wrapping_sub(self.first.load(Ordering::Relaxed).addr());
        let Some(word) = self.used.get(offset / STEP / 64) else { return false };
        // ORDERING: relaxed; a caller that owns the address changed the bit itself, or got it from the thread that did.
        offset.is_multiple_of(STEP) && word.load(Ordering::Relaxed) >> (offset / STEP % 64) & 1 == 1
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
