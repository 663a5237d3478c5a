//! Memory goes back to the kernel, and nothing grows without bound. The tests are for `apex`, in children, whose
//! resident memory is theirs alone. They call `purge`, or stop time, so nothing here waits.

use crate::testbed::{Bed, Filled, apex, child_succeeds, join_all, set_clock};
use std::alloc::Layout;
use std::collections::HashSet;
use std::sync::{Barrier, Mutex, mpsc};
use std::thread;

const MIB: usize = 1 << 20;

/// A block of the default variant.
fn filling(size: usize, pattern: u8) -> Filled {
    Filled::new(apex(), size, 8, pattern)
}

pub(crate) fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("procfs");
    let pages = statm.split(' ').nth(1).expect("resident pages");
    pages.parse::<usize>().expect("a number") * 4096
}

/// A pseudo-random number, equal in every run.
fn mixed(n: usize) -> usize {
    (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) as usize
}

/// A peak of blocks of 16 to 1039 bytes, of which the test keeps those that `keep` names. Returns the kept bytes, and
/// the resident bytes at the peak and after a purge.
fn survivors(keep: impl Fn(usize) -> bool) -> (usize, usize, usize) {
    const COUNT: usize = 150_000;
    // The test's own memory is resident before it looks.
    let mut blocks: Vec<Option<Filled>> = (0..COUNT).map(|_| None).collect();
    let before = resident();
    for (n, block) in blocks.iter_mut().enumerate() {
        *block = Some(filling(16 + mixed(n) % 1024, n as u8));
    }
    let peak = resident() - before;
    for (_, block) in blocks.iter_mut().enumerate().filter(|(n, _)| !keep(*n)) {
        *block = None;
    }
    (apex().purge)();
    let after = resident() - before;
    let live = blocks.iter().flatten().map(|block| block.layout.size()).sum();
    // They check their content as they go.
    drop(blocks);
    (live, peak, after)
}

/// A large heap gets memory for small blocks a segment at a time, and no memory for large blocks that the program does
/// not touch.
fn little_ahead() {
    let layout = |size| Layout::from_size_align(size, 8).expect("a layout");
    let untouched = |size, count| {
        let before = resident();
        for _ in 0..count {
            // SAFETY: the size is above 0. The test ends with the process.
            assert!(!unsafe { apex().allocator.alloc(layout(size)) }.is_null());
        }
        resident() - before
    };
    let blocks: Vec<Filled> = (0..80 << 10).map(|n| filling(1024, n as u8)).collect();
    let large = untouched(200 << 10, 500);
    assert!(large < 6 * MIB, "{large}");
    let both = (0..100).map(|_| untouched(1024, 64) + untouched(250 << 10, 4)).sum::<usize>();
    assert!(both < 24 * MIB, "{both}");
    drop(blocks);
}

fn oldest_tenth() {
    let (live, peak, after) = survivors(|n| n < 15_000);
    assert!(after <= live * 3 / 2 + 4 * MIB, "{live} live, {peak} at the peak, {after} after");
}

fn random_tenth() {
    let (live, peak, after) = survivors(|n| mixed(n * 7 + 3).is_multiple_of(10));
    assert!(after <= peak * 65 / 100, "{live} live, {peak} at the peak, {after} after");
}

/// Four threads have a peak at once. Then each frees nine tenths of what another one allocated, and all end.
fn random_tenth_of_four_threads() {
    const THREADS: usize = 4;
    const COUNT: usize = 140_000;
    let mut blocks: Vec<Option<Filled>> = (0..COUNT).map(|_| None).collect();
    drop(filling(64, 1));
    let before = resident();
    let (filled, seen) = (&Barrier::new(THREADS + 1), &Barrier::new(THREADS + 1));
    let parts: &Vec<Mutex<&mut [Option<Filled>]>> =
        &blocks.chunks_mut(COUNT / THREADS).map(Mutex::new).collect();
    let peak = thread::scope(|scope| {
        let work = |me: usize| {
            fill(&mut parts[me].lock().expect("no panic"));
            filled.wait();
            seen.wait();
            let mut part = parts[(me + 1) % THREADS].lock().expect("no panic");
            for (n, block) in part.iter_mut().enumerate() {
                if !mixed(n * 7 + me).is_multiple_of(10) {
                    *block = None;
                }
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|me| scope.spawn(move || work(me))).collect();
        filled.wait();
        let peak = resident() - before;
        seen.wait();
        join_all(threads);
        peak
    });
    (apex().purge)();
    let after = resident() - before;
    let live = pages_of(blocks.iter().flatten()) * 4096;
    println!("random_tenth_of_four_threads: {peak} at the peak, {live} of pages in use, {after}");
    assert!(after <= live * 5 / 4, "{peak} at the peak, {live} of pages in use, {after} after");
    drop(blocks);
    assert_eq!(apex().audit().live(), 0);
}

/// After all blocks are freed, only the segments that are kept for the next blocks stay mapped.
fn nothing_left() {
    let (_, _, after) = survivors(|_| false);
    (apex().purge)();
    assert!(after < 6 * MIB, "{after}");
    assert_eq!(apex().audit().live(), 0);
}

/// A thread that only frees makes no heap grow: neither its own nor the allocating thread's.
fn a_freer_that_never_allocates() {
    let (send, receive) = mpsc::sync_channel::<Filled>(256);
    let freer = thread::spawn(move || receive.into_iter().for_each(drop));
    let mut after_a_while = 0;
    for n in 0..400_000 {
        send.send(filling(16 + mixed(n) % 1024, n as u8)).expect("the freer");
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
        let blocks: Vec<_> = (0..200).map(|k| filling(16 + mixed(n + k) % 4096, 1)).collect();
        drop(blocks);
    };
    let round = |from: usize| {
        for n in (from..from + 500).step_by(4) {
            let threads: Vec<_> = (n..n + 4).map(|n| thread::spawn(move || live(n))).collect();
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        }
    };
    round(0);
    let (before, segments) = (resident(), (apex().superslabs)());
    round(500);
    assert!(resident() < before + 2 * MIB, "{before} to {}", resident());
    assert!((apex().superslabs)() <= segments + 1, "{segments} to {}", (apex().superslabs)());
}

/// The live bytes stay constant, but their sizes drift, as over a week of uptime: no memory may stay behind with sizes
/// that are no longer in use.
fn sizes_drift() {
    const COUNT: usize = 10_000;
    let mut blocks: Vec<Filled> = Vec::with_capacity(COUNT);
    let mut most = 0;
    for step in 0..168 {
        let base = 16 + (mixed(step) % 64) * 32;
        for n in 0..COUNT / 2 {
            let size = base + mixed(step * COUNT + n) % 64;
            let block = filling(size, n as u8);
            if blocks.len() < COUNT {
                blocks.push(block);
            } else {
                let at = mixed(n + step) % COUNT;
                blocks[at] = block;
            }
        }
        (apex().purge)();
        let live: usize = blocks.iter().map(|block| block.layout.size()).sum();
        most = most.max(resident().saturating_sub(live));
    }
    // As much again as the largest step, and some: blocks of earlier sizes hold pages of theirs.
    assert!(most < 16 * MIB, "{most} beyond what is live");
}

/// One block of each size class: the cost of a class that is hardly used.
fn slack_per_class() {
    drop(filling(64, 1));
    let before = resident();
    let blocks: Vec<_> = (0..500)
        .map(|n| 16 + n * 64)
        .filter(|&size| size <= 32_768)
        .map(|size| filling(size, 1))
        .collect();
    let live: usize = blocks.iter().map(|block| block.layout.size()).sum();
    let slack = (resident() - before).saturating_sub(live) / apex().classes;
    assert!(slack < 32 * 1024, "{slack} bytes per class");
}

/// The system's malloc serves nothing: neither small nor large blocks, nor threads, nor requests that fit no class.
fn never_the_system_s_malloc() {
    let in_use = || {
        // SAFETY: it only reads the C library's own counters.
        let info = unsafe { libc::mallinfo2() };
        (info.uordblks, info.hblkhd)
    };
    let allocator = apex().allocator;
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

/// Number of SuperSlabs after 4 MiB of each of sixteen sizes were in use, one size after the other, each freed in
/// random order. No time passes, so memory that waits in one size must not keep its slabs from the next.
fn sizes_in_turn() {
    set_clock(0);
    (apex().purge)();
    for size in (1..=16).map(|n| n * 48) {
        let mut blocks: Vec<Option<Filled>> = Vec::new();
        blocks.extend((0..4 * MIB / size).map(|n| Some(filling(size, n as u8))));
        let mut order: Vec<usize> = (0..blocks.len()).collect();
        order.sort_unstable_by_key(|&n| mixed(n));
        for n in order {
            blocks[n] = None;
        }
    }
    let superslabs = (apex().superslabs)();
    println!("sizes_in_turn: {superslabs}");
    assert!(superslabs <= 6, "{superslabs} of 2 MiB");
}

/// Bytes that became resident while one large block was live, and then as many bytes in small ones.
fn resident_of_large_then_small(bed: &'static Bed) -> usize {
    const LIVE: usize = 32 * MIB;
    set_clock(0);
    (bed.purge)();
    let before = resident();
    let mut blocks: Vec<Filled> = Vec::with_capacity(LIVE / 256);
    drop(Filled::new(bed, LIVE, 8, 1));
    blocks.extend((0..LIVE / 256).map(|n| Filled::new(bed, 256, 8, n as u8)));
    resident() - before
}

fn large_then_small() {
    let resident = resident_of_large_then_small(apex());
    println!("resident_of_large_then_small, apex: {resident}");
    assert!(resident < 44 * MIB, "{resident}");
}

/// A large block that goes a step up or down stays where it is.
fn large_blocks_in_steps() {
    set_clock(0);
    let mut block = filling(MIB + 1, 1);
    let start = block.block;
    for size in [MIB * 9 / 8, MIB + 1, MIB * 3 / 4, MIB * 9 / 8, MIB * 5 / 8, MIB] {
        block.realloc(size);
        assert_eq!(block.block, start, "{size}");
    }
    // A freed block also serves an aligned request.
    drop(block);
    let aligned = Filled::new(apex(), 512 * 1024 + 1, 512 * 1024, 2);
    assert!((start.addr()..start.addr() + MIB * 9 / 8).contains(&aligned.block.addr()));
}

/// Kept mappings do not add to a larger block that none of them can serve alone.
fn kept_then_larger() {
    set_clock(0);
    let before = resident();
    let (one, between, other) = (filling(30 * MIB, 1), filling(MIB, 2), filling(30 * MIB, 3));
    drop(one);
    drop(other);
    let larger = filling(50 * MIB, 4);
    assert!(resident() - before < 66 * MIB, "{}", resident() - before);
    drop((between, larger));
}

/// Bytes that became resident when the allocator handed out an unwritten large block again, all zero.
fn resident_of_zeros(bed: &'static Bed) -> usize {
    set_clock(0);
    let allocator = bed.allocator;
    let layout = Layout::from_size_align(24 * MIB, 8).expect("a layout");
    // SAFETY: the size is not 0.
    let block = unsafe { allocator.alloc(layout) };
    // SAFETY: allocated above, with this layout.
    unsafe { allocator.dealloc(block, layout) };
    let before = resident();
    // SAFETY: the size is not 0.
    let zeros = unsafe { allocator.alloc_zeroed(layout) };
    assert!(!zeros.is_null());
    let more = resident().saturating_sub(before);
    // SAFETY: the block has as many bytes, and is ours.
    let bytes = unsafe { std::slice::from_raw_parts(zeros, layout.size()) };
    assert!(bytes.iter().all(|&byte| byte == 0));
    // SAFETY: allocated above, with this layout.
    unsafe { allocator.dealloc(zeros, layout) };
    more
}

fn zeros() {
    let resident = resident_of_zeros(apex());
    println!("resident_of_zeros, apex: {resident}");
    assert!(resident < MIB, "{resident}");
}

/// Blocks of 16 to 1039 bytes, in places that were there before.
fn fill(blocks: &mut [Option<Filled>]) {
    for (n, block) in blocks.iter_mut().enumerate() {
        *block = Some(filling(16 + mixed(n) % 1024, n as u8));
    }
}

/// A peak of 60 MiB is freed at once. Then a block comes and goes once a second, always of one class, of which the
/// thread has one at hand.
fn heartbeat() {
    let mut blocks: Vec<Option<Filled>> = (0..120_000).map(|_| None).collect();
    set_clock(0);
    drop(filling(64, 1));
    let before = resident();
    fill(&mut blocks);
    let peak = resident() - before;
    blocks.fill_with(|| None);
    for second in 1..=3 {
        set_clock(second * 1000);
        drop(filling(64, 1));
    }
    let after = resident().saturating_sub(before);
    assert!(after <= peak / 5, "{peak} at the peak, {after} three seconds later");
}

/// Pages that hold a block, or a part of one.
fn pages_of<'a>(blocks: impl IntoIterator<Item = &'a Filled>) -> usize {
    let pages = |block: &Filled| {
        let (start, size) = (block.block.addr(), block.layout.size());
        start / 4096..=(start + size - 1) / 4096
    };
    blocks.into_iter().flat_map(pages).collect::<HashSet<_>>().len()
}

/// A random tenth of a peak stays. Then, every four milliseconds for two and a half seconds, so many blocks are
/// replaced.
fn random_tenth_goes_on(pairs: usize) {
    let mut blocks: Vec<Option<Filled>> = (0..150_000).map(|_| None).collect();
    set_clock(0);
    let before = resident();
    fill(&mut blocks);
    let peak = resident() - before;
    let keeps = |n: usize| mixed(n * 7 + 3).is_multiple_of(10);
    for (_, block) in blocks.iter_mut().enumerate().filter(|(n, _)| !keeps(*n)) {
        *block = None;
    }
    let mut turns = (0..).map(mixed);
    let mut places: Vec<_> = blocks.iter_mut().filter(|block| block.is_some()).collect();
    for step in 1..=625 {
        set_clock(step * 4);
        for turn in turns.by_ref().take(pairs) {
            let at = turn % places.len();
            *places[at] = None;
            *places[at] = Some(filling(16 + mixed(turn) % 1024, 1));
        }
    }
    let after = resident() - before;
    let live = pages_of(blocks.iter().flatten()) * 4096;
    println!("random_tenth_goes_on {pairs}: {peak} at the peak, {live} of pages in use, {after}");
    assert!(after <= live * 5 / 4, "{peak} at the peak, {live} of pages in use, {after} after");
}

fn random_tenth_at_work() {
    random_tenth_goes_on(200);
}

fn random_tenth_at_rest() {
    random_tenth_goes_on(2);
}

/// Where much is due, no call gives it all back: its caller would wait.
#[cfg(feature = "stats")]
fn a_part_at_a_time() {
    /// About as many as a few milliseconds give back.
    const MOST: u64 = 24_000;
    let purged = || (apex().events)().expect("counted").purged_pages;
    set_clock(0);
    let mut blocks: Vec<Option<Filled>> = Vec::with_capacity(300_000);
    blocks.extend((0..300_000).map(|n| Some(filling(1024, n as u8))));
    // One in seven stays: so do the slabs.
    for (_, block) in blocks.iter_mut().enumerate().filter(|(n, _)| n % 7 > 0) {
        *block = None;
    }
    let start = purged();
    let mut most = 0;
    for minute in 1..=20 {
        set_clock(minute * 60_000);
        for size in [64, 100 << 10, 2 << 20] {
            let before = purged();
            drop(filling(size, 1));
            most = most.max(purged() - before);
        }
    }
    let all = purged() - start;
    println!("a_part_at_a_time: {all} pages, {most} at most by one block");
    assert!(all > MOST * 5 / 4, "{all} pages went back");
    assert!(most <= MOST, "{most} of {all} pages went back with one block");
}

#[cfg(not(feature = "stats"))]
fn a_part_at_a_time() {}

/// Slow paths look at as many slabs and SuperSlabs per block in a large heap as in a small one, and at few for any one
/// block, whether time stands still or passes.
#[cfg(feature = "stats")]
fn no_walk_grows_with_the_heap() {
    let looks = || (apex().events)().expect("counted").looks;
    // So many blocks, freed in random order: looks for each, and the most for one.
    let freed = |count: usize, ticks: bool| {
        let mut blocks: Vec<_> = (0..count).map(|n| Some(filling(64, n as u8))).collect();
        for n in (1..count).rev() {
            blocks.swap(n, mixed(n) % (n + 1));
        }
        let (start, mut most) = (looks(), 0);
        for (n, block) in blocks.iter_mut().enumerate() {
            if ticks && n % 1000 == 0 {
                set_clock(n as u64 / 250);
            }
            let before = looks();
            *block = None;
            most = most.max(looks() - before);
        }
        ((looks() - start) as f64 / count as f64, most)
    };
    for ticks in [false, true] {
        set_clock(0);
        let (small, _) = freed(100_000, ticks);
        set_clock(0);
        let (large, most) = freed(800_000, ticks);
        println!("no_walk: {small:.3} looks a block, then {large:.3}; {most} at most, {ticks}");
        assert!(large <= 1.5 * small + 0.1, "{small} looks a block, then {large}");
        // A batch of 64 blocks that come home, or the most that a step may cost.
        let bound = if ticks { 20_000 } else { 400 };
        assert!(most <= bound, "{most} looks for one block");
    }
}

#[cfg(not(feature = "stats"))]
fn no_walk_grows_with_the_heap() {}

/// Pages of slabs go back once, and again when there was a block on them.
#[cfg(feature = "stats")]
fn pages_once() {
    let purged = || {
        (apex().purge)();
        (apex().events)().expect("counted").purged_pages
    };
    let mut blocks: Vec<Option<Filled>> = Vec::with_capacity(40_000);
    blocks.extend((0..40_000).map(|n| Some(filling(1024, n as u8))));
    purged();
    // One in seven stays: a slab of 64 has one at least, and pages without.
    let before = purged();
    for (_, block) in blocks.iter_mut().enumerate().filter(|(n, _)| n % 7 > 0) {
        *block = None;
    }
    let once = purged() - before;
    assert!(once > 4000, "{once} pages went back");
    assert_eq!(purged(), once + before, "what has gone back goes back again");
    // One block frees a page at most, and none if another block is on its page.
    let mut again = 0;
    for n in 0..100 {
        let before = purged();
        drop(filling(1024, n as u8));
        let pages = purged() - before;
        assert!(pages <= 1, "{pages} pages for one block");
        again += pages;
    }
    // Many blocks are taken from the free ones of slabs in part-use.
    let before = purged();
    let more: Vec<_> = (0..20_000).map(|n| filling(1024, n as u8)).collect();
    drop(more);
    again += purged() - before;
    assert!(again > 2000, "{again} pages went back again");
}

#[cfg(not(feature = "stats"))]
fn pages_once() {}

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        /// Runs a case in a child, or the case of another variant in its place.
        pub(crate) fn run(bed: &'static Bed, name: &str) {
            match (bed.id, name) {
                $(("apex", stringify!($name)) => $name(),)*
                (_, "large_then_small") => large_then_small_before(bed),
                (_, "zeros") => zeros_before(bed),
                _ => panic!("no case {name}"),
            }
        }

        mod apex_in_a_child {
            $(#[test]
            fn $name() {
                super::child_succeeds(&["returning", "apex", stringify!($name)]);
            })*
        }
    };
}
cases!(
    little_ahead,
    oldest_tenth,
    random_tenth,
    random_tenth_of_four_threads,
    nothing_left,
    a_freer_that_never_allocates,
    threads_come_and_go,
    sizes_drift,
    slack_per_class,
    never_the_system_s_malloc,
    sizes_in_turn,
    large_then_small,
    large_blocks_in_steps,
    kept_then_larger,
    zeros,
    heartbeat,
    random_tenth_at_work,
    random_tenth_at_rest,
    a_part_at_a_time,
    no_walk_grows_with_the_heap,
    pages_once,
);

fn large_then_small_before(bed: &'static Bed) {
    let resident = resident_of_large_then_small(bed);
    assert!(resident > 55 * MIB, "{resident}");
}

fn zeros_before(bed: &'static Bed) {
    let resident = resident_of_zeros(bed);
    assert!(resident > 20 * MIB, "{resident}");
}

/// The effects of `reclaim-first` and `zero-dirty`, which their parents lack.
#[cfg(feature = "all-variants")]
#[test]
fn before_the_variants_that_do_so() {
    child_succeeds(&["returning", "parked-lists", "large_then_small"]);
    child_succeeds(&["returning", "finer-classes", "zeros"]);
}
