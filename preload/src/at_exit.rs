//! `HAKMEM_STATS`: a summary when the process ends.
//!
//! | value | at the end |
//! |---|---|
//! | unset, empty, `0` | nothing |
//! | `1` | the summary, on standard error |
//! | a name that ends in `.json` | the same as JSON, in that file |
//! | anything else | is named in one line at the start, and ignored |
//!
//! In the library's own lists of functions for start and end, not by `atexit`, which may allocate.

use crate::{text, watch};
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int};

unsafe extern "C" {
    // Not in the `libc` crate; glibc's.
    fn secure_getenv(name: *const c_char) -> *const c_char;
}

/// Bytes of the longest name of a file, with its 0.
const MOST: usize = 4096;

struct Wanted {
    to: UnsafeCell<To>,
    /// A copy: the environment is the program's to change.
    file: UnsafeCell<[u8; MOST]>,
}

// SAFETY: written before `main`, in the one thread that there is, and read when the process ends.
unsafe impl Sync for Wanted {}

#[derive(Clone, Copy)]
enum To {
    Nobody,
    Screen,
    File,
}

static WANTED: Wanted =
    Wanted { to: UnsafeCell::new(To::Nobody), file: UnsafeCell::new([0; MOST]) };

#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = at_start;

#[used]
#[unsafe(link_section = ".fini_array")]
static AT_END: extern "C" fn() = at_end;

extern "C" fn at_start() {
    // Not in a program that has more rights than who started it.
    // SAFETY: the name ends in 0; nobody changes the environment yet.
    let value: *const c_char = unsafe { secure_getenv(c"HAKMEM_STATS".as_ptr()) };
    if value.is_null() {
        return;
    }
    // SAFETY: it is the string that it was set to, which nobody changes yet.
    let value = unsafe { CStr::from_ptr(value) };
    let to = match value.to_bytes() {
        b"" | b"0" => return,
        b"1" => To::Screen,
        name if name.ends_with(b".json") && name.len() < MOST => {
            // SAFETY: before `main`: nobody else has it.
            let file = unsafe { &mut *WANTED.file.get() };
            for (place, &byte) in file.iter_mut().zip(name) {
                *place = byte;
            }
            To::File
        }
        other => {
            let shown = core::str::from_utf8(other).unwrap_or("(no text)");
            return text::line(&[
                "hakmem: HAKMEM_STATS=",
                shown,
                " is ignored; allowed: 0, 1, or the name of a file that ends in .json",
            ]);
        }
    };
    // SAFETY: as above.
    unsafe { WANTED.to.get().write(to) };
}

extern "C" fn at_end() {
    // SAFETY: written before `main` only.
    match unsafe { WANTED.to.get().read() } {
        To::Nobody => {}
        To::Screen => {
            watch::summary().write(libc::STDERR_FILENO);
        }
        To::File => write_file(),
    }
}

fn write_file() {
    let name = WANTED.file.get().cast::<c_char>();
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_CLOEXEC;
    let mode: c_int = 0o644;
    // SAFETY: the name was copied with a 0 behind it.
    let file = unsafe { libc::open(name, flags, mode) };
    if file < 0 || !watch::json().write(file) {
        // SAFETY: as above.
        let name = unsafe { CStr::from_ptr(name) };
        let shown = core::str::from_utf8(name.to_bytes()).unwrap_or("(no text)");
        text::line(&["hakmem: HAKMEM_STATS=", shown, " cannot be written"]);
    }
    if file >= 0 {
        // SAFETY: opened above.
        unsafe { libc::close(file) };
    }
}
