//! The tail of a block: its last 8 bytes, which tell the block's size and state.
//!
//! ```text
//!  block                             block + size                        last 8 bytes
//!  ┌─────────────────────────────────┬────┬──────────────────────────────┬────┬──────────────────────┐
//!  │ the program's bytes             │ A5 │ slack: zero                  │ A5 │ slack │ mark         │
//!  └─────────────────────────────────┴────┴──────────────────────────────┴────┴──────────────────────┘
//!                                                                         0–7    8–24    25–63   bits
//! ```
//!
//! The *mark* is a product of the block's address, its slack and the process's secret. So a program cannot write a valid
//! tail by accident, nor copy one from another block. The byte behind the program's bytes is [`FENCE`]: a zero that ends
//! a string one byte too late is noticed. The next byte or the one after it is zero: a string that lost its end ends
//! there.
//!
//! | tail | the block is |
//! |---|---|
//! | the mark of its slack | in use |
//! | zero | freed, or never used |
//! | anything else | overwritten, or in a list whose seal lies there |
//!
//! TL1  A block in use has the tail of its slack, and [`FENCE`] behind the program's bytes, unless a program wrote past
//!      them. The next 7 bytes of the slack are zero; all are, where blocks are wiped. A free compares the first of them.
//! TL2  A freed block has a tail of zero, or a list's seal there, unless a program wrote to it.
//! TL3  The process's secret is chosen before the first block is in use.
//! TL4  Where blocks are wiped, the tail of a block of more than 16 bytes is always zero or that of its slack. A change
//!      of it is one store, so a thread that frees the next block may look at it.
//! TL5  While an operation changes a block and its slack, the tail is zero. So a signal or a fork in its middle finds no
//!      block in use with a wrong slack.
//!
//! The idea of a canary is that of `StackGuard` (Cowan et al. 1998); `hardened_malloc` has one behind each block.
//!
//! Never: writes outside of the block, or reads there, but for the tail in front.

use crate::sys::asm;
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::secret::{SPREAD, secret};
use core::arch::x86_64::{
    __m128i, _mm_cmpeq_epi8, _mm_load_si128, _mm_movemask_epi8, _mm_or_si128, _mm_setzero_si128,
};
use core::hint;
use core::ptr::NonNull;

/// Bytes of the largest *short* block: it is wiped and compared by a few instructions, without a loop.
pub(crate) const SHORT: usize = 256;

/// The byte behind the program's bytes, and the first one of a tail. Not zero, and in no text.
const FENCE: u64 = 0xA5;

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

/// How much of a block's slack is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compared {
    /// The first 8 bytes.
    First,
    /// All, and no more than 16 bytes are right.
    Short,
    /// The first 8 bytes, [`MUCH`] more, and the last 8.
    Much,
}

/// Bytes of slack, beside the first 8 and the last 8, that a free compares. A span may have 64 KiB.
const MUCH: usize = 64;

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
    /// `bytes` is a multiple. While the value is in use, no other code writes to its slack and tail, unless a program
    /// breaks the rules.
    #[inline(always)]
    pub(crate) const unsafe fn new(start: NonNull<u8>, bytes: usize) -> Self {
        Self { start, bytes }
    }

    /// As [`new`](Self::new), for a short block.
    ///
    /// # Safety
    /// The conditions of `new`; the block is short.
    #[inline(always)]
    pub(crate) const unsafe fn new_short(start: NonNull<u8>, bytes: usize) -> Self {
        // SAFETY: the caller's condition.
        unsafe { hint::assert_unchecked(bytes <= SHORT) };
        // SAFETY: the caller's condition.
        unsafe { Self::new(start, bytes) }
    }

    /// True for a block that is wiped and compared without a loop.
    #[inline(always)]
    pub(crate) const fn is_short(self) -> bool {
        self.bytes <= SHORT
    }

    /// The tail for a slack, which is already at its place in a tail.
    #[inline(always)]
    fn tail_of(self, slack: u64) -> u64 {
        let address = self.start.addr().get() as u64;
        let mixed = (address ^ slack << (ADDRESS_BITS - SLACK_AT) ^ secret()).wrapping_mul(SPREAD);
        mixed >> MARK_AT << MARK_AT | slack | FENCE
    }

    /// The place of the tail.
    #[inline(always)]
    const fn place(self) -> *mut u64 {
        self.start.as_ptr().wrapping_add(self.room()).cast()
    }

    #[inline(always)]
    fn tail(self) -> u64 {
        // SAFETY: the block's last 8 bytes, aligned to 8 (condition of `new`), which are written by `write` alone where
        // other threads look (TL4).
        let tail = unsafe { AtomicU64::from_ptr(self.place()) };
        // ORDERING: relaxed; a tail publishes nothing.
        tail.load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn write(self, tail: u64) {
        // SAFETY: the block's last 8 bytes, aligned to 8 (condition of `new`), which other threads only read (TL4).
        let place = unsafe { AtomicU64::from_ptr(self.place()) };
        // ORDERING: relaxed; a tail publishes nothing.
        place.store(tail, Ordering::Relaxed);
    }

    /// Notes that the block is in use with `size` bytes, at most all but the tail (TL1). The slack is zero.
    #[inline(always)]
    pub(crate) fn set_in_use(self, size: usize) {
        debug_assert!(size <= self.room());
        let slack = self.room() - size;
        if slack > 0 {
            let first = self.start.as_ptr().wrapping_add(size);
            // SAFETY: the first byte of the slack, which only the caller writes (condition of `new`).
            unsafe { first.write(FENCE as u8) };
        }
        asm::keep_order(); // TL5
        // The longest slack, a span's, is below the bytes of a slice.
        self.write(self.tail_of((slack as u64 & SLACKS) << SLACK_AT));
    }

    /// Notes that a block in use has `new` bytes, and no longer `old`.
    pub(crate) fn resize(self, old: usize, new: usize) {
        self.set_freed();
        // The fence behind the old bytes goes, too, unless it is the tail's.
        self.wipe(new.min(old), (old + 1).min(self.room()));
        // Where blocks are wiped, it is zero already.
        self.wipe(new, self.room().min(new + TAIL_BYTES));
        self.set_in_use(new);
    }

    /// The most bytes that a program may have in the block.
    #[inline(always)]
    pub(crate) const fn room(self) -> usize {
        self.bytes - TAIL_BYTES
    }

    /// True for a block in which a list's seal lies in the place of the tail.
    #[inline(always)]
    pub(crate) const fn is_least(self) -> bool {
        self.bytes <= 16
    }

    /// Makes the first 8 bytes of the slack behind `size` bytes zero, or of the tail, which the caller writes then.
    #[inline(always)]
    pub(crate) fn wipe_slack(self, size: usize) {
        let first = self.start.as_ptr().wrapping_add(size).cast::<u64>();
        // SAFETY: 8 bytes that end with the block's last one at most. Only the caller writes there, since blocks are not
        // wiped, and so no other thread looks at the tail (TL4).
        unsafe { first.write_unaligned(0) };
    }

    /// Notes that the block is freed.
    #[inline(always)]
    pub(crate) fn set_freed(self) {
        self.write(0);
        asm::keep_order(); // TL5
    }

    /// The size of a block in use. `None` if the tail is wrong, or the slack as far as it is compared.
    #[inline(always)]
    pub(crate) fn size(self, compared: Compared) -> Option<usize> {
        let tail = self.tail();
        let slack = tail & SLACKS << SLACK_AT;
        if tail != self.tail_of(slack) {
            return None;
        }
        // The mark is right, so `set_in_use` wrote this slack (TL1).
        let slack = (slack >> SLACK_AT) as usize;
        let size = (self.room()).wrapping_sub(slack);
        // The tail begins within these 8 bytes if the slack is shorter.
        let untouched = if slack < TAIL_BYTES { tail << (8 * slack) } else { 0 };
        if self.word(size) != untouched | FENCE {
            return None;
        }
        let is_untouched = match compared {
            Compared::First => true,
            _ if slack <= TAIL_BYTES => true,
            Compared::Short => slack <= 2 * TAIL_BYTES && self.last_is_zero(),
            Compared::Much => self.last_is_zero() && self.more_is_zero(size + TAIL_BYTES),
        };
        is_untouched.then_some(size)
    }

    /// True if the last 8 bytes before the tail are zero.
    #[inline(always)]
    fn last_is_zero(self) -> bool {
        self.word(self.room() - TAIL_BYTES) == 0
    }

    /// True if [`MUCH`] bytes from an offset on are zero, or those up to the last 8 before the tail.
    fn more_is_zero(self, from: usize) -> bool {
        let last = self.room() - TAIL_BYTES;
        let (mut at, mut all) = (from, 0);
        while at < last.min(from + MUCH) {
            all |= self.word(at);
            at += TAIL_BYTES;
        }
        all == 0
    }

    /// 8 bytes at an offset, which is not above that of the tail.
    #[inline(always)]
    fn word(self, at: usize) -> u64 {
        let word = self.start.as_ptr().wrapping_add(at).cast::<u64>();
        // SAFETY: inside the block, by the condition above. Only the caller writes there, unless a program breaks the
        // rules.
        unsafe { word.read_unaligned() }
    }

    /// True if the tail in front of the block is one that a block of its size may have (TL4).
    ///
    /// # Safety
    /// A block of as many bytes lies in front of this one, with more than 16 bytes. Blocks are wiped.
    #[inline(always)]
    pub(crate) unsafe fn is_behind_a_tail(self) -> bool {
        // SAFETY: the start of the block in front, by the caller's condition.
        let start = unsafe { self.start.sub(self.bytes) };
        let other = Self { start, bytes: self.bytes };
        let tail = other.tail();
        tail == 0 || tail == other.tail_of(tail & SLACKS << SLACK_AT)
    }

    /// What the tail tells, and the slack as far as it is compared.
    pub(crate) fn told(self, compared: Compared) -> Told {
        if let Some(size) = self.size(compared) {
            return Told::InUse(size);
        }
        match self.tail() {
            0 => Told::Freed,
            tail if tail == self.tail_of(tail & SLACKS << SLACK_AT) => Told::Overflown,
            _ => Told::Unknown,
        }
    }

    /// True if all bytes of a free block are zero, its tail among them.
    #[inline(always)]
    pub(crate) fn is_blank(self) -> bool {
        // SAFETY: every processor of x86-64 has the instruction, which touches no memory.
        let zero = unsafe { _mm_setzero_si128() };
        let mut all = zero;
        self.for_parts(self.bytes, |part| {
            // SAFETY: a part of the block, aligned to 16 as the block and its size are.
            let bytes = unsafe { _mm_load_si128(part) };
            // SAFETY: every processor of x86-64 has the instruction, which touches no memory.
            all = unsafe { _mm_or_si128(all, bytes) };
        });
        // SAFETY: every processor of x86-64 has the instruction, which touches no memory.
        let zeros = unsafe { _mm_cmpeq_epi8(all, zero) };
        // SAFETY: every processor of x86-64 has the instruction, which touches no memory.
        unsafe { _mm_movemask_epi8(zeros) == 0xFFFF }
    }

    /// True if the 16 bytes that lists write to are zero, as they are before the block is in a list.
    #[inline(always)]
    pub(crate) fn has_blank_node(self) -> bool {
        let words = self.start.as_ptr().cast::<u64>();
        // SAFETY: the block has 16 bytes, aligned to 8 (condition of `new`).
        let first = unsafe { words.read() };
        // SAFETY: the second 8 bytes of these 16.
        let second = unsafe { words.wrapping_add(1).read() };
        first | second == 0
    }

    /// Makes the 16 bytes zero that lists write to.
    #[inline(always)]
    pub(crate) fn wipe_node(self) {
        // SAFETY: the block has 16 bytes, aligned to 16, which only the caller writes (conditions of `new`).
        unsafe { self.start.cast::<u128>().write(0) };
    }

    /// Makes the whole block zero, and so notes that it is freed.
    #[inline(always)]
    pub(crate) fn wipe_all(self) {
        self.set_freed();
        let end = self.room();
        match end {
            ..=8 => self.wipe_node(),
            // SAFETY: bytes of the block, which only the caller writes (condition of `new`).
            _ if !self.is_short() => unsafe { self.start.write_bytes(0, end) },
            _ => self.for_parts(end, |part| {
                // SAFETY: a part of the block, which only the caller writes (condition of `new`).
                unsafe { part.cast::<u128>().write_unaligned(0) };
            }),
        }
    }

    /// Calls `act` with all parts of the block up to an offset of 16 or more, 16 bytes each, with some of them twice.
    ///
    /// For a short block the number of calls depends on the doubling that its size is in. So there is no loop, and few
    /// branches that the processor could mistake.
    #[inline(always)]
    fn for_parts(self, end: usize, mut act: impl FnMut(*mut __m128i)) {
        match self.bytes {
            ..=32 => self.for_both_ends::<1>(end, act),
            33..=64 => self.for_both_ends::<2>(end, act),
            65..=128 => self.for_both_ends::<4>(end, act),
            129..=SHORT => self.for_both_ends::<8>(end, act),
            _ => {
                let first = self.start.as_ptr().cast::<__m128i>();
                let count = end / size_of::<__m128i>();
                let mut four = |at: usize| (at..at + 4).for_each(|at| act(first.wrapping_add(at)));
                let mut at = 0;
                while at + 4 < count {
                    four(at);
                    at += 4;
                }
                four(count - 4);
            }
        }
    }

    /// Calls `act` with the first `N` parts of a block and with the last `N` up to an offset. It has as many, and at most
    /// twice as many.
    #[inline(always)]
    fn for_both_ends<const N: usize>(self, end: usize, mut act: impl FnMut(*mut __m128i)) {
        let first = self.start.as_ptr().cast::<__m128i>();
        let last = first.wrapping_byte_add(end - N * size_of::<__m128i>());
        (0..N).for_each(|at| act(first.wrapping_add(at)));
        (0..N).for_each(|at| act(last.wrapping_add(at)));
    }

    /// Makes the bytes zero from one offset to another, which is not below and not in the tail.
    #[inline(always)]
    pub(crate) fn wipe(self, from: usize, to: usize) {
        debug_assert!(from <= to && to <= self.room());
        let start = self.start.as_ptr().wrapping_add(from);
        // SAFETY: bytes of the block, which only the caller writes (condition of `new`).
        unsafe { start.write_bytes(0, to - from) };
    }
}

#[cfg(test)]
mod tests;
