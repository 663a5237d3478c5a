//! What the hardened variants do with the addresses and the memory of freed huge blocks: programs in processes of their
//! own.

use super::{alloc, free, layout, read, write};
use crate::refused_mappings::in_a_fork;
use crate::testbed::{Bed, set_clock};
use std::collections::HashSet;

/// Bytes of addresses that the process has.
fn mapped() -> usize {
    statm(0)
}

/// Bytes of memory that the process has.
fn resident() -> usize {
    statm(1)
}

fn statm(column: usize) -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("procfs");
    let pages = statm.split(' ').nth(column).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("pages") * 4096
}

/// Page faults of this thread.
fn faults() -> i64 {
    // SAFETY: all zero is a value of this type.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is writable.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) }, 0);
    usage.ru_minflt
}

/// Fills a block, so that all of it has memory.
fn fill(block: *mut u8, size: usize) {
    // SAFETY: a live block of that size.
    unsafe { block.write_bytes(0x41, size) };
}

/// New blocks, all zero and at other addresses, seldom need new pages.
pub(super) fn memory_moves(bed: &Bed, size: usize) {
    const ROUNDS: usize = 20;
    for sizes in [[size, size], [size, size - 9000], [size, size * 2 / 3]] {
        free(bed, alloc(bed, size), size);
        let mut seen = HashSet::new();
        let before = faults();
        for round in 0..ROUNDS {
            let size = sizes[round % 2];
            let block = alloc(bed, size);
            assert!((0..size).step_by(509).all(|at| read(block, at) == 0), "{round}");
            assert!(read(block, size - 1) == 0 && seen.insert(block.addr()), "{round}");
            fill(block, size);
            free(bed, block, size);
        }
        // A fresh page would take two: when it is read, and when it is written to.
        let faults = (faults() - before) as usize;
        assert!(faults < ROUNDS * size / 4096 * 3 / 2, "{sizes:?}: {faults} page faults");
        bed.audit();
    }
    // What moved with a block's pages is not the new bytes of a block that grows.
    let block = alloc(bed, size);
    fill(block, size);
    // SAFETY: a live block of that layout.
    let block = unsafe { bed.allocator.realloc(block, layout(size), 3 * size) };
    assert!((0..size).all(|at| read(block, at) == 0x41));
    assert!((size..3 * size).all(|at| read(block, at) == 0));
    free(bed, block, 3 * size);
}

/// What a program does to the pages of its block reaches no new block: shared memory, pages that no child has, pages that
/// can't be written to.
pub(super) fn mapping_changed(bed: &Bed, size: usize) {
    // All of its pages: the kernel moves no part of a mapping together with another one.
    const ALL: usize = 245 * 4096;
    assert!((1..=4096).contains(&(ALL - size + 1)));
    let changes: [fn(*mut u8) -> bool; 3] = [
        |block| {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
            // SAFETY: pages of a live block, which no other code uses.
            let page = unsafe { libc::mmap(block.cast(), ALL, access, flags, -1, 0) };
            page == block.cast()
        },
        // SAFETY: pages of a live block; the advice changes no content.
        |block| unsafe { libc::madvise(block.cast(), ALL, libc::MADV_DONTFORK) == 0 },
        // SAFETY: pages of a live block, to which no code writes from now on.
        |block| unsafe { libc::mprotect(block.cast(), ALL, libc::PROT_READ) == 0 },
    ];
    for change in changes {
        let block = alloc(bed, size);
        fill(block, size);
        assert!(change(block));
        free(bed, block, size);
        let next = alloc(bed, size);
        fill(next, size);
        in_a_fork(|| {
            assert!((0..size).all(|at| read(next, at) == 0x41));
            write(next, 0, 0x42);
        });
        assert_eq!(read(next, 0), 0x41, "a child writes to this process's memory");
        free(bed, next, size);
    }
}

/// Freed blocks keep a bounded part of their memory, until a round of purging or a limit.
pub(super) fn memory_goes_back(bed: &Bed, size: usize) {
    const MOST: usize = 32 << 20;
    const SLACK: usize = 2 << 20;
    let freed = || {
        let blocks: Vec<_> = (0..60).map(|_| alloc(bed, size)).collect();
        blocks.iter().for_each(|&block| fill(block, size));
        blocks.into_iter().for_each(|block| free(bed, block, size));
        bed.audit();
    };
    set_clock(1);
    freed();
    set_clock(10_000);
    (bed.purge)();
    let before = resident();
    let kept = || resident().saturating_sub(before);
    freed();
    assert!((MOST / 2..MOST + SLACK).contains(&kept()), "{} bytes", kept());
    set_clock(20_000);
    for _ in 0..100 {
        free(bed, alloc(bed, 200_000), 200_000);
    }
    assert!(kept() < SLACK, "{} bytes after a round", kept());
    freed();
    assert!(kept() > MOST / 2, "{} bytes", kept());
    (bed.purge)();
    assert!(kept() < SLACK, "{} bytes after a purge", kept());
    freed();
    (bed.set_limit)(1 << 30);
    assert!(kept() < SLACK, "{} bytes under a limit", kept());
    freed();
    assert!(kept() < SLACK, "{} bytes under a limit", kept());
}

/// The addresses of freed huge blocks are held, but not too many, and none after a purge.
pub(super) fn addresses_held(bed: &Bed, size: usize) {
    const MOST: usize = 64 << 20;
    const BLOCKS: usize = 300;
    // The page map gets its part for these addresses, which it keeps.
    (0..BLOCKS).for_each(|_| free(bed, alloc(bed, size), size));
    (bed.purge)();
    let before = mapped();
    for n in 1..BLOCKS {
        free(bed, alloc(bed, size), size);
        let held = mapped().saturating_sub(before);
        assert!(held <= MOST + 4096 * 600, "{held} bytes are held");
        assert!(held >= (n * size).min(MOST / 2), "{held} bytes are held, of {n} blocks");
    }
    (bed.purge)();
    let left = mapped().saturating_sub(before);
    assert!(left < size, "{left} bytes are left");
}

/// Threads that come and go leave no addresses behind.
pub(super) fn threads_leave_nothing(bed: &'static Bed, size: usize) {
    let come_and_go = || {
        for _ in 0..200 {
            let work = move || (0..10).for_each(|_| free(bed, alloc(bed, size), size));
            std::thread::spawn(work).join().expect("no panic");
        }
    };
    come_and_go();
    let before = mapped();
    come_and_go();
    let more = mapped().saturating_sub(before);
    assert!(more < 1 << 20, "{more} bytes more");
}
