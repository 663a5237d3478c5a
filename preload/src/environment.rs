//! The settings in the environment: `HAKMEM_BACKGROUND`, a thread that gives memory back; `HAKMEM_LIMIT`, a soft limit of
//! memory; `HAKMEM_SAMPLE`, blocks between guard pages; `HAKMEM_AUDIT`, checks of the heap from time to time; and
//! `HAKMEM_STATS`, a summary when the process ends.
//!
//! | `HAKMEM_BACKGROUND` | |
//! |---|---|
//! | unset, empty, `0` | no such thread |
//! | `1` | the thread of `hakmem::background` |
//! | anything else | no such thread; one line at the start names the value |
//!
//! | `HAKMEM_SAMPLE` | |
//! |---|---|
//! | unset, empty, `0` | no block is sampled |
//! | a number up to 1000000000 | one block in so many is sampled, as by `hakmem::sample` |
//! | anything else | none; one line at the start names the value |
//!
//! | `HAKMEM_LIMIT` | |
//! |---|---|
//! | unset, empty, `0` | no limit |
//! | a number, also with `K`, `M`, `G` or `T` behind it | the limit of `hakmem::set_limit`, in bytes, KiB, MiB, GiB or TiB |
//! | anything else | no limit; one line at the start names the value |
//!
//! | `HAKMEM_AUDIT` | |
//! |---|---|
//! | unset, empty, `0` | no checks |
//! | a number, also with `s` or `ms` behind it | checks every so many seconds or milliseconds; a broken heap ends the process |
//! | anything else | no checks; one line at the start names the value |
//!
//! | `HAKMEM_STATS` | at the end |
//! |---|---|
//! | unset, empty, `0` | nothing |
//! | `1` | the summary, on standard error |
//! | a name that ends in `.json` | the summary as JSON, in that file |
//! | anything else | nothing; one line at the start names the value |
//!
//! It uses the library's own lists of functions for start and end, since `atexit` may allocate.

use crate::{Preload, amount, text, watch};
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int};
use core::mem::MaybeUninit;
use hakmem::{ByAddress, Observe};

/// The names of the settings, up to their values.
const STATS: &[u8] = b"HAKMEM_STATS=";
const BACKGROUND: &[u8] = b"HAKMEM_BACKGROUND=";
const SAMPLE: &[u8] = b"HAKMEM_SAMPLE=";

/// The largest value of `HAKMEM_SAMPLE`.
const SAMPLE_MOST: u32 = 1_000_000_000;
const LIMIT: &[u8] = b"HAKMEM_LIMIT=";
const AUDIT: &[u8] = b"HAKMEM_AUDIT=";

/// Bytes of the longest name of a file, with its 0.
const MOST: usize = 4096;

/// Written before `main`, and read when the process ends.
struct Setting<T>(UnsafeCell<T>);

// SAFETY: written before `main`, in the one thread that there is, and read when the process ends.
unsafe impl<T> Sync for Setting<T> {}

/// No value of it begins with 0. So a static lies with the data that the loader writes to anyway, and takes no page of
/// its own.
#[derive(Clone, Copy)]
#[repr(u8)]
enum To {
    Nobody = 1,
    /// Standard error.
    Screen(Screen),
    /// A file, or, on the screen, its error.
    File(Screen),
}

/// Standard error, under a number of its own: programs close theirs before they end.
#[derive(Clone, Copy)]
struct Screen {
    number: c_int,
    /// Device and inode: programs may close any number, and open a file of theirs under it.
    file: Option<(u64, u64)>,
}

static WANTED: Setting<To> = Setting(UnsafeCell::new(To::Nobody));
/// The name of the file. It is a copy, since the program may change the environment.
static NAME: Setting<[u8; MOST]> = Setting(UnsafeCell::new([0; MOST]));

#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: unsafe extern "C" fn(c_int, *const *const c_char, *const *const c_char) = at_start;

#[used]
#[unsafe(link_section = ".fini_array")]
static AT_END: extern "C" fn() = at_end;

/// The value of a name, up to its `=`, in an environment; `None` where it is not set.
///
/// # Safety
/// The environment is as the loader hands it over: addresses of strings, the last one null.
unsafe fn value(mut environment: *const *const c_char, name: &[u8]) -> Option<&'static [u8]> {
    loop {
        // SAFETY: the list goes on to its null.
        let entry = unsafe { environment.read() };
        if entry.is_null() {
            return None;
        }
        // SAFETY: a string that ends in 0. Before `main` no code changes it.
        let entry = unsafe { CStr::from_ptr(entry) };
        if let Some(value) = entry.to_bytes().strip_prefix(name) {
            return Some(value);
        }
        environment = environment.wrapping_add(1);
    }
}

/// # Safety
/// The loader calls it, as glibc's does.
unsafe extern "C" fn at_start(
    _count: c_int,
    _words: *const *const c_char,
    environment: *const *const c_char,
) {
    Preload::prepare();
    // A program with more rights than its user ignores the environment.
    // SAFETY: it takes a number that it knows.
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        return;
    }
    // The C library, which comes after this, may not know the environment yet.
    // SAFETY: the caller's condition.
    let stats = unsafe { value(environment, STATS) };
    // SAFETY: the environment is as the loader hands it over, by the caller's condition.
    let background = unsafe { value(environment, BACKGROUND) };
    // SAFETY: the environment is as the loader hands it over, by the caller's condition.
    set_limit(unsafe { value(environment, LIMIT) });
    // SAFETY: the environment is as the loader hands it over, by the caller's condition.
    set_audit(unsafe { value(environment, AUDIT) });
    match background {
        None | Some(b"" | b"0") => {}
        // The thread itself starts later, in a place where it may.
        Some(b"1") => {
            Preload::background();
        }
        Some(other) => ignored("hakmem: HAKMEM_BACKGROUND=", other, " is ignored; allowed: 0, 1"),
    }
    // SAFETY: the environment is as the loader hands it over, by the caller's condition.
    if let Some(value) = unsafe { value(environment, SAMPLE) } {
        sample(value);
    }
    let Some(value) = stats else { return };
    let to = match value {
        b"" | b"0" => return,
        b"1" => To::Screen(Screen::open()),
        name if name.ends_with(b".json") && name.len() < MOST => {
            // SAFETY: before `main` there is one thread, this one.
            let file = unsafe { &mut *NAME.0.get() };
            for (place, &byte) in file.iter_mut().zip(name) {
                *place = byte;
            }
            To::File(Screen::open())
        }
        other => {
            let allowed = " is ignored; allowed: 0, 1, or the name of a file that ends in .json";
            return ignored("hakmem: HAKMEM_STATS=", other, allowed);
        }
    };
    // SAFETY: before `main` there is one thread, this one.
    unsafe { WANTED.0.get().write(to) };
}

/// Switches samples on, or says why not.
fn sample(value: &[u8]) {
    let name = "hakmem: HAKMEM_SAMPLE=";
    match number(value) {
        Some(mean) if Preload::sample(mean) => {}
        Some(_) => ignored(
            name,
            value,
            " is ignored: this variant samples no blocks, or memory is exhausted",
        ),
        None => ignored(name, value, " is ignored; allowed: a number from 0 to 1000000000"),
    }
}

/// The number that decimal digits name; nothing names 0. `None` for anything else, and above [`SAMPLE_MOST`].
fn number(digits: &[u8]) -> Option<u32> {
    let add = |number: u32, digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit).filter(|number| *number <= SAMPLE_MOST)
    };
    digits.iter().try_fold(0, add)
}

/// Sets the limit, if there is to be one.
fn set_limit(limit: Option<&[u8]>) {
    let Some(value) = limit.filter(|value| !value.is_empty()) else { return };
    match amount::bytes(value) {
        Some(0) => {}
        Some(bytes) if Preload::set_limit(bytes) => {}
        Some(_) => {
            ignored("hakmem: HAKMEM_LIMIT=", value, " is ignored; this library has no limit");
        }
        None => {
            let allowed =
                " is ignored; allowed: a number of bytes, or one with K, M, G or T behind it";
            ignored("hakmem: HAKMEM_LIMIT=", value, allowed);
        }
    }
}

/// Sets the time from one audit to the next, if there are to be any.
fn set_audit(audit: Option<&[u8]>) {
    let Some(value) = audit.filter(|value| !value.is_empty()) else { return };
    match amount::milliseconds(value) {
        Some(0) => {}
        Some(ms) if Preload::audit_every(ms as u64) => {}
        Some(_) => {
            ignored("hakmem: HAKMEM_AUDIT=", value, " is ignored; this library has no audits");
        }
        None => {
            let allowed =
                " is ignored; allowed: a number of seconds, or one with s or ms behind it";
            ignored("hakmem: HAKMEM_AUDIT=", value, allowed);
        }
    }
}

/// Says in one line that a value has no meaning.
fn ignored(name: &str, value: &[u8], allowed: &str) {
    let shown = core::str::from_utf8(value).unwrap_or("(no text)");
    text::line(libc::STDERR_FILENO, &[name, shown, allowed]);
}

impl Screen {
    /// Standard error under a number that no program asks for; under its own if that cannot be had.
    fn open() -> Self {
        const UNUSUAL: c_int = 700;
        // SAFETY: it takes numbers.
        let copy = unsafe { libc::fcntl(libc::STDERR_FILENO, libc::F_DUPFD_CLOEXEC, UNUSUAL) };
        let number = if copy < 0 { libc::STDERR_FILENO } else { copy };
        Self { number, file: file_at(number) }
    }

    /// Its number, if that is still this file.
    fn number(self) -> Option<c_int> {
        let now = file_at(self.number);
        (now.is_some() && now == self.file).then_some(self.number)
    }
}

/// Device and inode of an open file.
fn file_at(number: c_int) -> Option<(u64, u64)> {
    let mut about = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: it has room for what it writes.
    if unsafe { libc::fstat(number, about.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: written, since it did not fail.
    let about = unsafe { about.assume_init() };
    Some((about.st_dev, about.st_ino))
}

extern "C" fn at_end() {
    Preload::check_at_end();
    // SAFETY: written before `main` only.
    match unsafe { WANTED.0.get().read() } {
        To::Nobody => {}
        To::Screen(screen) => {
            if let Some(number) = screen.number() {
                watch::summary().write(number);
            }
        }
        To::File(screen) => write_file(screen),
    }
}

fn write_file(screen: Screen) {
    let name = NAME.0.get().cast::<c_char>();
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_CLOEXEC;
    let mode: c_int = 0o644;
    // SAFETY: the name was copied with a 0 behind it.
    let file = unsafe { libc::open(name, flags, mode) };
    if (file < 0 || !watch::json().write(file))
        && let Some(screen) = screen.number()
    {
        // SAFETY: the name was copied with a 0 behind it.
        let name = unsafe { CStr::from_ptr(name) };
        let shown = core::str::from_utf8(name.to_bytes()).unwrap_or("(no text)");
        text::line(screen, &["hakmem: HAKMEM_STATS=", shown, " cannot be written"]);
    }
    if file >= 0 {
        // SAFETY: opened above.
        unsafe { libc::close(file) };
    }
}
