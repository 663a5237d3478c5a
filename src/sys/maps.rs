//! The mappings of this process, as the kernel lists them in `/proc/self/maps`.
//!
//! Never: allocates, or keeps the file open.

use super::kernel;
use core::ffi::CStr;

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
///
/// No two overlap, also while other threads map. The kernel alone does not promise that: between two reads of the file
/// a mapping can grow downwards over one that is listed already.
pub(crate) fn each(space: &mut Space, visit: impl FnMut(&Mapping<'_>) -> bool) -> bool {
    each_of(c"/proc/self/maps", space, visit)
}

fn each_of(list: &CStr, space: &mut Space, mut visit: impl FnMut(&Mapping<'_>) -> bool) -> bool {
    let path = list.as_ptr().expose_provenance();
    let how = libc::O_RDONLY | libc::O_CLOEXEC;
    let arguments = [libc::AT_FDCWD as usize, path, how as usize, 0, 0, 0];
    // SAFETY: the kernel reads the path, which ends in 0.
    let Some(file) = (unsafe { kernel::call(libc::SYS_openat, arguments) }) else { return false };
    let Space { read, name } = space;
    let mut bytes = Bytes { file, read, at: 0, len: 0 };
    let (mut base, mut before, mut last) = (0, 0, 0);
    while let Some(mut line) = bytes.line(name) {
        let hash = line.name.iter().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3)
        });
        if hash != before || line.name.is_empty() {
            (before, base) = (hash, line.start);
        }
        line.base = base;
        line.start = line.start.max(last);
        if line.start < line.end {
            last = line.end;
            if !visit(&line) {
                break;
            }
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
    use std::ffi::CString;

    #[test]
    fn a_mapping_that_grew_over_a_listed_one_begins_behind_it() {
        let path = std::env::temp_dir().join(format!("hakmem-maps-{}", std::process::id()));
        let lines = [
            "1000-3000 r-xp 00000000 08:01 7   /lib/a",
            "2000-5000 r--p 00002000 08:01 7   /lib/a",
            "4000-5000 rw-p 00000000 00:00 0 ",
            "6000-7000 rw-p 00000000 00:00 0   [heap]\n",
        ];
        std::fs::write(&path, lines.join("\n")).expect("a file");
        let name = CString::new(path.to_str().expect("a name")).expect("no zero");
        let mut seen = Vec::new();
        assert!(each_of(&name, &mut Space { read: [0; READ], name: [0; NAME] }, |mapping| {
            seen.push((mapping.start, mapping.end, mapping.is_code, mapping.base));
            true
        }));
        std::fs::remove_file(&path).expect("it was there");
        let expected = [
            (0x1000, 0x3000, true, 0x1000),
            (0x3000, 0x5000, false, 0x1000),
            (0x6000, 0x7000, false, 0x6000),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn the_program_itself_is_listed() {
        let mut space = Space { read: [0; READ], name: [0; NAME] };
        let here = the_program_itself_is_listed as fn() as usize;
        let program = std::env::current_exe().expect("a path");
        let (mut code, mut found) = (Vec::new(), None);
        assert!(each(&mut space, |mapping| {
            if mapping.is_code {
                code.push(format!("{:08x}-{:08x}", mapping.start, mapping.end));
            }
            if (mapping.start..mapping.end).contains(&here) {
                let name = String::from_utf8_lossy(mapping.name).into_owned();
                found = Some((name, mapping.is_code, mapping.base));
            }
            true
        }));
        let (name, is_code, base) = found.expect("this function lies in a mapping");
        assert!(is_code && base < here);
        assert_eq!(name, program.to_string_lossy());
        // No other test maps code.
        let list = std::fs::read_to_string("/proc/self/maps").expect("a list");
        let is_code =
            |line: &&str| line.split(' ').nth(1).is_some_and(|access| access.contains('x'));
        let all: Vec<_> =
            list.lines().filter(is_code).filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(code, all);
    }
}
