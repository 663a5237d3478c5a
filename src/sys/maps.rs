//! The mappings of this process, as the kernel lists them in `/proc/self/maps`.
//!
//! Never: allocates, or keeps the file open.

use super::kernel;

/// Bytes that one read of the file asks for.
const READ: usize = 4096;
/// Bytes of a name that are kept. A longer one is cut.
const NAME: usize = 256;

/// Memory for a look at the mappings. The caller owns it, since a signal handler's stack may be small. All bytes zero
/// is a valid one.
pub(crate) struct Space {
    read: [u8; READ],
    name: [u8; NAME],
}

/// One line of the list.
pub(crate) struct Mapping<'a> {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// True if the processor may run what is there.
    pub(crate) is_code: bool,
    /// The start of the first mapping of the same file, of those in a row.
    pub(crate) base: usize,
    /// The file's name, or the kernel's word in brackets; empty for plain memory.
    pub(crate) name: &'a [u8],
}

/// Calls `visit` with each mapping, by address, until it returns false. False if the list cannot be read.
pub(crate) fn each(space: &mut Space, mut visit: impl FnMut(&Mapping<'_>) -> bool) -> bool {
    let path = c"/proc/self/maps".as_ptr().expose_provenance();
    let how = libc::O_RDONLY | libc::O_CLOEXEC;
    let arguments = [libc::AT_FDCWD as usize, path, how as usize, 0, 0, 0];
    // SAFETY: the kernel reads the path, which ends in 0.
    let Some(file) = (unsafe { kernel::call(libc::SYS_openat, arguments) }) else { return false };
    let Space { read, name } = space;
    let mut bytes = Bytes { file, read, at: 0, len: 0 };
    let (mut base, mut before) = (0, 0);
    while let Some(mut line) = bytes.line(name) {
        let hash = line.name.iter().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3)
        });
        if hash != before || line.name.is_empty() {
            (before, base) = (hash, line.start);
        }
        line.base = base;
        if !visit(&line) {
            break;
        }
    }
    // SAFETY: opened above.
    let _ = unsafe { kernel::call(libc::SYS_close, [file, 0, 0, 0, 0, 0]) };
    true
}

/// The file, byte by byte.
struct Bytes<'a> {
    file: usize,
    read: &'a mut [u8; READ],
    at: usize,
    len: usize,
}

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        if self.at == self.len {
            let arguments = [self.file, self.read.as_mut_ptr().expose_provenance(), READ, 0, 0, 0];
            // SAFETY: the kernel writes at most that many bytes, for which there is room.
            let count = unsafe { kernel::call(libc::SYS_read, arguments) }?;
            (self.at, self.len) = (0, count.min(READ));
        }
        let byte = self.read.get(..self.len)?.get(self.at)?;
        self.at += 1;
        Some(*byte)
    }

    /// A number in hexadecimal digits, and the byte behind it.
    fn number(&mut self) -> Option<usize> {
        let mut number = 0;
        loop {
            let digit = match self.next()? {
                byte @ b'0'..=b'9' => byte - b'0',
                byte @ b'a'..=b'f' => byte - b'a' + 10,
                _ => return Some(number),
            };
            number = number << 4 | usize::from(digit);
        }
    }

    /// The next line. Its name is put into `name`.
    fn line<'a>(&mut self, name: &'a mut [u8; NAME]) -> Option<Mapping<'a>> {
        let (start, end) = (self.number()?, self.number()?);
        let mut is_code = false;
        // The access, the offset, the device and the number of the file end in a space each.
        for field in 0..4 {
            loop {
                match self.next()? {
                    b' ' => break,
                    byte => is_code |= field == 0 && byte == b'x',
                }
            }
        }
        let mut len = 0;
        loop {
            match self.next()? {
                b'\n' => break,
                b' ' if len == 0 => {}
                byte => {
                    if let Some(place) = name.get_mut(len) {
                        *place = byte;
                        len += 1;
                    }
                }
            }
        }
        let name = name.get(..len).unwrap_or_default();
        Some(Mapping { start, end, is_code, base: start, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_itself_is_listed() {
        let mut space = Space { read: [0; READ], name: [0; NAME] };
        let here = the_program_itself_is_listed as fn() as usize;
        let program = std::env::current_exe().expect("a path");
        let (mut count, mut last, mut found) = (0_usize, 0, None);
        assert!(each(&mut space, |mapping| {
            assert!(mapping.start >= last && mapping.end > mapping.start);
            (count, last) = (count + 1, mapping.end);
            if (mapping.start..mapping.end).contains(&here) {
                let name = String::from_utf8_lossy(mapping.name).into_owned();
                found = Some((name, mapping.is_code, mapping.base));
            }
            true
        }));
        let (name, is_code, base) = found.expect("this function lies in a mapping");
        assert!(is_code && base < here && count > 5);
        assert_eq!(name, program.to_string_lossy());
        let all = std::fs::read_to_string("/proc/self/maps").expect("a list").lines().count();
        assert!(count.abs_diff(all) < 20, "{count} {all}");
    }
}
