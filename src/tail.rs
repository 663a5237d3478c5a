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
//! The *mark* is a product of the block's address, its slack and the process's secret. So a program cannot
//! write a valid tail by accident, nor copy one from another block. The byte behind the program's bytes is [`FENCE`]: a
//! zero that ends a string one byte too late is noticed. The next byte or the one after it is zero: a string that lost its
//! end ends there.
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
//! Never: reads or writes outside of the block.

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
mod tests {
    use super::*;
    use crate::sys::atomic::{AtomicPtr, AtomicU32};
    use crate::sys::secret::choose;
    use core::ptr;

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
            assert_eq!(block.told(Compared::Much), Told::Unknown);
            let room = 16 * count - TAIL_BYTES;
            for size in 0..=room {
                block.wipe_all();
                block.set_in_use(size);
                assert_eq!(block.told(Compared::Much), Told::InUse(size), "{count} {size}");
                for (at, new) in (size..16 * count).flat_map(|at| [(at, 0x41), (at, 0)]) {
                    // SAFETY: a byte of the block.
                    let old = unsafe { byte(block, at).read() };
                    // SAFETY: the same byte.
                    unsafe { byte(block, at).write(new) };
                    let is_seen = |compared| !matches!(block.told(compared), Told::InUse(_));
                    let is_far = at >= size + 8 + MUCH && at < room - 8;
                    assert_eq!(is_seen(Compared::Much), old != new && !is_far, "{size} {at}");
                    let is_near = at < size + 8 || at >= room;
                    assert_eq!(is_seen(Compared::First), old != new && is_near, "{size} {at}");
                    let is_long = size + 16 < room;
                    assert_eq!(is_seen(Compared::Short), old != new || is_long, "{size} {at}");
                    // SAFETY: the same byte.
                    unsafe { byte(block, at).write(old) };
                }
                assert_eq!(block.told(Compared::Much), Told::InUse(size));
            }
            block.set_freed();
            assert_eq!(block.told(Compared::Much), Told::Freed);
        }
    }

    /// Checks TL2.
    #[test]
    fn a_blank_block_holds_nothing() {
        for count in 1..40 {
            let mut memory = vec![0_u128; count];
            let block = tailed(&mut memory);
            assert!(block.is_blank() && block.has_blank_node());
            for at in 0..16 * count {
                // SAFETY: a byte of the block.
                unsafe { byte(block, at).write(1) };
                assert!(!block.is_blank(), "{count} {at}");
                assert_eq!(block.has_blank_node(), at >= 16, "{at}");
                // SAFETY: the same byte.
                unsafe { byte(block, at).write(0) };
            }
            block.set_in_use(8);
            block.wipe_node();
            assert!(block.has_blank_node() && block.is_blank() == (count == 1));
            block.set_freed();
            assert!(block.is_blank());
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
        assert_ne!(first.tail(), second.tail());
        second.write(first.tail());
        assert_eq!(second.told(Compared::Much), Told::Unknown);
    }

    /// Checks TL5: a signal's handler looks at a block while the thread changes it.
    #[test]
    fn a_signal_finds_no_block_in_use_with_a_wrong_slack() {
        static BLOCK: AtomicPtr<u128> = AtomicPtr::new(ptr::null_mut());
        static WRONG: AtomicU32 = AtomicU32::new(0);
        static SIGNALS: AtomicU32 = AtomicU32::new(0);
        const COUNT: usize = 64;
        extern "C" fn look(_signal: libc::c_int) {
            let start = NonNull::new(BLOCK.load(Ordering::Relaxed)).expect("stored before");
            // SAFETY: the block of this test, of that many bytes. Its thread is interrupted.
            let block = unsafe { Tailed::new(start.cast(), 16 * COUNT) };
            let is_right = matches!(block.told(Compared::Much), Told::InUse(_) | Told::Freed);
            WRONG.fetch_add(u32::from(!is_right), Ordering::Relaxed);
            SIGNALS.fetch_add(1, Ordering::Relaxed);
        }
        choose();
        let mut memory = vec![0_u128; COUNT];
        BLOCK.store(memory.as_mut_ptr(), Ordering::Relaxed);
        let handler: extern "C" fn(libc::c_int) = look;
        // SAFETY: the handler only reads memory that stays.
        unsafe { libc::signal(libc::SIGUSR2, handler as libc::sighandler_t) };
        // SAFETY: it returns this thread's handle.
        let me = unsafe { libc::pthread_self() };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while SIGNALS.load(Ordering::Relaxed) < 200 {
                    // SAFETY: the thread waits for this one, and so lives.
                    unsafe { libc::pthread_kill(me, libc::SIGUSR2) };
                    std::thread::yield_now();
                }
            });
            let block = tailed(&mut memory);
            while SIGNALS.load(Ordering::Relaxed) < 200 {
                block.set_in_use(500);
                block.resize(500, 900);
                block.resize(900, 20);
                block.wipe_all();
            }
        });
        assert_eq!(WRONG.load(Ordering::Relaxed), 0);
    }

    /// Checks TL4.
    #[test]
    fn a_byte_before_a_block_is_guarded() {
        choose();
        let mut memory = [0_u128; 8];
        let (first, second) = memory.split_at_mut(4);
        let (first, second) = (tailed(first), tailed(second));
        // SAFETY: the other block lies in front, and has as many bytes.
        let is_sound = || unsafe { second.is_behind_a_tail() };
        assert!(is_sound());
        for size in [0, 50, 56] {
            first.set_in_use(size);
            assert!(is_sound());
            for at in 56..64 {
                // SAFETY: a byte of the tail.
                let old = unsafe { byte(first, at).read() };
                // SAFETY: the same byte.
                unsafe { byte(first, at).write(old ^ 0x41) };
                assert!(!is_sound(), "{size} {at}");
                // SAFETY: the same byte.
                unsafe { byte(first, at).write(old) };
            }
            first.wipe_all();
        }
        assert!(is_sound());
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
