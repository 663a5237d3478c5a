//! Every call to the kernel for memory is refused in turn, and nothing is lost.
//!
//! This program has an `mmap` and an `mremap` of its own, which the library's calls reach before the C
//! library's: they count, and refuse the one that a case names and all after it, or that one alone.

use crate::testbed::{apex, child};
use core::ffi::{c_int, c_void};
use std::alloc::Layout;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Calls until one is refused; 0 and below: none.
static UNTIL: AtomicU32 = AtomicU32::new(0);
static AND_ALL_AFTER: AtomicBool = AtomicBool::new(false);

/// Whether this call is to be refused.
fn refused() -> bool {
    // ORDERING: relaxed; one thread allocates while it counts.
    let left = UNTIL.load(Ordering::Relaxed);
    if left == 0 {
        return false;
    }
    let stays = left == 1 && AND_ALL_AFTER.load(Ordering::Relaxed);
    UNTIL.store(if stays { 1 } else { left - 1 }, Ordering::Relaxed);
    left == 1
}

fn out_of_memory() -> *mut c_void {
    // SAFETY: it returns the address of this thread's `errno`.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    unsafe { errno.write(libc::ENOMEM) };
    libc::MAP_FAILED
}

/// In place of the C library's.
///
/// # Safety
/// As for mmap(2).
#[unsafe(no_mangle)]
unsafe extern "C" fn mmap(
    start: *mut c_void,
    bytes: usize,
    access: c_int,
    flags: c_int,
    file: c_int,
    offset: i64,
) -> *mut c_void {
    if refused() {
        return out_of_memory();
    }
    // SAFETY: the caller's condition.
    let start = unsafe { libc::syscall(libc::SYS_mmap, start, bytes, access, flags, file, offset) };
    std::ptr::with_exposed_provenance_mut(start as usize)
}

/// In place of the C library's.
///
/// # Safety
/// As for mremap(2).
#[unsafe(no_mangle)]
unsafe extern "C" fn mremap(
    start: *mut c_void,
    old: usize,
    new: usize,
    flags: c_int,
    to: *mut c_void,
) -> *mut c_void {
    if refused() {
        return out_of_memory();
    }
    // SAFETY: the caller's condition.
    let start = unsafe { libc::syscall(libc::SYS_mremap, start, old, new, flags, to) };
    std::ptr::with_exposed_provenance_mut(start as usize)
}

const SIZES: [usize; 12] =
    [16, 100, 1000, 5000, 30_000, 40_000, 70_000, 200_000, 600_000, 1 << 20, 3 << 20, 9 << 20];

/// Blocks of all sizes, grown and shrunk, each checked; returns how many requests got null.
fn live_a_little() -> u32 {
    let allocator = apex().allocator;
    let mut nulls = 0;
    let mut blocks = Vec::with_capacity(SIZES.len() * 3);
    for size in SIZES.into_iter().cycle().take(SIZES.len() * 3) {
        let layout = Layout::from_size_align(size, 16).expect("a layout");
        // SAFETY: the size is not 0.
        let block = unsafe { allocator.alloc_zeroed(layout) };
        if block.is_null() {
            nulls += 1;
            continue;
        }
        // SAFETY: the block has `size` bytes, all zero.
        let bytes = unsafe { std::slice::from_raw_parts_mut(block, size) };
        assert!(bytes.iter().all(|&byte| byte == 0), "{size} bytes are not zero");
        bytes.fill(size as u8 | 1);
        blocks.push((block, layout));
    }
    for (block, layout) in &mut blocks {
        let old = layout.size();
        for new in [old * 2, old / 3 + 1, old + 5000] {
            // SAFETY: the block is live, with this layout.
            let moved = unsafe { allocator.realloc(*block, *layout, new) };
            if moved.is_null() {
                nulls += 1;
            } else {
                *block = moved;
                *layout = Layout::from_size_align(new, 16).expect("a layout");
            }
            let kept = layout.size().min(old / 3 + 1);
            // SAFETY: the block has that many bytes, wherever it is now.
            let bytes = unsafe { std::slice::from_raw_parts(*block, kept) };
            assert!(bytes.iter().all(|&byte| byte == old as u8 | 1), "content of {old} bytes");
        }
    }
    for (block, layout) in blocks {
        // SAFETY: live, with this layout.
        unsafe { allocator.dealloc(block, layout) };
    }
    nulls
}

/// What a child does: the call of this number is refused, and all after it or that one alone.
pub(crate) fn run(until: &str, after: &str) {
    let (until, all) = (until.parse().expect("a number"), after == "all");
    let thread = std::thread::spawn(move || {
        // ORDERING: relaxed; read by this thread.
        AND_ALL_AFTER.store(all, Ordering::Relaxed);
        UNTIL.store(until, Ordering::Relaxed);
        let nulls = live_a_little();
        let reached = UNTIL.swap(0, Ordering::Relaxed) <= 1;
        // Memory is back: nothing was lost, and all is as ever.
        assert_eq!(live_a_little(), 0);
        println!("nulls {nulls} reached {reached}");
    });
    thread.join().expect("no panic");
    assert_eq!(apex().audit().live(), 0);
}

#[test]
fn each_in_turn() {
    for after in ["one", "all"] {
        let mut refused = 0;
        for until in 1.. {
            let output = child(&["refused_mappings", &until.to_string(), after]);
            let stdout = String::from_utf8_lossy(&output.stdout);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "call {until} and {after}: {stderr}");
            if stdout.contains("reached false") {
                break;
            }
            refused += u32::from(!stdout.contains("nulls 0"));
        }
        // One refusal alone is not felt where what waits to be used again is given up for it.
        let felt = after == "one" || refused > 3;
        assert!(felt, "only {refused} refusals were felt: are the calls counted?");
    }
}
