//! The C face in a Rust program: blocks that are freed by their address alone, of the variant that the build selects.
//!
//! The programs in C, `preload/tests/`, check what C programs see of it.
#![cfg(feature = "preload")]

mod threads;

use crate::refused_mappings;
use crate::testbed::{Bed, Filled, apex, join_all};
use hakmem::{ByAddress, Observe, Preload};
use proptest::prelude::*;
use std::alloc::Layout;
use std::ptr;
use std::sync::mpsc;

static BED: Bed = Bed::of(&Preload);

/// The C face by its own calls, for tests that all variants share.
pub(crate) static CALLED: Bed = Bed::through::<Preload>("c-face", &Called);

struct Called;

// SAFETY: the C face keeps the promises of these calls.
unsafe impl std::alloc::GlobalAlloc for Called {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        if align > 16 {
            return Preload::aligned(size, align);
        }
        let quick = Preload::quick(size);
        if quick.is_null() { Preload::malloc(size) } else { quick }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= 16 {
            return Preload::zeroed(layout.size());
        }
        let block = Preload::aligned(layout.size(), layout.align());
        if !block.is_null() {
            // SAFETY: the block has that many bytes.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's condition.
        assert!(unsafe { Preload::usable_size(block) } >= layout.size());
        // SAFETY: the caller's condition.
        unsafe { Preload::free(block) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() <= 16 {
            // SAFETY: the caller's condition.
            return unsafe { <Preload as ByAddress>::realloc(block, size) };
        }
        let moved = Preload::aligned(size, layout.align());
        if !moved.is_null() {
            // SAFETY: both have the smaller size, and a new block overlaps no live one.
            unsafe { moved.copy_from_nonoverlapping(block, size.min(layout.size())) };
            // SAFETY: the caller's condition.
            unsafe { Preload::free(block) };
        }
        moved
    }
}

/// The child. Another variant has the first leaf of a page map, which is never refused.
pub(crate) fn refuse_each_mapping() {
    drop(Filled::new(apex(), 64, 8, 1));
    refused_mappings::run(&CALLED);
}

#[test]
fn each_mapping_is_refused_in_turn() {
    refused_mappings::each_in_turn(&CALLED);
}

/// A block with its size, filled with a pattern of its own.
struct Held {
    block: *mut u8,
    size: usize,
    seed: u8,
}

// SAFETY: a block belongs to the thread that holds it.
unsafe impl Send for Held {}

impl Held {
    fn new(block: *mut u8, size: usize, seed: u8) -> Self {
        assert!(!block.is_null() && block.addr().is_multiple_of(16), "{size} bytes at {block:?}");
        // SAFETY: the block is this test's, and not null.
        assert!(unsafe { Preload::usable_size(block) } >= size);
        let held = Self { block, size, seed };
        held.fill();
        held
    }

    /// Checks every byte of a small block, and the ends of the pages of a large one.
    fn places(&self) -> impl Iterator<Item = usize> {
        let step = if self.size <= 4096 { 1 } else { 509 };
        (0..self.size).step_by(step).chain(self.size.checked_sub(1))
    }

    fn byte(&self, at: usize) -> u8 {
        self.seed.wrapping_add(at as u8).wrapping_mul(31)
    }

    fn fill(&self) {
        for at in self.places() {
            // SAFETY: inside the block.
            unsafe { self.block.wrapping_add(at).write(self.byte(at)) };
        }
    }

    fn check(&self, most: usize) {
        for at in self.places().filter(|&at| at < most) {
            // SAFETY: inside the block, and written by `fill`.
            let byte = unsafe { self.block.wrapping_add(at).read() };
            assert_eq!(byte, self.byte(at), "byte {at} of {}", self.size);
        }
    }

    fn free(self) {
        self.check(self.size);
        // SAFETY: the block is this test's, and was not freed before.
        unsafe { Preload::free(self.block) };
    }

    fn realloc(self, size: usize) -> Self {
        // SAFETY: as in `free`; the size is above 0.
        let block = unsafe { Preload::realloc(self.block, size) };
        let moved = Self { block, ..self };
        moved.check(size);
        Self::new(block, size, self.seed)
    }
}

fn malloc(size: usize, seed: u8) -> Held {
    let quick = Preload::quick(size);
    Held::new(if quick.is_null() { Preload::malloc(size) } else { quick }, size, seed)
}

/// Sizes of every kind: of the classes, spans, and mappings.
fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![
        8 => 0..1100_usize,
        4 => 1000..40_000_usize,
        2 => 30_000..600_000_usize,
        1 => 500_000..5_000_000_usize,
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Malloc(usize),
    Zeroed(usize),
    Aligned(usize, u32),
    Realloc(usize, usize),
    Free(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => sizes().prop_map(Step::Malloc),
        1 => sizes().prop_map(Step::Zeroed),
        1 => (sizes(), 0..22_u32).prop_map(|(size, lg)| Step::Aligned(size, lg)),
        2 => (any::<usize>(), sizes()).prop_map(|(at, size)| Step::Realloc(at, size.max(1))),
        4 => any::<usize>().prop_map(Step::Free),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_block_is_found_by_its_address(steps in steps()) {
        BED.alone(|| run(steps));
    }
}

fn run(steps: Vec<Step>) {
    let mut held: Vec<Held> = Vec::new();
    for (n, step) in steps.into_iter().enumerate() {
        let seed = n as u8;
        if n % 8 == 7 {
            BED.audit();
        }
        match step {
            Step::Malloc(size) => held.push(malloc(size, seed)),
            Step::Zeroed(size) => {
                let block = Preload::zeroed(size);
                assert!(!block.is_null());
                // SAFETY: the block has that many bytes.
                let bytes = unsafe { std::slice::from_raw_parts(block, size) };
                assert!(bytes.iter().all(|&byte| byte == 0));
                held.push(Held::new(block, size, seed));
            }
            Step::Aligned(size, lg) => {
                let block = Preload::aligned(size, 1 << lg);
                assert!(block.addr().is_multiple_of(1 << lg));
                held.push(Held::new(block, size, seed));
            }
            Step::Realloc(at, size) if !held.is_empty() => {
                let at = at % held.len();
                let block = held.swap_remove(at);
                held.push(block.realloc(size));
            }
            Step::Free(at) if !held.is_empty() => {
                let at = at % held.len();
                held.swap_remove(at).free();
            }
            Step::Realloc(..) | Step::Free(_) => {}
        }
    }
    held.into_iter().for_each(Held::free);
}

#[test]
fn absurd_sizes_are_refused_and_the_old_block_stays() {
    BED.alone(absurd_sizes_are_refused_and_the_old_block_stays_by_itself);
}

fn absurd_sizes_are_refused_and_the_old_block_stays_by_itself() {
    for size in [isize::MAX as usize, usize::MAX, usize::MAX - 15, 1 << 62] {
        assert!(Preload::malloc(size).is_null() && Preload::quick(size).is_null());
        assert!(Preload::zeroed(size).is_null() && Preload::aligned(size, 4096).is_null());
    }
    for size in [100, 40_000, 300_000, 3_000_000] {
        let held = malloc(size, 7);
        // SAFETY: the block is this test's.
        assert!(unsafe { Preload::realloc(held.block, isize::MAX as usize) }.is_null());
        held.free();
    }
    // SAFETY: null is nothing to free.
    unsafe { Preload::free(ptr::null_mut()) };
}

#[test]
fn a_block_of_each_size_has_room_for_it() {
    BED.alone(a_block_of_each_size_has_room_for_it_by_itself);
}

/// The list of the smallest blocks always has one, so that a size that leads there by mistake gets it.
fn a_block_of_each_size_has_room_for_it_by_itself() {
    for size in (0..40_000).chain(0..40_000) {
        malloc(1, 1).free();
        for block in [Preload::quick(size), Preload::malloc(size), Preload::zeroed(size)] {
            if !block.is_null() {
                // SAFETY: the block is this test's.
                assert!(unsafe { Preload::usable_size(block) } >= size, "{size} bytes");
            }
            // SAFETY: null, or a block of this test.
            unsafe { Preload::free(block) };
        }
    }
}

#[test]
fn all_of_a_zeroed_block_is_zero() {
    BED.alone(all_of_a_zeroed_block_is_zero_by_itself);
}

/// To its end, also where a list is empty, and the block comes from a slab that others have written to.
fn all_of_a_zeroed_block_is_zero_by_itself() {
    const BLOCKS: usize = 400;
    for size in [1, 20, 33, 100, 1000, 5000, 70_000, 600_000] {
        let count = BLOCKS.min((16 << 20) / size);
        let held: Vec<Held> = (0..count).map(|_| malloc(size, 5)).collect();
        for held in &held {
            // SAFETY: the block is this test's.
            let room = unsafe { Preload::usable_size(held.block) };
            // SAFETY: the block has that many bytes.
            unsafe { held.block.wrapping_add(size).write_bytes(0xa5, room - size) };
        }
        held.into_iter().for_each(Held::free);
        let zeroed = |_| {
            let block = Preload::zeroed(size);
            assert!(!block.is_null());
            // SAFETY: the block is this test's.
            let room = unsafe { Preload::usable_size(block) };
            // SAFETY: the block has that many bytes.
            let bytes = unsafe { std::slice::from_raw_parts(block, room) };
            assert!(bytes.iter().all(|&byte| byte == 0), "{size} bytes");
            Held::new(block, size, 6)
        };
        let held: Vec<Held> = (0..count).map(zeroed).collect();
        held.into_iter().for_each(Held::free);
    }
}

#[test]
fn a_lent_block_has_a_layout_too() {
    BED.alone(a_lent_block_has_a_layout_too_by_itself);
}

/// A thread's first blocks of most classes are lent ones. They go back by their layout, as a Rust program frees them.
fn a_lent_block_has_a_layout_too_by_itself() {
    for size in (1..=1024).step_by(13) {
        let mut block = Filled::new(&BED, size, 8, 5);
        block.realloc(size + 40);
    }
}

#[test]
fn a_class_borrows_a_page_at_most() {
    BED.alone(a_class_borrows_a_page_at_most_by_itself);
}

/// Each class in a thread of its own, whose lists are empty at first. Checks LE1: the audit looks at the tables.
fn a_class_borrows_a_page_at_most_by_itself() {
    const BLOCKS: usize = 200;
    const PAGE: usize = 4096;
    let mut borrowed = 0;
    for size in (24..=1024).step_by(8) {
        // Lists of an ended thread would serve this one.
        Preload::purge();
        let lent = std::thread::scope(|scope| {
            let work = move || {
                let blocks: Vec<Held> = (0..BLOCKS).map(|n| malloc(size, n as u8)).collect();
                BED.audit();
                // SAFETY: the block is this thread's.
                let room = |held: &Held| unsafe { Preload::usable_size(held.block) };
                let own = room(&blocks[BLOCKS - 1]);
                let lent = blocks.iter().map(room).filter(|room| *room != own).sum::<usize>();
                blocks.into_iter().for_each(Held::free);
                lent
            };
            scope.spawn(work).join().expect("no panic")
        });
        assert!(lent <= PAGE, "{lent} bytes for blocks of {size}");
        borrowed += lent;
    }
    assert!(borrowed > PAGE || Preload::ID != "apex", "nothing was lent");
}

#[test]
fn blocks_of_the_next_allocator_go_back_to_it() {
    BED.alone(blocks_of_the_next_allocator_go_back_to_it_by_itself);
}

fn blocks_of_the_next_allocator_go_back_to_it_by_itself() {
    for size in [24, 5000, 400_000] {
        // SAFETY: it takes any size.
        let foreign = unsafe { libc::malloc(size) }.cast::<u8>();
        let held = Held::new(foreign, size, 3);
        held.realloc(2 * size).free();
        // SAFETY: it takes any size.
        let foreign = unsafe { libc::malloc(size) }.cast::<u8>();
        Held::new(foreign, size, 4).free();
    }
}

#[test]
fn threads_hand_blocks_to_each_other_and_end() {
    BED.alone(threads_hand_blocks_to_each_other_and_end_by_itself);
}

fn threads_hand_blocks_to_each_other_and_end_by_itself() {
    for round in 0..20_usize {
        let (send, receive) = mpsc::channel::<Held>();
        std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for thread in 0..3_usize {
                let send = send.clone();
                threads.push(scope.spawn(move || {
                    for n in 0..400_usize {
                        let size =
                            (n * 97 + thread * 31 + round * 1009) % 3000 + (n % 50 / 49) * 700_000;
                        send.send(malloc(size, n as u8)).expect("somebody listens");
                    }
                }));
            }
            drop(send);
            threads.push(scope.spawn(move || receive.into_iter().for_each(Held::free)));
            // The next test must not meet a cache that is just closing.
            join_all(threads);
        });
    }
}

#[test]
fn usage_follows_what_is_in_use() {
    BED.alone(usage_follows_what_is_in_use_by_itself);
}

fn usage_follows_what_is_in_use_by_itself() {
    const BLOCKS: usize = 16 << 10;
    let before = Preload::usage();
    let span = malloc(200_000, 1);
    let grown = Preload::usage().in_use - before.in_use;
    assert!((200_000..300_000).contains(&grown), "{grown}");
    span.free();
    let held: Vec<Held> = (0..BLOCKS).map(|n| malloc(1000, n as u8)).collect();
    let large = malloc(20 << 20, 1);
    let during = Preload::usage();
    let grown = during.in_use - before.in_use;
    assert!((BLOCKS * 1000 + (20 << 20)..(BLOCKS * 1300 + (21 << 20))).contains(&grown), "{grown}");
    assert!(during.mapped >= during.in_use, "{during:?}");
    held.into_iter().for_each(Held::free);
    large.free();
    Preload::purge();
    let after = Preload::usage();
    assert!(after.in_use < before.in_use + (4 << 20) && after.mapped < during.mapped, "{after:?}");
    assert!(Preload::ID == hakmem::Hakmem::ID);
}

#[test]
fn what_a_thread_leaves_is_not_lost() {
    BED.alone(what_a_thread_leaves_is_not_lost_by_itself);
}

/// Pops go on beyond a list's window; the thread ends with the rest there, and the next thread starts with it.
fn what_a_thread_leaves_is_not_lost_by_itself() {
    let thread = |keeps: usize| {
        std::thread::scope(|scope| {
            let blocks = scope.spawn(move || {
                let blocks: Vec<Held> = (0..300).map(|n| malloc(64, n as u8)).collect();
                blocks.into_iter().for_each(Held::free);
                (0..keeps).map(|n| malloc(64, n as u8)).collect::<Vec<_>>()
            });
            blocks.join().expect("no panic")
        })
    };
    Preload::purge();
    let before = Preload::usage().in_use;
    thread(0);
    let left = Preload::usage().in_use;
    assert!(left < before + (16 << 10), "{left} bytes in use, which a thread has freed");
    for round in 0..20 {
        thread(100 + 10 * round).into_iter().for_each(Held::free);
        thread(0);
    }
    Preload::purge();
    let after = Preload::usage().in_use;
    assert!(after < before + (16 << 10), "{before} bytes in use have become {after}");
}
