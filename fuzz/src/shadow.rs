//! The live blocks of a run, beside the allocator's own knowledge.

use std::collections::BTreeMap;

/// Bytes that a run has at most at a time.
const MOST_BYTES: usize = 16 << 20;

/// A block, and what it was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) start: *mut u8,
    pub(crate) size: usize,
    pub(crate) align: usize,
    /// What its content is made of.
    pub(crate) seed: u8,
}

// SAFETY: a run hands a block to one thread at a time.
unsafe impl Send for Block {}

impl Block {
    /// A block of the allocator under test, which nothing is known of but its request.
    pub(crate) fn new(start: *mut u8, size: usize, align: usize) -> Self {
        Self { start, size, align, seed: 0 }
    }

    /// The places that are written and checked: each of a small block, some of each page of a large one.
    fn places(&self, until: usize) -> impl Iterator<Item = usize> + use<> {
        let (size, step) = (self.size, if self.size <= 2048 { 1 } else { 509 });
        (0..size).step_by(step).chain(size.checked_sub(1)).filter(move |&at| at < until)
    }

    /// The byte that belongs to a place.
    fn byte(&self, at: usize) -> u8 {
        self.seed.wrapping_add(at as u8).wrapping_mul(31)
    }

    fn fill(&self) {
        for at in self.places(self.size) {
            // SAFETY: inside the block, which is the run's.
            unsafe { self.start.wrapping_add(at).write(self.byte(at)) };
        }
    }

    /// Checks the first bytes, up to `until`, of a block that [`fill`](Self::fill) has filled.
    pub(crate) fn check(&self, until: usize) {
        for at in self.places(until) {
            // SAFETY: inside the block, and written by `fill`.
            let found = unsafe { self.start.wrapping_add(at).read() };
            assert_eq!(found, self.byte(at), "byte {at} of {self:?}");
        }
    }

    /// Fills the block and checks what it filled, as a program may that was told of more room.
    pub(crate) fn fill_and_check(&self) {
        self.fill();
        self.check(self.size);
    }

    /// Checks that each byte of a fresh block is this one.
    pub(crate) fn check_all(&self, byte: u8) {
        // SAFETY: the block has that many bytes, which the allocator has set.
        let bytes = unsafe { std::slice::from_raw_parts(self.start, self.size) };
        let wrong = bytes.iter().position(|&found| found != byte);
        assert_eq!(wrong, None, "a byte that is not {byte:#x} in {self:?}");
    }
}

/// Blocks of a size that one operation may allocate: as many as asked for, if they are small.
pub(crate) fn many(count: u8, size: usize) -> usize {
    usize::from(count).min((1 << 20) / size.max(1))
}

/// Live blocks: by address, to find overlaps, and in an order by which inputs name them.
#[derive(Default)]
pub(crate) struct Shadow {
    ends: BTreeMap<usize, usize>,
    blocks: Vec<Block>,
    bytes: usize,
    births: u8,
}

impl Shadow {
    /// True if the run may have so many bytes more.
    pub(crate) fn has_room_for(&self, bytes: usize) -> bool {
        self.bytes.saturating_add(bytes) <= MOST_BYTES
    }

    /// The bytes of all live blocks, as requested.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Notes a block, checks its alignment, checks that it overlaps no other, and fills it.
    pub(crate) fn born(&mut self, block: Block) {
        let (start, end) = (block.start.addr(), block.start.addr() + block.size.max(1));
        assert!(start != 0 && start.is_multiple_of(block.align), "{block:?}");
        if let Some((other, other_end)) = self.ends.range(..end).next_back() {
            assert!(*other_end <= start, "{block:?} overlaps the block at {other:#x}");
        }
        self.ends.insert(start, end);
        self.births = self.births.wrapping_add(1);
        self.bytes += block.size;
        self.blocks.push(Block { seed: self.births, ..block });
        self.blocks[self.blocks.len() - 1].fill();
    }

    /// Forgets a live block, and checks its content. The number is taken modulo that of the blocks.
    pub(crate) fn gone(&mut self, number: usize) -> Option<Block> {
        let at = number.checked_rem(self.blocks.len())?;
        let block = self.blocks.swap_remove(at);
        self.ends.remove(&block.start.addr());
        self.bytes -= block.size;
        block.check(block.size);
        Some(block)
    }
}
