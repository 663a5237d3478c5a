//! The tail of a block: its last 8 bytes, which tell the block's size and state.
//!
//! ```text
//!  block                             block + size                        last 8 bytes
//!  ┌─────────────────────────────────┬───────────────────────────────────┬──────────────────────────┐
//!  │ the program's bytes             │ slack: zero                       │ 0 │ slack │ mark         │
//!  └─────────────────────────────────┴───────────────────────────────────┴──────────────────────────┘
//!                                                                     bits 0–7   8–24    25–63
//! ```
//!
//! The *mark* is a product of the block's address, its slack and the process's secret. So a program cannot
//! write a valid tail by accident, nor copy one from another block. The tail's lowest byte is 0, and so is the slack: a
//! string that lost its end ends there.
//!
//! | tail | the block is |
//! |---|---|
//! | the mark of its slack | in use |
//! | zero | freed, or never used |
//! | anything else | overwritten, or in a list whose seal lies there |
//!
//! TL1  A block in use has the tail of its slack, and a slack whose first 8 bytes are zero, unless a program wrote past
//!      the block's size.
//! TL2  A freed block has a tail of zero, or a list's seal there, unless a program wrote to it.
//! TL3  The process's secret is chosen before the first block is in use.
//!
//! The idea of a canary is that of `StackGuard` (Cowan et al. 1998); `hardened_malloc` has one behind each block.
//!
//! Never: reads or writes outside of the block.

use crate::sys::secret::{SPREAD, secret};
use core::arch::x86_64::{
    __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128, _mm_setzero_si128,
};
use core::ptr::NonNull;

/// Bytes of the largest block that is wiped without a call.
const WIPED_HERE: usize = 256;

/// Bytes of a tail.
pub(crate) const TAIL_BYTES: usize = size_of::<u64>();

/// Bits of a slack, and their place in a tail.
const SLACK_BITS: u32 = 17;
const SLACK_AT: u32 = 8;
/// The bits of the mark begin here.
const MARK_AT: u32 = SLACK_AT + SLACK_BITS;
const SLACKS: u64 = (1 << SLACK_BITS) - 1;
/// The bits of an address, above which a slack has room.
const ADDRESS_BITS: u32 = 47;

/// What a block's tail tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The block is in use, with so many bytes.
    InUse(usize),
    /// The block is in use, and a program wrote to its slack.
    Overflown,
    /// The block was freed, or never in use.
    Freed,
    /// No block in use has such a tail.
    Unknown,
}

/// A block with its bytes, tail included.
#[derive(Clone, Copy)]
pub(crate) struct Tailed {
    start: NonNull<u8>,
    bytes: usize,
}

impl Tailed {
    /// A block with a tail.
    ///
    /// # Safety
    /// The block has `bytes` bytes, at least 16 and less than 2^47, and is aligned to 16, of which
    /// `bytes` is a multiple. While the value
    /// is in use, no other code writes to its slack and tail, unless a program breaks the rules.
    #[inline(always)]
    pub(crate) const unsafe fn new(start: NonNull<u8>, bytes: usize) -> Self {
        Self { start, bytes }
    }

    #[inline(always)]
    fn tail_of(self, slack: u64) -> u64 {
        let mixed = (self.start.addr().get() as u64 ^ slack << ADDRESS_BITS ^ secret())
            .wrapping_mul(SPREAD);
        mixed >> MARK_AT << MARK_AT | slack << SLACK_AT
    }

    /// The place of the tail.
    #[inline(always)]
    const fn place(self) -> *mut u64 {
        self.start.as_ptr().wrapping_add(self.bytes - TAIL_BYTES).cast()
    }

    #[inline(always)]
    fn read(self) -> u64 {
        // SAFETY: the block's last 8 bytes, aligned to 8 (condition of `new`).
        unsafe { self.place().read() }
    }

    #[inline(always)]
    fn write(self, tail: u64) {
        // SAFETY: the block's last 8 bytes, aligned to 8, which only the caller writes (conditions of `new`).
        unsafe { self.place().write(tail) };
    }

    /// Notes that the block is in use with `size` bytes, at most all but the tail (TL1).
    #[inline(always)]
    pub(crate) fn set_in_use(self, size: usize) {
        debug_assert!(size <= self.bytes - TAIL_BYTES);
        let first = self.start.as_ptr().wrapping_add(size).cast::<u64>();
        // SAFETY: 8 bytes that end with the block's last one at most, since the size leaves room for the tail. Only the
        // caller writes there (condition of `new`).
        unsafe { first.write_unaligned(0) };
        self.write(self.tail_of(self.slack_of(size)));
    }

    #[inline(always)]
    const fn slack_of(self, size: usize) -> u64 {
        // The longest slack, a span's, is below the bytes of a slice.
        (self.bytes - TAIL_BYTES - size) as u64 & SLACKS
    }

    /// Notes that the block is freed.
    #[inline(always)]
    pub(crate) fn set_freed(self) {
        self.write(0);
    }

    /// What the tail tells.
    #[inline(always)]
    pub(crate) fn told(self) -> Told {
        let tail = self.read();
        let slack = tail >> SLACK_AT & SLACKS;
        let size = (self.bytes - TAIL_BYTES).wrapping_sub(slack as usize);
        if tail != self.tail_of(slack) || size > self.bytes {
            return if tail == 0 { Told::Freed } else { Told::Unknown };
        }
        if self.slack_is_zero(size, slack) { Told::InUse(size) } else { Told::Overflown }
    }

    /// True if the first bytes behind the block's size are zero, 8 at most.
    #[inline(always)]
    fn slack_is_zero(self, size: usize, slack: u64) -> bool {
        let first = self.start.as_ptr().wrapping_add(size).cast::<u64>();
        // SAFETY: 8 bytes that end with the block's last one at most, since the size leaves room for the tail.
        let word = unsafe { first.read_unaligned() };
        // The tail begins within these 8 bytes if the slack is shorter.
        let slack_bits = 8 * slack.min(7) as u32;
        word == 0 || slack < 8 && word << (63 - slack_bits) << 1 == 0
    }

    /// True if a free block that was wiped is still zero, apart from its first 16 bytes, which lists write to.
    #[inline(always)]
    pub(crate) fn is_blank(self) -> bool {
        let first = self.start.as_ptr().cast::<__m128i>();
        let end = self.bytes / size_of::<__m128i>();
        // SAFETY: 16 bytes of the block, which need not be aligned.
        let read = |at: usize| unsafe { _mm_loadu_si128(first.wrapping_add(at)) };
        let or = |one, other| {
            // SAFETY: every processor of x86-64 has the instruction, which touches no memory.
            unsafe { _mm_or_si128(one, other) }
        };
        // The first 16 bytes are those that lists write to.
        let mut at = 1;
        // SAFETY: every processor of x86-64 has the instruction, which touches no memory.
        let zero = unsafe { _mm_setzero_si128() };
        let mut all = zero;
        while at + 4 <= end {
            let two = or(read(at), read(at + 1));
            all = or(all, or(two, or(read(at + 2), read(at + 3))));
            at += 4;
        }
        while at < end {
            all = or(all, read(at));
            at += 1;
        }
        // SAFETY: every processor of x86-64 has the instruction, which touches no memory.
        let zeros = unsafe { _mm_cmpeq_epi8(all, zero) };
        // SAFETY: every processor of x86-64 has the instruction, which touches no memory.
        unsafe { _mm_movemask_epi8(zeros) == 0xFFFF }
    }

    /// True if the two words that lists write to are zero, as they are before the block is in a list.
    #[inline(always)]
    pub(crate) fn has_blank_words(self) -> bool {
        let words = self.start.as_ptr().cast::<u64>();
        // SAFETY: the block has 16 bytes, aligned to 8 (condition of `new`).
        let first = unsafe { words.read() };
        // SAFETY: the second 8 bytes of these 16.
        let second = unsafe { words.wrapping_add(1).read() };
        first == 0 && (second == 0 || self.bytes == 16)
    }

    /// Makes those two words zero, but not the tail.
    #[inline(always)]
    pub(crate) fn blank_words(self) {
        let words = self.start.as_ptr().cast::<u64>();
        // SAFETY: the block has 16 bytes, aligned to 8, which only the caller writes (conditions of `new`).
        unsafe { words.write(0) };
        if self.bytes > 16 {
            // SAFETY: the second 8 bytes of these 16, which are not the tail.
            unsafe { words.wrapping_add(1).write(0) };
        }
    }

    /// Makes the whole block zero, and so notes that it is freed.
    #[inline(always)]
    pub(crate) fn wipe_all(self) {
        if self.bytes > WIPED_HERE {
            // SAFETY: bytes of the block, which only the caller writes (condition of `new`).
            return unsafe { self.start.write_bytes(0, self.bytes) };
        }
        let first = self.start.as_ptr().cast::<__m128i>();
        // SAFETY: every processor of x86-64 has the instruction, which touches no memory.
        let zero = unsafe { _mm_setzero_si128() };
        let write = |at: usize| {
            // Volatile, since the compiler would make a call of it. A call takes longer for so few bytes.
            // SAFETY: 16 bytes of the block, whose size is a multiple of 16, and which is aligned to 16 as its class is.
            unsafe { first.wrapping_add(at).write_volatile(zero) };
        };
        let (mut at, end) = (0, self.bytes / size_of::<__m128i>());
        while at + 4 <= end {
            (at..at + 4).for_each(write);
            at += 4;
        }
        while at < end {
            write(at);
            at += 1;
        }
    }

    /// Makes the bytes zero from one offset to another, which is not below and not in the tail.
    #[inline(always)]
    pub(crate) fn wipe(self, from: usize, to: usize) {
        debug_assert!(from <= to && to <= self.bytes - TAIL_BYTES);
        let start = self.start.as_ptr().wrapping_add(from);
        // SAFETY: bytes of the block, which only the caller writes (condition of `new`).
        unsafe { start.write_bytes(0, to - from) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::secret::choose;

    fn tailed(memory: &mut [u128]) -> Tailed {
        let bytes = size_of_val(memory);
        // SAFETY: so many bytes, aligned to 16, that only the calling test uses.
        unsafe { Tailed::new(NonNull::from(memory).cast(), bytes) }
    }

    fn byte(block: Tailed, at: usize) -> *mut u8 {
        block.start.as_ptr().wrapping_add(at)
    }

    /// Checks TL1 and TL3.
    #[test]
    fn every_size_is_told_and_each_byte_behind_it_is_guarded() {
        choose();
        for count in [1, 2, 3, 20] {
            let mut memory = vec![u128::MAX; count];
            let block = tailed(&mut memory);
            assert_eq!(block.told(), Told::Unknown);
            let room = 16 * count - TAIL_BYTES;
            for size in 0..=room {
                block.set_in_use(size);
                assert_eq!(block.told(), Told::InUse(size), "{count} {size}");
                for at in size..(size + 8).min(16 * count) {
                    // SAFETY: a byte of the block.
                    let old = unsafe { byte(block, at).read() };
                    // SAFETY: the same byte.
                    unsafe { byte(block, at).write(old ^ 0x41) };
                    assert!(matches!(block.told(), Told::Overflown | Told::Unknown), "{size} {at}");
                    // SAFETY: the same byte.
                    unsafe { byte(block, at).write(old) };
                }
                assert_eq!(block.told(), Told::InUse(size));
            }
            block.set_freed();
            assert_eq!(block.told(), Told::Freed);
        }
    }

    /// Checks TL2.
    #[test]
    fn a_blank_block_holds_nothing_but_what_lists_write() {
        let mut memory = [0_u128; 6];
        let block = tailed(&mut memory);
        assert!(block.is_blank() && block.has_blank_words());
        block.set_freed();
        assert!(block.is_blank());
        for at in 0..96 {
            // SAFETY: a byte of the block.
            let old = unsafe { byte(block, at).read() };
            // SAFETY: the same byte.
            unsafe { byte(block, at).write(old ^ 1) };
            assert_eq!(block.is_blank(), at < 16, "{at}");
            assert_eq!(block.has_blank_words(), at >= 16, "{at}");
            // SAFETY: the same byte.
            unsafe { byte(block, at).write(old) };
        }
    }

    #[test]
    fn a_tail_is_of_one_block_and_one_process() {
        choose();
        let mut memory = [0_u128; 4];
        let (first, second) = memory.split_at_mut(2);
        let (first, second) = (tailed(first), tailed(second));
        first.set_in_use(20);
        second.set_in_use(20);
        assert_ne!(first.read(), second.read());
        second.write(first.read());
        assert_eq!(second.told(), Told::Unknown);
    }
    #[test]
    fn a_wiped_block_is_zero_and_no_other_is() {
        for count in 1..40 {
            let mut memory = vec![u128::MAX; count + 2];
            tailed(&mut memory[1..=count]).wipe_all();
            assert_eq!((memory[0], memory[count + 1]), (u128::MAX, u128::MAX));
            assert!(memory[1..=count].iter().all(|&word| word == 0), "{count}");
        }
    }
}
