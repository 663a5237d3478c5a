//! What tools that watch memory are told: memcheck by valgrind's client requests, the address sanitizer by its functions.
//!
//! | feature | tool | is there if |
//! |---|---|---|
//! | `valgrind` | memcheck | the program runs under valgrind, which answers requests |
//! | `asan` | the address sanitizer | the program is built with it, so that it has the functions |
//!
//! A client request is a sequence of instructions that changes nothing on a processor, and that valgrind knows:
//! four rotations of `rdi` by 128 bits in all, and an exchange of `rbx` with itself. `rax` points to six words: the
//! request's number and five arguments; the answer comes in `rdx` (valgrind's manual, "The Client Request mechanism").
//!
//! WA1  Without these features no function here has code.
//!
//! Never: allocates, or touches the memory that it tells of.

use super::weak::weak;
use core::arch::asm;
use core::mem::transmute;

// `VALGRIND` and `ASAN`, which the build script makes of the features.
include!(concat!(env!("OUT_DIR"), "/watched.rs"));

/// Numbers of requests, of valgrind itself.
const RUNNING_ON_VALGRIND: usize = 0x1001;
const MALLOCLIKE_BLOCK: usize = 0x1301;
const FREELIKE_BLOCK: usize = 0x1302;
const CHANGE_ERR_DISABLEMENT: usize = 0x1801;
/// Numbers of requests, of memcheck: its letters, and a number.
const MAKE_MEM_NOACCESS: usize = 0x4D43_0000;
const MAKE_MEM_DEFINED: usize = MAKE_MEM_NOACCESS + 2;

/// True if a tool watches.
#[inline(always)]
pub(crate) fn is_on() -> bool {
    VALGRIND && is_under_valgrind() || ASAN && poisoner().is_some()
}

/// True if memcheck may watch.
#[inline(always)]
pub(crate) fn is_under_valgrind() -> bool {
    VALGRIND && request([RUNNING_ON_VALGRIND, 0, 0, 0, 0, 0]) > 0
}

/// Nothing may be read or written there from now on.
pub(crate) fn hide(start: *const u8, bytes: usize) {
    if VALGRIND {
        request([MAKE_MEM_NOACCESS, start.addr(), bytes, 0, 0, 0]);
    }
    if ASAN && let Some(poison) = poisoner() {
        // SAFETY: it writes to the sanitizer's own table alone.
        unsafe { poison(start, bytes) };
    }
}

/// All may be read and written there from now on.
#[inline(always)]
pub(crate) fn show(start: *const u8, bytes: usize) {
    if VALGRIND {
        request([MAKE_MEM_DEFINED, start.addr(), bytes, 0, 0, 0]);
    }
    if ASAN {
        unpoison(start, bytes);
    }
}

/// A block was handed out, of memory that is hidden. It is `zeroed`, or its content is undefined.
pub(crate) fn allocated(start: *const u8, bytes: usize, zeroed: bool) {
    if VALGRIND {
        request([MALLOCLIKE_BLOCK, start.addr(), bytes, 0, zeroed.into(), 0]);
    }
    if ASAN {
        unpoison(start, bytes);
    }
}

/// A block of so many bytes was given back. Memcheck hides it. It complains if the program has no block there.
pub(crate) fn freed(start: *const u8, bytes: usize) {
    if VALGRIND {
        request([FREELIKE_BLOCK, start.addr(), 0, 0, 0, 0]);
    }
    if ASAN && let Some(poison) = poisoner() {
        // SAFETY: it writes to the sanitizer's own table alone.
        unsafe { poison(start, bytes) };
    }
}

/// The word at an address, which may be hidden: no tool complains.
///
/// # Safety
/// The word is mapped.
pub(crate) unsafe fn peek(place: *const usize) -> usize {
    if VALGRIND {
        request([CHANGE_ERR_DISABLEMENT, 1, 0, 0, 0, 0]);
    }
    let word;
    // SAFETY: it reads the word alone, by the caller's condition. A sanitizer sees no instructions of assembly.
    unsafe {
        asm!(
            "mov {word}, qword ptr [{place}]",
            word = lateout(reg) word,
            place = in(reg) place,
            options(readonly, nostack, preserves_flags),
        );
    }
    if VALGRIND {
        request([CHANGE_ERR_DISABLEMENT, usize::MAX, 0, 0, 0, 0]);
    }
    word
}

/// Makes a request; 0 where nobody answers.
#[inline(always)]
fn request(words: [usize; 6]) -> usize {
    let answer;
    // SAFETY: a processor rotates `rdi` by 128 bits, which leaves it as it was, and changes flags alone. Valgrind reads
    // the six words, and writes its answer.
    unsafe {
        asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") words.as_ptr(),
            inlateout("rdx") 0_usize => answer,
            options(nostack),
        );
    }
    answer
}

/// A function of the sanitizer, for so many bytes from an address on.
type Mark = unsafe extern "C" fn(*const u8, usize);

/// The function that hides memory; `None` in a program without the sanitizer.
fn poisoner() -> Option<Mark> {
    let function = weak!("__asan_poison_memory_region");
    // SAFETY: the function of this name has this type; an address is null or a function's, as the option is.
    unsafe { transmute::<*const core::ffi::c_void, Option<Mark>>(function) }
}

fn unpoison(start: *const u8, bytes: usize) {
    let function = weak!("__asan_unpoison_memory_region");
    // SAFETY: the function of this name has this type; an address is null or a function's, as the option is.
    let unpoison = unsafe { transmute::<*const core::ffi::c_void, Option<Mark>>(function) };
    if let Some(unpoison) = unpoison {
        // SAFETY: it writes to the sanitizer's own table alone.
        unsafe { unpoison(start, bytes) };
    }
}
