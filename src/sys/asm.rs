//! Single instructions for what the compiler makes several of, since other threads may be at the same place.

use core::arch::asm;

/// Adds one to the 32-bit number at `base + 8 × eighths + OFFSET`, and says whether it is not negative then.
///
/// To other threads this is a relaxed load and a relaxed store: where several count, some may be lost. The
/// compiler does not make one instruction of those, nor look at its flags.
///
/// # Safety
/// The number is in memory that may be written to, aligned to 4, and whoever else writes to it at the same time
/// does so by this function or atomically.
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

/// The byte at `base + index + OFFSET`, by a relaxed load.
///
/// The compiler widens what it loads so by another instruction.
///
/// # Safety
/// The byte is in memory that may be read, and whoever writes to it at the same time does so atomically.
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
