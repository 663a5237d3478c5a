//! System calls by the processor's instruction, without the C library's functions.
//!
//! Other libraries wrap those functions, to count mappings or to log, and their wrappers allocate. If this allocator
//! called a wrapper with a lock held, the wrapper would wait for that lock for ever.
//!
//! Miri has no kernel: there the standard library's allocator serves for pages, and each other call is refused.
//!
//! Never: sets `errno`, or runs code outside this crate.

#[cfg(not(miri))]
use core::arch::asm;
use core::ffi::{c_int, c_long};

/// The kernel's error numbers end here. It returns them negated, as numbers in the last page of addresses.
#[cfg(not(miri))]
const ERRORS: usize = 4095;

/// Makes a system call; `None` where the kernel refuses.
///
/// # Safety
/// The call does nothing to memory that is not the caller's to change, and returns.
pub(crate) unsafe fn call(number: c_long, arguments: [usize; 6]) -> Option<usize> {
    // SAFETY: the caller's condition.
    unsafe { answer(number, arguments) }.ok()
}

/// Makes a system call. Where the kernel refuses, the result is its error number.
///
/// # Safety
/// The call does nothing to memory that is not the caller's to change, and returns.
#[cfg(not(miri))]
pub(crate) unsafe fn answer(number: c_long, arguments: [usize; 6]) -> Result<usize, c_int> {
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
    match answer.wrapping_neg() {
        error @ 1..=ERRORS => Err(error as c_int),
        _ => Ok(answer),
    }
}

/// Answers for the kernel, under Miri. What is unmapped is lost, since a part of a mapping may be.
///
/// # Safety
/// The call does nothing to memory that is not the caller's to change.
#[cfg(miri)]
pub(crate) unsafe fn answer(number: c_long, arguments: [usize; 6]) -> Result<usize, c_int> {
    use std::alloc::{Layout, alloc_zeroed};
    let [first, bytes, third, ..] = arguments;
    match number {
        libc::SYS_mmap => {
            let layout = Layout::from_size_align(bytes, crate::base::PAGE_BYTES);
            // SAFETY: no caller maps 0 bytes.
            let start = layout.map(|layout| unsafe { alloc_zeroed(layout) });
            start.map(|start| start.expose_provenance()).map_err(|_| libc::ENOMEM)
        }
        libc::SYS_munmap => Ok(0),
        libc::SYS_madvise if third == libc::MADV_DONTNEED as usize => {
            let start = core::ptr::with_exposed_provenance_mut::<u8>(first);
            // SAFETY: the caller needs the content of these mapped pages no more.
            unsafe { start.write_bytes(0, bytes) };
            Ok(0)
        }
        libc::SYS_madvise => Ok(0),
        _ => Err(libc::ENOSYS),
    }
}

/// The result of a system call that takes nothing, changes nothing and does not fail.
pub(crate) fn number(question: c_long) -> u32 {
    // SAFETY: such a call reads and writes no memory.
    unsafe { call(question, [0; 6]) }.unwrap_or(0) as u32
}

/// Writes to standard error, and ignores how much was written.
pub(crate) fn write_error(line: &[u8]) {
    let file = libc::STDERR_FILENO as usize;
    // SAFETY: it only reads the line, of that length.
    let _ = unsafe {
        call(libc::SYS_write, [file, line.as_ptr().expose_provenance(), line.len(), 0, 0, 0])
    };
}

/// True if eight bytes at an address may be read now. The kernel looks, so an address without memory is no fault.
///
/// It asks for a change of the signal mask in a way that the kernel does not know. The kernel reads the mask first.
pub(crate) fn is_readable(address: usize) -> bool {
    mask_answer(address) == Err(libc::EINVAL)
}

/// True if eight bytes at an address cannot be read now. False if the kernel does not say, as a sandbox may make it.
pub(crate) fn is_unreadable(address: usize) -> bool {
    mask_answer(address) == Err(libc::EFAULT)
}

fn mask_answer(address: usize) -> Result<usize, c_int> {
    const NO_WAY: usize = 3;
    let arguments = [NO_WAY, address, 0, 8, 0, 0];
    // SAFETY: the kernel reads the mask if it can, and changes nothing.
    unsafe { answer(libc::SYS_rt_sigprocmask, arguments) }
}
