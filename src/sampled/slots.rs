//! The slots of a pool: where they are, and what each holds.
//!
//! ```text
//! slice      0        1        2                 119      120 … 128      …          192
//! ┌─┬──────┬─┬──────┬─┬──────┬─         ─┬─┬──────┬─┬──────────────┬─       ─┬─┐
//! │x│ slot │x│ slot │x│ slot │x    …      x│ slot │x│   wide slot  │x   …    │x│   x: a page that is never open
//! └─┴──────┴─┴──────┴─┴──────┴─         ─┴─┴──────┴─┴──────────────┴─       ─┴─┘
//! ```
//!
//! A slot's first page is never open. So a closed page follows each slot, too: the first one of the next slot, and a
//! page behind the last. Of a slot only the pages of its block are open, while the block is in use.
//!
//! | slot | holds |
//! |---|---|
//! | `Unused` | nothing yet |
//! | `Live` | a block in use, in open pages |
//! | `Freed` | nothing; it knows the block that was there |
//! | `Lost` | pages that the kernel did not close; it is not used again |
//!
//! Never: touches a block.

use super::trace::Trace;
use crate::base::{PAGE_BYTES, SLICE_BYTES, bytes_to_multiple};
use core::cell::Cell;

/// Slots of one slice.
const SMALL: usize = 120;
/// Slots of [`WIDE_SLICES`].
const WIDE: usize = 8;
/// Slices of a wide slot: enough for the largest span.
const WIDE_SLICES: usize = 9;
/// All slots.
pub(super) const SLOTS: usize = SMALL + WIDE;
/// Slices of all slots.
pub(super) const SLICES: usize = SMALL + WIDE * WIDE_SLICES;
/// Bytes of the pool's addresses: the slots, and a slice whose first page closes the last slot.
pub(super) const BYTES: usize = (SLICES + 1) * SLICE_BYTES;
/// The pool's alignment: above its size, so that it lies in one part of the page map.
pub(super) const ALIGN: usize = BYTES.next_power_of_two();

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Holds {
    Unused = 0,
    Live,
    Freed,
    Lost,
}

/// A thread's deed, and the thread's stack then.
#[derive(Clone, Copy)]
pub(super) struct Deed {
    pub(super) thread: u32,
    pub(super) trace: Trace,
}

/// What is known of a slot. All bytes zero is an unused one.
pub(super) struct Slot {
    pub(super) holds: Cell<Holds>,
    /// The block's address.
    pub(super) start: Cell<usize>,
    /// Bytes of the block, as asked for.
    pub(super) size: Cell<usize>,
    /// The block's alignment, as asked for.
    pub(super) align: Cell<usize>,
    /// True if the pages may hold something other than zeros.
    pub(super) is_dirty: Cell<bool>,
    pub(super) allocated: Cell<Deed>,
    pub(super) freed: Cell<Deed>,
}

impl Slot {
    /// The open pages of a live block, or those that were open: the first byte, and the first behind them.
    pub(super) fn pages(&self) -> (usize, usize) {
        pages(self.start.get(), self.size.get())
    }

    /// The first byte behind the block.
    pub(super) fn end(&self) -> usize {
        self.start.get() + self.size.get()
    }

    /// Bytes from an address to the block; 0 inside it, and for a neighbour.
    pub(super) fn distance(&self, address: usize) -> usize {
        let last = self.end() - 1;
        match address {
            _ if address < self.start.get() => self.start.get() - address - 1,
            _ if address > last => address - last - 1,
            _ => 0,
        }
    }
}

/// The pages of so many bytes, of which there is at least one.
pub(super) const fn pages(start: usize, size: usize) -> (usize, usize) {
    let end = start + size;
    (start & !(PAGE_BYTES - 1), end + bytes_to_multiple(end, PAGE_BYTES))
}

/// The numbers of the slots whose bytes are enough for a block, if any are.
pub(super) fn that_fit(size: usize, align: usize) -> core::ops::Range<usize> {
    match size {
        _ if has_room(1, size, align) => 0..SMALL,
        _ if has_room(WIDE_SLICES, size, align) => SMALL..SLOTS,
        _ => 0..0,
    }
}

/// True if the block fits so many slices behind their first page.
const fn has_room(slices: usize, size: usize, align: usize) -> bool {
    if align > SLICE_BYTES || size > slices * SLICE_BYTES - PAGE_BYTES {
        return false;
    }
    let start = (slices * SLICE_BYTES - size) & !(align - 1);
    start >= PAGE_BYTES
}

/// A slot's first byte, which is never open, and the first byte behind the slot, from the pool's start.
const fn bounds(slot: usize) -> (usize, usize) {
    let (first, slices) =
        if slot < SMALL { (slot, 1) } else { (SMALL + (slot - SMALL) * WIDE_SLICES, WIDE_SLICES) };
    (first * SLICE_BYTES, (first + slices) * SLICE_BYTES)
}

/// The slot that an offset from the pool's start lies in; [`SLOTS`] for the slice behind all slots.
pub(super) const fn at(offset: usize) -> usize {
    let slice = offset / SLICE_BYTES;
    if slice < SMALL { slice } else { SMALL + (slice - SMALL) / WIDE_SLICES }
}

/// The place of a block in a slot that has room for it, from the pool's start: at the slot's end, or else at its
/// beginning.
pub(super) const fn place(slot: usize, size: usize, align: usize, at_end: bool) -> usize {
    let (start, end) = bounds(slot);
    let last = (end - size) & !(align - 1);
    let first = start + PAGE_BYTES;
    let first = first + bytes_to_multiple(first, align);
    if at_end || first > last { last } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_aligned_and_inside_its_slot() {
        for size in [1, 8, 100, 4096, 4097, 32 << 10, 60 << 10, 61 << 10, 512 << 10, 572 << 10] {
            for align_lg in 0..=16 {
                let align = 1 << align_lg;
                for slot in that_fit(size, align) {
                    let (start, end) = bounds(slot);
                    for at_end in [false, true] {
                        let place = place(slot, size, align, at_end);
                        assert!(place.is_multiple_of(align));
                        assert!(place >= start + PAGE_BYTES && place + size <= end);
                        assert_eq!((at(place), at(place + size - 1)), (slot, slot));
                        assert!(!at_end || end - (place + size) < align);
                    }
                }
            }
        }
        assert_eq!(that_fit(60 << 10, 16), 0..SMALL);
        assert_eq!(that_fit(61 << 10, 16), SMALL..SLOTS);
        assert_eq!((that_fit(600 << 10, 16), that_fit(8, 1 << 17)), (0..0, 0..0));
        assert_eq!((at(BYTES - 1), bounds(SLOTS - 1).1), (SLOTS, BYTES - SLICE_BYTES));
    }
}
