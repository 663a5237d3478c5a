//! Memory goes back to the kernel, and nothing grows without bound. For `apex`, in children, whose
//! resident memory is theirs alone; `purge` is called, so nothing here waits.

mod common;

use common::Filled;
use hakmem::{Apex, Observe};
use std::alloc::{GlobalAlloc, Layout};
use std::sync::mpsc;
use std::thread;

const MIB: usize = 1 << 20;

type Filling = Filled<Apex>;

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("procfs");
    let pages = statm.split(' ').nth(1).expect("resident pages");
    pages.parse::<usize>().expect("a number") * 4096
}

/// A number like random, and the same in every run.
fn mixed(n: usize) -> usize {
    (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) as usize
}

/// A peak of blocks of 16 to 1039 bytes, of which those stay that `keep` names: bytes that stay,
/// resident bytes at the peak, and after a purge.
fn survivors(keep: impl Fn(usize) -> bool) -> (usize, usize, usize) {
    const COUNT: usize = 150_000;
    let before = resident();
    let mut blocks: Vec<Option<Filling>> = Vec::with_capacity(COUNT);
    blocks.extend((0..COUNT).map(|n| Some(Filling::new(16 + mixed(n) % 1024, 8, n as u8))));
    let peak = resident() - before;
    for (_, block) in blocks.iter_mut().enumerate().filter(|(n, _)| !keep(*n)) {
        *block = None;
    }
    Apex::purge();
    let after = resident() - before;
    let live = blocks.iter().flatten().map(|block| block.layout.size()).sum();
    // They check their content as they go.
    drop(blocks);
    (live, peak, after)
}

fn oldest_tenth() {
    let (live, peak, after) = survivors(|n| n < 15_000);
    assert!(after <= live * 3 / 2 + 4 * MIB, "{live} live, {peak} at the peak, {after} after");
}

fn random_tenth() {
    let (live, peak, after) = survivors(|n| mixed(n * 7 + 3).is_multiple_of(10));
    assert!(after <= peak * 65 / 100, "{live} live, {peak} at the peak, {after} after");
}

/// All of it gone: what stays mapped is the chunks that are kept for the next.
fn nothing_left() {
    let (_, _, after) = survivors(|_| false);
    Apex::purge();
    assert!(after < 6 * MIB, "{after}");
    assert_eq!(common::audit::<Apex>().live(), 0);
}

/// A thread that only frees: neither it nor the one that allocates grows.
fn a_freer_that_never_allocates() {
    let (send, receive) = mpsc::sync_channel::<Filling>(256);
    let freer = thread::spawn(move || receive.into_iter().for_each(drop));
    let mut after_a_while = 0;
    for n in 0..400_000 {
        send.send(Filling::new(16 + mixed(n) % 1024, 8, n as u8)).expect("the freer");
        if n == 100_000 {
            after_a_while = resident();
        }
    }
    drop(send);
    freer.join().expect("no panic");
    assert!(resident() < after_a_while + 3 * MIB, "{after_a_while} to {}", resident());
}

fn threads_come_and_go() {
    let live = |n: usize| {
        let blocks: Vec<_> =
            (0..200).map(|k| Filling::new(16 + mixed(n + k) % 4096, 8, 1)).collect();
        drop(blocks);
    };
    let round = |from: usize| {
        for n in (from..from + 500).step_by(4) {
            let threads: Vec<_> = (n..n + 4).map(|n| thread::spawn(move || live(n))).collect();
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        }
    };
    round(0);
    let (before, chunks) = (resident(), Apex::superslabs());
    round(500);
    assert!(resident() < before + 2 * MIB, "{before} to {}", resident());
    assert!(Apex::superslabs() <= chunks + 1, "{chunks} to {}", Apex::superslabs());
}

/// As much is live all the time, but of sizes that drift, as over a week of uptime: no memory may stay
/// behind with sizes that nobody wants any more.
fn sizes_drift() {
    const COUNT: usize = 10_000;
    let mut blocks: Vec<Filling> = Vec::with_capacity(COUNT);
    let mut most = 0;
    for step in 0..168 {
        let base = 16 + (mixed(step) % 64) * 32;
        for n in 0..COUNT / 2 {
            let size = base + mixed(step * COUNT + n) % 64;
            let block = Filling::new(size, 8, n as u8);
            if blocks.len() < COUNT {
                blocks.push(block);
            } else {
                let at = mixed(n + step) % COUNT;
                blocks[at] = block;
            }
        }
        Apex::purge();
        let live: usize = blocks.iter().map(|block| block.layout.size()).sum();
        most = most.max(resident().saturating_sub(live));
    }
    // As much again as the largest step, and some: blocks of sizes long gone hold pages of theirs.
    assert!(most < 16 * MIB, "{most} beyond what is live");
}

/// One block of each size class: what a class that is hardly used costs.
fn slack_per_class() {
    drop(Filling::new(64, 8, 1));
    let before = resident();
    let blocks: Vec<_> = (0..500)
        .map(|n| 16 + n * 64)
        .filter(|&size| size <= 32_768)
        .map(|size| Filling::new(size, 8, 1))
        .collect();
    let live: usize = blocks.iter().map(|block| block.layout.size()).sum();
    let slack = (resident() - before).saturating_sub(live) / Apex::CLASSES;
    assert!(slack < 32 * 1024, "{slack} bytes per class");
}

/// Neither small nor large blocks, nor threads, nor what does not fit, come from the system's malloc.
fn never_the_system_s_malloc() {
    let in_use = || {
        // SAFETY: it only reads the C library's own counters.
        let info = unsafe { libc::mallinfo2() };
        (info.uordblks, info.hblkhd)
    };
    let allocator = Apex;
    let layouts: [Layout; 9] = [
        (1, 1),
        (16, 16),
        (1000, 8),
        (2049, 64),
        (32_768, 4096),
        (40_000, 8),
        (300_000, 1 << 17),
        (3 << 20, 8),
        (100, 1 << 22),
    ]
    .map(|(size, align)| Layout::from_size_align(size, align).expect("a layout"));
    let mut blocks = [std::ptr::null_mut(); 9];
    let before = in_use();
    for _ in 0..3 {
        for (block, &layout) in blocks.iter_mut().zip(&layouts) {
            // SAFETY: no size is 0.
            *block = unsafe { allocator.alloc(layout) };
            assert!(!block.is_null() && block.addr().is_multiple_of(layout.align()), "{layout:?}");
        }
        assert_eq!(in_use(), before);
        for (&block, &layout) in blocks.iter().zip(&layouts) {
            // SAFETY: allocated above, with this layout.
            unsafe { allocator.dealloc(block, layout) };
        }
    }
}

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        /// Not a test of its own: what a child of the tests below runs.
        #[test]
        fn as_child() {
            match common::case().as_deref() {
                $(Some(stringify!($name)) => $name(),)*
                _ => {}
            }
        }

        mod apex {
            $(#[test]
            fn $name() {
                let output = super::common::child(stringify!($name));
                let stderr = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{stderr}");
            })*
        }
    };
}
cases!(
    oldest_tenth,
    random_tenth,
    nothing_left,
    a_freer_that_never_allocates,
    threads_come_and_go,
    sizes_drift,
    slack_per_class,
    never_the_system_s_malloc,
);
