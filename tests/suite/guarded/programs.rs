//! The programs that the tests of the hardened variants run, each in a process of its own.

use super::{alloc, free, go_round, huge, layout, read, write};
use crate::testbed::Bed;
use std::alloc::Layout;

/// Runs a program by its name, with blocks of a size.
pub(crate) fn run(bed: &'static Bed, program: &str, size: &str) {
    let size: usize = size.parse().expect("a size");
    let block = alloc(bed, size);
    match program {
        "twice" => {
            free(bed, block, size);
            free(bed, block, size);
        }
        "twice_with_others_between" => {
            let others: Vec<_> = (0..100).map(|_| alloc(bed, size)).collect();
            free(bed, block, size);
            others.into_iter().for_each(|other| free(bed, other, size));
            free(bed, block, size);
        }
        "twice_in_another_thread" => {
            free(bed, block, size);
            let address = block.expose_provenance();
            let again = move || free(bed, std::ptr::with_exposed_provenance_mut(address), size);
            std::thread::spawn(again).join().expect("no panic");
        }
        "twice_after_the_thread_ended" => {
            let address = block.expose_provenance();
            let first = move || free(bed, std::ptr::with_exposed_provenance_mut(address), size);
            std::thread::spawn(first).join().expect("no panic");
            free(bed, block, size);
        }
        "one_byte_more" => free(bed, block, size + 1),
        "another_alignment" => {
            let align = 2 << block.addr().trailing_zeros();
            let other = Layout::from_size_align(size, align).expect("a layout");
            // SAFETY: broken on purpose, in a process of its own.
            unsafe { bed.allocator.dealloc(block, other) };
        }
        "as_a_small_one" => free(bed, block, 100),
        "resized_as_a_small_one" => {
            // SAFETY: broken on purpose, in a process of its own.
            unsafe { bed.allocator.realloc(block, layout(100), 200) };
        }
        "inside" => free(bed, block.wrapping_add(16), size),
        "overflow_by_1" => overflow(bed, block, size, 1),
        "overflow_by_8" => overflow(bed, block, size, 8),
        "resized_after_an_overflow" => {
            write(block, size as isize, 1);
            // SAFETY: a live block of that layout; the overflow is the misuse.
            unsafe { bed.allocator.realloc(block, layout(size), size + 3) };
        }
        "zero_past_the_end" => {
            write(block, size as isize, 0);
            free(bed, block, size);
        }
        "far_past_the_end" => {
            write(block, size as isize + 60, 0x41);
            free(bed, block, size);
        }
        "before_the_start" => {
            let blocks: Vec<_> = (0..70).map(|_| alloc(bed, size)).collect();
            // A block that starts with a page may have one in front that a program has made inaccessible.
            let is_inner = |block: &*mut u8| !block.addr().is_multiple_of(1 << 12);
            let inner = blocks.into_iter().find(is_inner).expect("a slab has many blocks");
            // The tail there ends with a byte of the secret's, which may be any.
            // SAFETY: broken on purpose, in a process of its own.
            let old = unsafe { inner.wrapping_sub(1).read_volatile() };
            write(inner, -1, old ^ 0x41);
            free(bed, inner, size);
        }
        "past_the_end_of_a_live_block" => {
            write(block, size as isize, 0);
            bed.audit();
        }
        "late_write_first" => late_write(bed, block, size, 0),
        "late_write_last" => late_write(bed, block, size, size - 1),
        "late_read" => {
            free(bed, block, size);
            println!("read {}", read(block, size / 2));
        }
        "below" => write(block, -1, 1),
        "past_the_end_after_a_shrink" => {
            // SAFETY: a live block of that layout, which has room for both sizes.
            let block = unsafe { bed.allocator.realloc(block, layout(size), size - 20_000) };
            write(block, size as isize - 10_000, 1);
        }
        "without_access" => {
            let pages = block.wrapping_add(block.addr().wrapping_neg() % 4096);
            // All pages of the block, its last one too, where the tail lies.
            let bytes = size.next_multiple_of(4096);
            // SAFETY: pages of a live block, which no other code uses.
            assert_eq!(unsafe { libc::mprotect(pages.cast(), bytes, libc::PROT_NONE) }, 0);
            bed.audit();
            return;
        }
        "tail_without_secret" => {
            let mixed = (block.addr() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let tail = mixed >> 25 << 25 | 0xA5;
            // SAFETY: the block's tail lies behind its bytes, which leave no slack; the write is the misuse.
            unsafe { block.wrapping_add(size).cast::<u64>().write(tail) };
            free(bed, block, size);
        }
        "rest_of_slice" => free(bed, rest_of_slice(bed, size), size),
        "addresses_held" => return huge::addresses_held(bed, size),
        "aligned" => return huge::aligned_leave_nothing(bed, size),
        "rest_goes_back" => return huge::rest_goes_back(bed, size),
        "so_many_have_fences" => return huge::so_many_have_fences(bed, size),
        "counted_by_pages" => return huge::counted_by_pages(bed, size),
        "dumped_again" => return huge::dumped_again(bed, size),
        "locked_from_now_on" => return huge::locked_from_now_on(bed, size),
        "locked_grows_again" => return huge::locked_grows_again(bed, size),
        "memory_moves" => return huge::memory_moves(bed, size),
        "mapping_changed" => return huge::mapping_changed(bed, size),
        "memory_goes_back" => return huge::memory_goes_back(bed, size),
        "threads" => return huge::threads_leave_nothing(bed, size),
        _ => panic!("no program {program}"),
    }
    println!("survived");
}

fn overflow(bed: &Bed, block: *mut u8, size: usize, bytes: usize) {
    for at in size..size + bytes {
        write(block, at as isize, 0x41);
    }
    free(bed, block, size);
}

fn late_write(bed: &Bed, block: *mut u8, size: usize, at: usize) {
    free(bed, block, size);
    write(block, at as isize, 0x41);
    go_round(bed, size);
}

/// The address behind the last block of a slice, in which less than a block is left.
fn rest_of_slice(bed: &Bed, size: usize) -> *mut u8 {
    const SLICE: usize = 64 << 10;
    let blocks: Vec<_> = (0..200).map(|_| alloc(bed, size)).collect();
    // A block starts at each multiple of its class's bytes, so the least distance is a block.
    let offsets = blocks.iter().map(|block| block.addr() % SLICE).filter(|offset| *offset > 0);
    let bytes = offsets.min().expect("a second block of a slice");
    let rest = SLICE / bytes * bytes;
    assert!(rest < SLICE && rest + bytes > SLICE, "blocks of {bytes} bytes leave nothing");
    blocks[0].wrapping_sub(blocks[0].addr() % SLICE).wrapping_add(rest)
}
