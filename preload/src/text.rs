//! Text without a heap: numbers into digits, and lines by write(2).

use core::ffi::c_int;

/// Bytes of the longest text; longer ones are cut.
const MOST: usize = 2048;

/// A text under construction.
pub(crate) struct Text {
    bytes: [u8; MOST],
    len: usize,
}

impl Text {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; MOST], len: 0 }
    }

    pub(crate) fn put(&mut self, text: &str) -> &mut Self {
        for &byte in text.as_bytes() {
            if let Some(place) = self.bytes.get_mut(self.len) {
                *place = byte;
                self.len += 1;
            }
        }
        self
    }

    pub(crate) fn number(&mut self, mut number: usize) -> &mut Self {
        // The largest has 20.
        let mut digits = [0; 20];
        let mut count = 0;
        for place in digits.iter_mut().rev() {
            *place = b'0' + (number % 10) as u8;
            number /= 10;
            count += 1;
            if number == 0 {
                break;
            }
        }
        let shown = digits.iter().skip(digits.len().saturating_sub(count));
        for digit in shown {
            let digit = core::slice::from_ref(digit);
            self.put(core::str::from_utf8(digit).unwrap_or("?"));
        }
        self
    }

    fn written(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// Its bytes, with a 0 behind them.
    pub(crate) fn with_end(&mut self) -> *const libc::c_char {
        self.len = self.len.min(MOST - 1);
        if let Some(end) = self.bytes.get_mut(self.len) {
            *end = 0;
        }
        self.bytes.as_ptr().cast()
    }

    /// Writes it to a file; returns false unless all of it was written.
    ///
    /// It makes the system call itself: the C library's `write` is a cancellation point, and `malloc_stats` must not be
    /// one.
    pub(crate) fn write(&self, file: c_int) -> bool {
        let mut rest = self.written();
        while !rest.is_empty() {
            // SAFETY: the bytes are that many.
            let count = unsafe { libc::syscall(libc::SYS_write, file, rest.as_ptr(), rest.len()) };
            let Some(after) = usize::try_from(count).ok().and_then(|count| rest.get(count..))
            else {
                return false;
            };
            rest = after;
        }
        true
    }
}

/// Writes parts and a line's end to a file.
pub(crate) fn line(file: c_int, parts: &[&str]) {
    let mut text = Text::new();
    for part in parts {
        text.put(part);
    }
    text.put("\n").write(file);
}
