//! The one way out when memory is corrupt: one line on standard error, then abort.
//!
//! Never: formats on the heap, takes a lock, or returns.

use super::kernel;

/// Bytes of the longest line; longer ones are cut.
const LINE: usize = 160;

/// Writes `hakmem: fatal: <what> 0x<address>` by write(2) and aborts.
#[cold]
#[inline(never)]
pub(crate) fn fatal(what: &str, address: usize) -> ! {
    fatal_in([what], address)
}

/// Writes `hakmem: fatal: <parts of what> 0x<address>` by write(2) and aborts.
#[cold]
#[inline(never)]
pub(crate) fn fatal_in<const PARTS: usize>(what: [&str; PARTS], address: usize) -> ! {
    let mut line = [0; LINE];
    let mut len = 0;
    let mut put = |bytes: &[u8]| {
        for &byte in bytes {
            if len < LINE {
                line[len] = byte;
                len += 1;
            }
        }
    };
    put(b"hakmem: fatal: ");
    // Only `what` can be cut: the address and the line end always fit.
    let what = what.iter().flat_map(|part| part.as_bytes());
    for byte in what.take(120) {
        put(core::slice::from_ref(byte));
    }
    put(b" 0x");
    let digits = (64 - (address | 1).leading_zeros()).div_ceil(4);
    for place in (0..digits).rev() {
        put(&[b"0123456789abcdef"[address >> (4 * place) & 0xF]]);
    }
    put(b"\n");
    kernel::write_error(line.get(..len).unwrap_or(&line));
    std::process::abort()
}
