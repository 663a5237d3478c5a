//! System calls by the processor's instruction, and not by the C library's functions of their names.
//!
//! Other libraries wrap those functions, to count mappings or to log, and allocate in their wrappers.
//! A wrapper that runs while this allocator holds a lock comes back for that lock, and waits for ever.
//!
//! Never: sets `errno`, or runs code of anybody else.

use core::arch::asm;
use core::ffi::c_long;

/// The numbers with which the kernel says what went wrong: the last page of addresses.
const ERRORS: usize = 4095;

/// Makes a system call; `None` where the kernel refuses.
///
/// # Safety
/// The call does nothing to memory that is not the caller's to change, and returns.
pub(crate) unsafe fn call(number: c_long, arguments: [usize; 6]) -> Option<usize> {
    let [first, second, third, fourth, fifth, sixth] = arguments;
    let answer: usize;
    // SAFETY: the kernel reads these registers, and changes none but `rax`, `rcx` and `r11`; what it does to memory is
    // the caller's word.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as usize => answer,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            in("r10") fourth,
            in("r8") fifth,
            in("r9") sixth,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    };
    (answer <= usize::MAX - ERRORS).then_some(answer)
}

/// The number that the kernel answers to a question that takes nothing, changes nothing and does not fail.
pub(crate) fn number(question: c_long) -> u32 {
    // SAFETY: such a call reads and writes no memory.
    unsafe { call(question, [0; 6]) }.unwrap_or(0) as u32
}

/// Writes to standard error; how much of it is not asked.
pub(crate) fn write_error(line: &[u8]) {
    let file = libc::STDERR_FILENO as usize;
    // SAFETY: it only reads the line, of that length.
    let _ = unsafe {
        call(libc::SYS_write, [file, line.as_ptr().expose_provenance(), line.len(), 0, 0, 0])
    };
}
