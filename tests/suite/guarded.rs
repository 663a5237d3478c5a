//! The hardened variants: each program breaks a rule in a process of its own, whose end and last line the test checks;
//! the other tests look at what the variants do to blocks.
#![cfg(feature = "all-variants")]

mod huge;
mod programs;

pub(crate) use programs::run;

use crate::testbed::{Bed, HARDENED, bed, child, child_succeeds};
use std::alloc::Layout;
use std::collections::HashSet;
use std::os::unix::process::ExitStatusExt;

/// Sizes of blocks of classes, and of a span.
const SIZES: [usize; 8] = [1, 8, 24, 100, 1000, 5000, 20_000, 100_000];
/// Bytes of a huge block, which are no multiple of a page.
const HUGE: usize = 1_000_003;

/// The variants of the chain from one on.
fn from(first: &str) -> impl Iterator<Item = &'static str> {
    HARDENED.into_iter().skip_while(move |id| *id != first)
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 1).expect("a layout")
}

fn alloc(bed: &Bed, size: usize) -> *mut u8 {
    // SAFETY: the size is not 0.
    unsafe { bed.allocator.alloc(layout(size)) }
}

/// Frees any address: the misuse under test.
fn free(bed: &Bed, block: *mut u8, size: usize) {
    // SAFETY: in the programs broken on purpose, each in a process of its own; elsewhere a live block of that size.
    unsafe { bed.allocator.dealloc(block, layout(size)) }
}

/// Writes to any address: the misuse under test.
fn write(block: *mut u8, at: isize, byte: u8) {
    // SAFETY: broken on purpose, in a process of its own.
    unsafe { block.wrapping_offset(at).write_volatile(byte) }
}

fn read(block: *mut u8, at: usize) -> u8 {
    // SAFETY: broken on purpose in programs of their own; elsewhere inside a live block, which the variant has wiped.
    unsafe { block.wrapping_add(at).read_volatile() }
}

/// Hands out blocks of a size until each freed one has been handed out again.
fn go_round(bed: &Bed, size: usize) {
    for _ in 0..20_000 {
        free(bed, alloc(bed, size), size);
    }
}

/// Runs a program, which must end by SIGABRT with the line `hakmem: fatal: <what> 0x<address>`.
fn assert_fatal(id: &str, program: &str, size: usize, what: &[&str]) {
    let output = child(&["guarded", id, program, &size.to_string()]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let case = format!("{id} {program} {size}: {stderr}");
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{case}");
    let said = stderr.lines().filter_map(|line| line.strip_prefix("hakmem: fatal: "));
    let is_said = |line: &str| what.iter().any(|what| line.starts_with(&format!("{what} 0x")));
    assert!(said.clone().count() == 1 && said.clone().all(is_said), "{case}");
}

fn assert_fault(id: &str, program: &str, size: usize) {
    let output = child(&["guarded", id, program, &size.to_string()]);
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{id} {program} {size}");
}

const FREED: &str = "double free, or use of a freed block:";
const PAST: &str = "a block was written past its end:";
const BEFORE: &str = "a block was written before its start, or the one in front past its end:";
const NOT_IN_USE: &str = "a block is not in use, or was written past its end:";
const NO_BLOCK: &str = "free of what is no block:";
const INSIDE: &str = "free of an address inside a block:";
const NOT_OURS: &str = "no block of this allocator:";
const OTHER_SIZE: &str = "free with another size or alignment:";
const LATE: &str = "a freed block was written to:";
/// What the seal of a list says, if it notices first.
const LISTED: &str = "a free block was changed, or freed twice:";
/// The first and the last of the chain.
const ENDS: [&str; 2] = [HARDENED[0], "guard"];

#[test]
fn a_second_free_ends_the_program() {
    for id in ENDS {
        for size in SIZES {
            for program in [
                "twice",
                "twice_with_others_between",
                "twice_in_another_thread",
                "twice_after_the_thread_ended",
            ] {
                assert_fatal(id, program, size, &[FREED, NOT_IN_USE, NO_BLOCK]);
            }
        }
    }
    for id in from("fenced-large") {
        assert_fatal(id, "twice", HUGE, &[FREED]);
        assert_fatal(id, "twice_in_another_thread", HUGE, &[FREED]);
    }
}

#[test]
fn a_size_that_differs_by_a_byte_ends_the_program() {
    for id in ENDS {
        for size in SIZES {
            assert_fatal(id, "one_byte_more", size, &[OTHER_SIZE]);
        }
    }
    assert_fatal("guard", "one_byte_more", HUGE, &[OTHER_SIZE]);
}

#[test]
fn an_alignment_that_the_address_has_not_ends_the_program() {
    for id in ENDS {
        for size in SIZES {
            assert_fatal(id, "another_alignment", size, &[OTHER_SIZE]);
        }
    }
    assert_fatal("guard", "another_alignment", HUGE, &[OTHER_SIZE]);
}

#[test]
fn a_huge_block_as_a_small_one_ends_the_program() {
    assert_fatal(ENDS[0], "as_a_small_one", HUGE, &[NO_BLOCK]);
    assert_fatal(ENDS[0], "resized_as_a_small_one", HUGE, &[NOT_OURS]);
}

#[test]
fn an_address_inside_a_block_ends_the_program() {
    for id in ENDS {
        for size in [24, 100, 1000, 20_000] {
            assert_fatal(id, "inside", size, &[INSIDE]);
        }
        assert_fatal(id, "inside", 100_000, &[NO_BLOCK]);
        assert_fatal(id, "rest_of_slice", 5000, &[INSIDE]);
    }
    assert_fatal("guard", "inside", HUGE, &[NO_BLOCK]);
}

#[test]
fn a_byte_past_the_end_ends_the_program() {
    for id in ENDS {
        for size in SIZES {
            assert_fatal(id, "overflow_by_1", size, &[PAST, NOT_IN_USE]);
            assert_fatal(id, "overflow_by_8", size, &[PAST, NOT_IN_USE]);
            assert_fatal(id, "resized_after_an_overflow", size, &[PAST, NOT_IN_USE]);
            assert_fatal(id, "zero_past_the_end", size, &[PAST, NOT_IN_USE]);
        }
    }
    for id in from("fenced-large") {
        assert_fatal(id, "overflow_by_1", HUGE, &[PAST]);
        assert_fatal(id, "resized_after_an_overflow", HUGE, &[PAST]);
        assert_fault(id, "overflow_by_8", 1 << 20);
        assert_fault(id, "below", 1 << 20);
        assert_fault(id, "past_the_end_after_a_shrink", HUGE);
    }
}

/// Checks TL1 and TL4.
#[test]
fn a_byte_elsewhere_outside_of_a_block_ends_the_program() {
    for id in ["wiped-blocks", "guard"] {
        for size in [5000, 20_000, 100_000] {
            assert_fatal(id, "far_past_the_end", size, &[PAST]);
        }
        for size in [24, 100, 1000, 5000] {
            assert_fatal(id, "before_the_start", size, &[BEFORE]);
        }
    }
}

/// Checks TL1.
#[test]
fn an_audit_finds_what_no_free_has_seen() {
    for id in ["wiped-blocks", "guard"] {
        for size in [24, 100, 1000, 20_000, 100_000] {
            let words = ["guarded", id, "past_the_end_of_a_live_block", &size.to_string()];
            let output = child(&words);
            let stderr = String::from_utf8_lossy(&output.stderr);
            let is_found = stderr.contains("TL1, a block's tail");
            assert!(!output.status.success() && is_found, "{words:?}: {stderr}");
        }
    }
}

#[test]
fn a_tail_that_knows_no_secret_ends_the_program() {
    for id in HARDENED {
        assert_fatal(id, "tail_without_secret", 24, &[NOT_IN_USE]);
    }
}

/// Checks FN1: the pages of a freed huge block have no access.
#[test]
fn a_late_write_ends_the_program() {
    for size in SIZES.into_iter().filter(|&size| size >= 24) {
        for id in ["wiped-blocks", "guard"] {
            assert_fatal(id, "late_write_last", size, &[LATE, LISTED, NOT_IN_USE]);
        }
        // The first bytes are the link of a list, which a seal guards.
        assert_fatal("guard", "late_write_first", size, &[LATE, LISTED, NOT_IN_USE]);
    }
    assert_fault("guard", "late_write_first", HUGE);
    assert_fault("guard", "late_read", HUGE);
}

#[test]
fn a_freed_block_and_a_fresh_one_are_zero() {
    for id in from("wiped-blocks") {
        let bed = bed(id);
        bed.alone(|| {
            for size in SIZES.into_iter().filter(|&size| size >= 24) {
                for _ in 0..600 {
                    let block = alloc(bed, size);
                    assert!((0..size).all(|at| read(block, at) == 0), "{id} {size}");
                    // SAFETY: a live block of that many bytes.
                    unsafe { block.write_bytes(0x55, size) };
                    free(bed, block, size);
                    if size > 16 {
                        assert!((16..size).all(|at| read(block, at) == 0), "{id} {size}");
                    }
                }
            }
            bed.audit();
        });
    }
}

/// Checks QU1: the audit finds each block in one place.
#[test]
fn a_freed_block_is_not_handed_out_soon() {
    for id in from("quarantine") {
        let bed = bed(id);
        bed.alone(|| {
            for size in [24, 100, 1000] {
                go_round(bed, size);
                // The chance that the very block comes back at once is a few in a thousand, and that it does so in three
                // of a hundred tries one in some ten thousand.
                let comes_back = (0..100).filter(|_| {
                    let block = alloc(bed, size);
                    free(bed, block, size);
                    let next = alloc(bed, size);
                    free(bed, next, size);
                    next == block
                });
                assert!(comes_back.count() < 10, "{id} {size}");
            }
            bed.audit();
        });
    }
}

#[test]
fn a_thread_s_first_freed_block_waits_too() {
    for id in from("quarantine") {
        let bed = bed(id);
        bed.alone(|| {
            let first = move || {
                let block = alloc(bed, 100);
                free(bed, block, 100);
                let next = alloc(bed, 100);
                assert_ne!(next, block, "{id}");
                free(bed, next, 100);
            };
            (0..20).for_each(|_| std::thread::spawn(first).join().expect("no panic"));
        });
    }
}

#[test]
fn blocks_come_in_no_order() {
    for id in from("random-order") {
        let bed = bed(id);
        bed.alone(|| {
            let blocks: Vec<*mut u8> = (0..1000).map(|_| alloc(bed, 48)).collect();
            let gaps: HashSet<isize> = blocks
                .windows(2)
                .map(|two| two[1].addr().wrapping_sub(two[0].addr()) as isize)
                .collect();
            assert!(gaps.len() > 50, "{id}: {}", gaps.len());
            blocks.into_iter().for_each(|block| free(bed, block, 48));
        });
    }
}

#[test]
fn a_part_of_the_freed_addresses_is_held() {
    from("fenced-large").for_each(|id| {
        child_succeeds(&["guarded", id, "addresses_held", "1000003"]);
        // So many of these may be held that the number comes first.
        child_succeeds(&["guarded", id, "addresses_held", "140000"]);
        child_succeeds(&["guarded", id, "aligned", "1000003"]);
    });
}

/// Checks FN2.
#[test]
fn what_a_new_block_leaves_of_the_memory_goes_back() {
    from("fenced-large")
        .for_each(|id| child_succeeds(&["guarded", id, "rest_goes_back", "1000003"]));
}

#[test]
fn fences_and_pages_are_counted() {
    from("fenced-large").for_each(|id| {
        child_succeeds(&["guarded", id, "so_many_have_fences", "140000"]);
        child_succeeds(&["guarded", id, "counted_by_pages", "1000003"]);
    });
}

#[test]
fn what_a_program_asks_of_its_pages_holds_for_its_blocks_alone() {
    from("fenced-large").for_each(|id| {
        child_succeeds(&["guarded", id, "dumped_again", "1000003"]);
        child_succeeds(&["guarded", id, "locked_from_now_on", "1000003"]);
        child_succeeds(&["guarded", id, "locked_grows_again", "1000003"]);
    });
}

/// A program may take the access to whole pages of a block.
#[test]
fn an_audit_leaves_pages_without_access_alone() {
    child_succeeds(&["guarded", "guard", "without_access", "20000"]);
}

/// Checks FN2.
#[test]
fn a_new_block_takes_the_memory_of_a_freed_one() {
    from("fenced-large").for_each(|id| {
        child_succeeds(&["guarded", id, "memory_moves", "1000003"]);
        child_succeeds(&["guarded", id, "memory_goes_back", "1000003"]);
        child_succeeds(&["guarded", id, "mapping_changed", "1000003"]);
    });
}

/// Checks QU2.
#[test]
fn a_thread_leaves_its_quarantine_to_the_next() {
    from("quarantine").for_each(|id| child_succeeds(&["guarded", id, "threads", "100"]));
}
