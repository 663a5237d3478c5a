//! Questions about the heap. The answers are about this library's heap, and about the next allocator's if that serves a
//! part.

use crate::text::Text;
use crate::{Preload, errno};
use core::ffi::{c_int, c_void};
use hakmem::{ByAddress, Observe, Usage};

#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(block: *mut c_void) -> usize {
    if block.is_null() {
        return 0;
    }
    // SAFETY: the caller's condition; not null.
    unsafe { Preload::usable_size(block.cast()) }
}

/// Gives unused memory back, and ignores the bytes that the caller would keep. Returns 1 if there was any, else 0.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_trim(_keep: usize) -> c_int {
    c_int::from(Preload::trim())
}

#[unsafe(no_mangle)]
pub extern "C" fn mallinfo2() -> libc::mallinfo2 {
    let Usage { mapped, in_use, large_blocks, large, free_blocks, .. } = Preload::usage();
    let (mapped, in_use) = (mapped.saturating_sub(large), in_use.saturating_sub(large));
    libc::mallinfo2 {
        arena: mapped,
        ordblks: free_blocks,
        smblks: 0,
        hblks: large_blocks,
        hblkhd: large,
        usmblks: 0,
        fsmblks: 0,
        uordblks: in_use,
        fordblks: mapped.saturating_sub(in_use),
        keepcost: 0,
    }
}

/// The figures in numbers that end at 2 GiB: larger ones are cut to that.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo() -> libc::mallinfo {
    let info = mallinfo2();
    let cut = |number: usize| c_int::try_from(number).unwrap_or(c_int::MAX);
    libc::mallinfo {
        arena: cut(info.arena),
        ordblks: cut(info.ordblks),
        smblks: 0,
        hblks: cut(info.hblks),
        hblkhd: cut(info.hblkhd),
        usmblks: 0,
        fsmblks: 0,
        uordblks: cut(info.uordblks),
        fordblks: cut(info.fordblks),
        keepcost: 0,
    }
}

/// The figures of a summary: their words, their keys, and their values now.
fn figures() -> [(&'static str, &'static str, usize); 6] {
    let usage = Preload::usage();
    let free = usage.mapped.saturating_sub(usage.in_use);
    [
        ("bytes in use", "in_use_bytes", usage.in_use),
        ("bytes free", "free_bytes", free),
        ("bytes mapped", "mapped_bytes", usage.mapped),
        ("large blocks", "large_blocks", usage.large_blocks),
        ("bytes in large blocks", "large_bytes", usage.large),
        ("segments", "superslabs", usage.superslabs),
    ]
}

/// A summary in lines, as `malloc_stats` and `HAKMEM_STATS=1` print it.
pub(crate) fn summary() -> Text {
    let mut text = Text::new();
    text.put("hakmem: variant ").put(Preload::ID).put("\n");
    for (words, _, number) in figures() {
        text.put("hakmem: ").put(words).put(" ").number(number).put("\n");
    }
    text
}

/// A summary as JSON.
pub(crate) fn json() -> Text {
    let mut text = Text::new();
    text.put("{\"variant\":\"").put(Preload::ID).put("\"");
    for (_, key, number) in figures() {
        text.put(",\"").put(key).put("\":").number(number);
    }
    text.put("}\n");
    text
}

#[unsafe(no_mangle)]
pub extern "C" fn malloc_stats() {
    summary().write(libc::STDERR_FILENO);
}

/// Prints it as XML; there are no options, so any but 0 is an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_info(options: c_int, file: *mut libc::FILE) -> c_int {
    if options != 0 {
        errno::set(libc::EINVAL);
        return -1;
    }
    let usage = Preload::usage();
    let mut text = Text::new();
    text.put("<malloc version=\"hakmem-").put(env!("CARGO_PKG_VERSION"));
    text.put("\" variant=\"").put(Preload::ID).put("\">\n");
    for (name, count, size) in [
        ("system type=\"current\"", None, usage.mapped),
        ("total type=\"mmap\"", Some(usage.large_blocks), usage.large),
        ("total type=\"rest\"", None, usage.mapped.saturating_sub(usage.in_use)),
        ("in-use", None, usage.in_use),
    ] {
        text.put("<").put(name);
        if let Some(count) = count {
            text.put(" count=\"").number(count).put("\"");
        }
        text.put(" size=\"").number(size).put("\"/>\n");
    }
    text.put("</malloc>\n");
    // SAFETY: the text ends in 0, and the caller answers for the file.
    if unsafe { libc::fputs(text.with_end(), file) } < 0 { -1 } else { 0 }
}
