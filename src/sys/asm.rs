//! Single instructions that the compiler would turn into several.
//!
//! Miri runs no assembly, and gets what the compiler makes.

#[cfg(miri)]
use crate::sys::atomic::{AtomicI32, AtomicU8, Ordering};
#[cfg(not(miri))]
use core::arch::asm;

/// Adds one to the 32-bit number at `base + 8 × eighths + OFFSET`. True if the result is not negative.
///
/// To other threads it is a relaxed load and a relaxed store: if several threads count at once, counts may be lost. The
/// compiler would not merge these into one instruction, nor use the instruction's flags.
///
/// # Safety
/// The number is in writable memory, and is aligned to 4. Other threads that write to it at the same time do so by this
/// function or atomically.
#[cfg(not(miri))]
#[inline(always)]
pub(crate) unsafe fn count_up<const OFFSET: usize>(base: *const u8, eighths: usize) -> bool {
    // SAFETY: it writes to the number alone, by the caller's condition, and leaves the stack as it is.
    unsafe {
        asm!(
            "inc dword ptr [{base} + {eighths}*8 + {offset}]",
            "jns {past}",
            base = in(reg) base,
            eighths = in(reg) eighths,
            offset = const OFFSET,
            past = label { return true },
            options(nostack),
        );
    }
    false
}

/// The substitute under Miri, which runs no assembly.
///
/// # Safety
/// The conditions of the function for processors.
#[cfg(miri)]
pub(crate) unsafe fn count_up<const OFFSET: usize>(base: *const u8, eighths: usize) -> bool {
    let place = base.wrapping_add(8 * eighths + OFFSET).cast_mut().cast::<i32>();
    // SAFETY: the caller's condition.
    let number = unsafe { AtomicI32::from_ptr(place) };
    // ORDERING: relaxed; counts may be lost.
    let counted = number.load(Ordering::Relaxed).wrapping_add(1);
    number.store(counted, Ordering::Relaxed);
    counted >= 0
}

/// The sum of `once`, eight times `eight` and `OFFSET`, which the compiler would take two instructions for.
#[cfg(not(miri))]
#[inline(always)]
pub(crate) fn sum_of<const OFFSET: i32>(once: usize, eight: usize) -> usize {
    let sum;
    // SAFETY: the instruction adds, and touches no memory.
    unsafe {
        asm!(
            "lea {sum}, [{once} + {eight}*8 + {offset}]",
            sum = lateout(reg) sum,
            once = in(reg) once,
            eight = in(reg) eight,
            offset = const OFFSET,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

/// The substitute under Miri, which runs no assembly.
#[cfg(miri)]
pub(crate) fn sum_of<const OFFSET: i32>(once: usize, eight: usize) -> usize {
    once.wrapping_add(eight.wrapping_mul(8)).wrapping_add_signed(OFFSET as isize)
}

/// Makes the compiler leave accesses to memory before and behind this point in their order, for a signal's handler or a
/// child of a fork that finds the thread in between. There is no instruction.
#[cfg(not(miri))]
#[inline(always)]
pub(crate) fn keep_order() {
    // SAFETY: there is no instruction.
    unsafe {
        asm!("", options(nostack, preserves_flags));
    }
}

/// Under Miri no signal comes.
#[cfg(miri)]
pub(crate) fn keep_order() {}

/// The byte at `base + index + OFFSET`, by a relaxed load.
///
/// The compiler would need a second instruction to widen the byte.
///
/// # Safety
/// The byte is in readable memory. Other threads that write to it at the same time do so atomically.
#[cfg(not(miri))]
#[inline(always)]
pub(crate) unsafe fn byte_at<const OFFSET: usize>(base: *const u8, index: usize) -> usize {
    let byte: usize;
    // SAFETY: it reads the byte alone, by the caller's condition, and leaves all else as it is.
    unsafe {
        asm!(
            "movzx {byte:e}, byte ptr [{base} + {index} + {offset}]",
            base = in(reg) base,
            index = in(reg) index,
            offset = const OFFSET,
            byte = lateout(reg) byte,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    byte
}

/// The substitute under Miri, which runs no assembly.
///
/// # Safety
/// The conditions of the function for processors.
#[cfg(miri)]
pub(crate) unsafe fn byte_at<const OFFSET: usize>(base: *const u8, index: usize) -> usize {
    // SAFETY: the caller's condition.
    let byte = unsafe { AtomicU8::from_ptr(base.wrapping_add(index + OFFSET).cast_mut()) };
    // ORDERING: relaxed, as the instruction is.
    byte.load(Ordering::Relaxed).into()
}
