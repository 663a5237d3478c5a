//! Slots that hold a block each, or none. Every block carries a word that is checked when it is
//! freed, so an allocator that hands a block out twice, or scribbles into one, is found out.

use crate::WrongAnswer;
use std::alloc::{GlobalAlloc, Layout};
use std::ptr;

/// Every block is asked for at this alignment, malloc's.
const ALIGN: usize = 16;

pub(crate) struct Slots<'a, A: GlobalAlloc> {
    allocator: &'a A,
    slots: Vec<Slot>,
    /// Words that were not as written, or blocks that could not be had.
    wrong: u64,
}

#[derive(Clone, Copy)]
struct Slot {
    block: *mut u8,
    size: usize,
}

impl<'a, A: GlobalAlloc> Slots<'a, A> {
    pub(crate) fn new(allocator: &'a A, count: usize) -> Self {
        let empty = Slot { block: ptr::null_mut(), size: 0 };
        Self { allocator, slots: vec![empty; count], wrong: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// One operation: frees the slot's block, or if it has none allocates one of `size` bytes (at
    /// least 8) and touches it.
    #[inline(always)]
    pub(crate) fn turn(&mut self, index: usize, size: usize) {
        let slot = &mut self.slots[index];
        if slot.block.is_null() {
            // SAFETY: `size` is at least 8 and far below the limit; `ALIGN` is a power of two.
            let layout = unsafe { Layout::from_size_align_unchecked(size, ALIGN) };
            // SAFETY: the layout's size is not 0.
            let block = unsafe { self.allocator.alloc(layout) };
            if block.is_null() {
                self.wrong += 1;
                return;
            }
            *slot = Slot { block, size };
            // SAFETY: the block has at least 8 bytes, aligned to 16, and is ours.
            unsafe { block.cast::<u64>().write(word(index, size)) };
        } else {
            self.wrong += u64::from(free(self.allocator, slot, index));
        }
    }

    pub(crate) fn finish(mut self) -> Result<(), WrongAnswer> {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if !slot.block.is_null() {
                self.wrong += u64::from(free(self.allocator, slot, index));
            }
        }
        match self.wrong {
            0 => Ok(()),
            wrong => Err(WrongAnswer(format!("{wrong} blocks were lost or overwritten"))),
        }
    }
}

/// Frees a slot's block; true if its word is not as written.
#[inline(always)]
fn free<A: GlobalAlloc>(allocator: &A, slot: &mut Slot, index: usize) -> bool {
    // SAFETY: the slot has a block, of at least 8 bytes, aligned to 16, that `turn` wrote to.
    let found = unsafe { slot.block.cast::<u64>().read() };
    // SAFETY: the same size and alignment made a layout before.
    let layout = unsafe { Layout::from_size_align_unchecked(slot.size, ALIGN) };
    // SAFETY: the block came from this allocator with this layout, and the slot forgets it.
    unsafe { allocator.dealloc(slot.block, layout) };
    slot.block = ptr::null_mut();
    found != word(index, slot.size)
}

/// What a block carries: different for every slot, and for every size in a slot.
#[inline(always)]
fn word(index: usize, size: usize) -> u64 {
    (index as u64) << 32 | size as u64
}
