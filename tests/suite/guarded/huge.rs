//! What the hardened variants do with the addresses and the memory of freed huge blocks: programs in processes of their
//! own.

use super::{alloc, free, layout, read, write};
use crate::access::is_readable;
use crate::refused_mappings::in_a_fork;
use crate::testbed::{Bed, set_clock};
use std::alloc::Layout;
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
    assert!((bed.counted)() > MOST / 2, "what a limit limits");
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
    // One that is too large to be held.
    (0..3).for_each(|_| free(bed, alloc(bed, MOST + 1), MOST + 1));
    bed.audit();
    (bed.purge)();
    let left = mapped().saturating_sub(before);
    // Other parts of the process may have mapped a little.
    assert!(left < MOST / 8, "{left} bytes are left");
}

/// Blocks at multiples of more than a page leave no addresses behind, though some are mapped to find such a multiple.
pub(super) fn aligned_leave_nothing(bed: &Bed, size: usize) {
    let layout = Layout::from_size_align(size, 1 << 20).expect("a layout");
    let come_and_go = || {
        for _ in 0..100 {
            // SAFETY: the size is not 0.
            let block = unsafe { bed.allocator.alloc(layout) };
            assert!(block.addr().is_multiple_of(layout.align()));
            // SAFETY: a live block of that layout.
            unsafe { bed.allocator.dealloc(block, layout) };
        }
        (bed.purge)();
        mapped()
    };
    let before = come_and_go();
    let more = come_and_go().saturating_sub(before);
    assert!(more < 16 << 20, "{more} bytes more");
}

/// A part of the memory of a freed block goes to a smaller one, and the rest goes back.
pub(super) fn rest_goes_back(bed: &Bed, size: usize) {
    const BLOCKS: usize = 40;
    set_clock(1);
    let part = size / 2 + 4096;
    let before = resident();
    let parts: Vec<_> = (0..BLOCKS)
        .map(|_| {
            let block = alloc(bed, size);
            fill(block, size);
            free(bed, block, size);
            alloc(bed, part)
        })
        .collect();
    let more = resident().saturating_sub(before);
    assert!(more < BLOCKS * size * 3 / 4, "{more} bytes for blocks of {part}");
    parts.into_iter().for_each(|block| free(bed, block, part));
}

/// So many blocks have fences at a time, whatever came and went before.
pub(super) fn so_many_have_fences(bed: &Bed, size: usize) {
    const MOST: usize = 8192;
    // Requests that the limit refuses.
    (bed.set_limit)(1 << 20);
    assert!((0..MOST).all(|_| alloc(bed, 2 << 20).is_null()));
    (bed.set_limit)(0);
    for _ in 0..2 {
        let blocks: Vec<_> = (0..MOST + 1000).map(|_| alloc(bed, size)).collect();
        let fenced = blocks.iter().filter(|block| !is_readable(block.wrapping_sub(1))).count();
        // Of the others few lie at the beginning of a mapping, and other code may have one with fences.
        assert!(fenced.abs_diff(MOST) < 100, "{fenced} blocks");
        blocks.into_iter().for_each(|block| free(bed, block, size));
    }
}

/// A block that shrinks and grows where it is counts with its pages.
pub(super) fn counted_by_pages(bed: &Bed, size: usize) {
    (bed.set_limit)(1 << 30);
    let before = (bed.counted)();
    let block = alloc(bed, size);
    for (old, new) in [(size, size - 50_000), (size - 50_000, size - 10_000)] {
        // SAFETY: a live block of that layout.
        assert_eq!(unsafe { bed.allocator.realloc(block, layout(old), new) }, block);
        let pages = new.next_multiple_of(4096);
        assert_eq!((bed.counted)() - before, pages);
    }
    // There is room for more behind the block, but the limit has none.
    (bed.set_limit)((bed.counted)());
    // SAFETY: a live block of that layout.
    let more = unsafe { bed.allocator.realloc(block, layout(size - 10_000), size) };
    assert!(more.is_null());
    free(bed, block, size - 10_000);
    assert_eq!((bed.counted)(), before);
}

/// The flags of the mapping at an address, two letters each, as the kernel lists them.
fn flags(address: *const u8) -> String {
    let smaps = std::fs::read_to_string("/proc/self/smaps").expect("procfs");
    let mut is_here = false;
    for line in smaps.lines() {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let number = |text| usize::from_str_radix(text, 16).ok();
        if let Some((from, to)) = range.and_then(|(from, to)| number(from).zip(number(to))) {
            is_here = (from..to).contains(&address.addr());
        }
        if is_here && line.starts_with("VmFlags:") {
            return line.to_owned();
        }
    }
    panic!("no mapping at {address:?}");
}

/// A core dump has a new block, though the program has kept the one out of it that left the memory.
pub(super) fn dumped_again(bed: &Bed, size: usize) {
    let block = alloc(bed, size);
    fill(block, size);
    let all = size.next_multiple_of(4096);
    // SAFETY: all pages of a live block; the advice changes no content.
    assert_eq!(unsafe { libc::madvise(block.cast(), all, libc::MADV_DONTDUMP) }, 0);
    assert!(flags(block).contains(" dd"));
    free(bed, block, size);
    let next = alloc(bed, size);
    assert!(!flags(next).contains(" dd"), "{}", flags(next));
    free(bed, next, size);
}

/// Where a program locks all that it maps from now on, each new block is locked. A process that may not lock so much is
/// not asked to.
pub(super) fn locked_from_now_on(bed: &Bed, size: usize) {
    let block = alloc(bed, size);
    fill(block, size);
    free(bed, block, size);
    // SAFETY: it takes a number.
    if unsafe { libc::mlockall(libc::MCL_FUTURE) } != 0 {
        return;
    }
    let next = alloc(bed, size);
    if !next.is_null() {
        assert!(flags(next).contains(" lo"), "{}", flags(next));
        free(bed, next, size);
    }
}

/// A block that the program has locked shrinks and grows where it is. The kernel does not take its pages back, and yet
/// what the block has not got is zero: the free finds no write there.
pub(super) fn locked_grows_again(bed: &Bed, size: usize) {
    let block = alloc(bed, size);
    fill(block, size);
    // SAFETY: pages of a live block. A system may allow a program no locked pages.
    unsafe { libc::mlock(block.wrapping_add(size - 40_000).cast(), 40_000) };
    let sizes = [size, size - 30_000, size - 5000];
    for two in sizes.windows(2) {
        // SAFETY: a live block of that layout.
        assert_eq!(unsafe { bed.allocator.realloc(block, layout(two[0]), two[1]) }, block);
    }
    assert!((0..size - 30_000).all(|at| read(block, at) == 0x41));
    free(bed, block, size - 5000);
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
