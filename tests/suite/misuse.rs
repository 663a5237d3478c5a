//! Each program misuses the allocator in a checked build; the test checks its signal and its last line. docs/misuse.md
//! is the table.

use crate::testbed::{Bed, child};
use std::alloc::Layout;
use std::os::unix::process::ExitStatusExt;

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a layout")
}

fn alloc(bed: &Bed, size: usize) -> *mut u8 {
    // SAFETY: the size is not 0.
    unsafe { bed.allocator.alloc(layout(size)) }
}

/// Frees any address: the misuse under test.
fn free(bed: &Bed, block: *mut u8, size: usize) {
    // SAFETY: broken on purpose; these programs run in a process of their own.
    unsafe { bed.allocator.dealloc(block, layout(size)) }
}

fn double_free(bed: &Bed) {
    let block = alloc(bed, 100);
    free(bed, block, 100);
    free(bed, block, 100);
}

fn double_free_after_others(bed: &Bed) {
    let blocks: Vec<*mut u8> = (0..10).map(|_| alloc(bed, 100)).collect();
    blocks.iter().for_each(|&block| free(bed, block, 100));
    free(bed, blocks[3], 100);
}

/// Frees a block in another thread, whose list has it then, and once more.
#[cfg(any(feature = "all-variants", feature = "sealed-frees"))]
fn double_free_in_another_thread(bed: &'static Bed) {
    let block = alloc(bed, 100).expose_provenance();
    let (freed, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        free(bed, std::ptr::with_exposed_provenance_mut(block), 100);
        freed.send(()).expect("a receiver");
        std::thread::park();
    });
    wait.recv().expect("a sender");
    free(bed, std::ptr::with_exposed_provenance_mut(block), 100);
    // SAFETY: the process ends, before its lists come home.
    unsafe { libc::_exit(0) };
}

/// Frees half of many blocks, each `step` blocks behind the one before, and one of them once more, after most of its list
/// has come home.
#[cfg(any(feature = "all-variants", feature = "sealed-frees"))]
fn double_free_after_it_came_home(bed: &Bed, count: usize, step: usize) {
    let blocks: Vec<*mut u8> = (0..count).map(|_| alloc(bed, 1000)).collect();
    let freed: Vec<*mut u8> = (0..count / 2).map(|n| blocks[n * step % count]).collect();
    freed.iter().for_each(|&block| free(bed, block, 1000));
    // The list gets room, so the second free takes no block home.
    let again: Vec<*mut u8> = (0..100).map(|_| alloc(bed, 1000)).collect();
    let waits = freed.iter().skip(count / 3).find(|block| !again.contains(block));
    free(bed, *waits.expect("more are free"), 1000);
    // SAFETY: the process ends, before its lists come home.
    unsafe { libc::_exit(0) };
}

/// Frees a block into a list and then once more, among blocks all over a large heap, which go home by the batch.
#[cfg(any(feature = "all-variants", feature = "sealed-frees"))]
fn double_free_in_an_outbox(bed: &Bed) {
    const COUNT: usize = 100_000;
    let blocks: Vec<*mut u8> = (0..COUNT).map(|_| alloc(bed, 1000)).collect();
    for n in 0..COUNT / 2 {
        free(bed, blocks[n * 997 % COUNT], 1000);
        if n == COUNT / 4 {
            free(bed, blocks[0], 1000);
        }
    }
    // SAFETY: the process ends, before its lists come home.
    unsafe { libc::_exit(0) };
}

/// The report's risk: a block that comes home twice makes `used` reach 0 while another is out.
fn double_free_does_not_pass_for_empty(bed: &Bed) {
    // All blocks of three slabs, so that the first slab is no longer the current one.
    let blocks: Vec<*mut u8> = (0..96).map(|_| alloc(bed, 2048)).collect();
    let survivor = blocks[5];
    // Everything of the first slab but the survivor goes home, by a drain of a list that is idle:
    // other classes are refilled until its turn has come twice.
    let home = |n: usize| {
        for _ in 0..n {
            for size in [16, 32, 64, 128, 256, 512] {
                let others: Vec<*mut u8> = (0..200).map(|_| alloc(bed, size)).collect();
                others.iter().for_each(|&block| free(bed, block, size));
            }
        }
    };
    for &block in &blocks[..31] {
        if block != survivor {
            free(bed, block, 2048);
        }
    }
    home(20);
    // One more time, for a block that is home already, in place of the survivor.
    free(bed, blocks[7], 2048);
    home(20);
    // If the slab had passed for EMPTY, its memory would now be carved for other blocks.
    for size in [16, 32, 64, 128, 256, 512, 2048] {
        for _ in 0..5000 {
            std::hint::black_box(alloc(bed, size));
        }
    }
    println!("passed for EMPTY");
}

fn interior_pointer(bed: &Bed) {
    free(bed, alloc(bed, 100).wrapping_add(16), 100);
}

fn wrong_size(bed: &Bed) {
    free(bed, alloc(bed, 100), 1000);
}

/// Frees an address, and has what is freed come home to its slab.
fn free_and_bring_home(bed: &'static Bed, block: *mut u8, size: usize) {
    let address = block.expose_provenance();
    let frees = move || free(bed, std::ptr::with_exposed_provenance_mut(address), size);
    std::thread::spawn(frees).join().expect("it frees");
    // The thread may have left its lists to the next one.
    (bed.purge)();
}

fn interior_pointer_comes_home(bed: &'static Bed) {
    free_and_bring_home(bed, alloc(bed, 100).wrapping_add(16), 100);
}

fn wrong_size_comes_home(bed: &'static Bed) {
    free_and_bring_home(bed, alloc(bed, 100), 1000);
}

/// The first block of a size is alone, and the next one was never handed out.
fn never_handed_out(bed: &'static Bed) {
    free_and_bring_home(bed, alloc(bed, 2048).wrapping_add(2048), 2048);
}

/// So many bytes have a span of two slices, and of five.
const TWO_SLICES: usize = 100_000;
const FIVE_SLICES: usize = 300_000;

fn double_free_of_a_span(bed: &Bed) {
    let spans = [(); 2].map(|()| alloc(bed, TWO_SLICES));
    free(bed, spans[0], TWO_SLICES);
    // The thread keeps this one.
    free(bed, spans[1], TWO_SLICES);
    free(bed, spans[1], TWO_SLICES);
}

/// A thread that has many spans keeps more of them.
fn double_free_of_a_kept_span(bed: &Bed) {
    let spans = [(); 200].map(|()| alloc(bed, TWO_SLICES));
    spans[..100].iter().for_each(|&span| free(bed, span, TWO_SLICES));
    let kept = alloc(bed, TWO_SLICES);
    free(bed, kept, TWO_SLICES);
    free(bed, kept, TWO_SLICES);
}

fn span_of_another_length(bed: &Bed) {
    // The first large block opens the thread's cache.
    free(bed, alloc(bed, TWO_SLICES), TWO_SLICES);
    free(bed, alloc(bed, TWO_SLICES), FIVE_SLICES);
}

fn realloc_of_another_length(bed: &Bed) {
    let span = alloc(bed, FIVE_SLICES);
    // SAFETY: broken on purpose; this program runs in a process of its own.
    unsafe { bed.allocator.realloc(span, layout(TWO_SLICES), 3 * TWO_SLICES / 2) };
}

/// Frees a block of another variant.
#[cfg(feature = "all-variants")]
fn wrong_variant(bed: &Bed) {
    free(bed, alloc(crate::testbed::bed("option-a"), 100), 100);
}

/// Runs a program by its name.
pub(crate) fn run(bed: &'static Bed, program: &str) {
    match program {
        "double_free" => double_free(bed),
        "double_free_after_others" => double_free_after_others(bed),
        "double_free_does_not_pass_for_empty" => double_free_does_not_pass_for_empty(bed),
        #[cfg(any(feature = "all-variants", feature = "sealed-frees"))]
        "double_free_in_another_thread" => double_free_in_another_thread(bed),
        #[cfg(any(feature = "all-variants", feature = "sealed-frees"))]
        "double_free_after_it_came_home" => double_free_after_it_came_home(bed, 20_000, 2),
        #[cfg(any(feature = "all-variants", feature = "sealed-frees"))]
        "double_free_of_a_scattered_block" => double_free_after_it_came_home(bed, 100_000, 997),
        #[cfg(any(feature = "all-variants", feature = "sealed-frees"))]
        "double_free_in_an_outbox" => double_free_in_an_outbox(bed),
        "interior_pointer" => interior_pointer(bed),
        "wrong_size" => wrong_size(bed),
        "interior_pointer_comes_home" => interior_pointer_comes_home(bed),
        "wrong_size_comes_home" => wrong_size_comes_home(bed),
        "never_handed_out" => never_handed_out(bed),
        "realloc_of_another_length" => realloc_of_another_length(bed),
        "double_free_of_a_span" => double_free_of_a_span(bed),
        "double_free_of_a_kept_span" => double_free_of_a_kept_span(bed),
        "span_of_another_length" => span_of_another_length(bed),
        #[cfg(feature = "all-variants")]
        "wrong_variant" => wrong_variant(bed),
        _ => panic!("no program {program}"),
    }
}

/// The variants that are misused: one of each backend of our own.
const VARIANTS: &[&str] =
    if cfg!(feature = "all-variants") { &["apex", "option-abd-hash"] } else { &["apex"] };

/// Runs a program with each variant.
fn assert_each_fatal(program: &str, what: &str) {
    VARIANTS.iter().for_each(|id| assert_fatal(id, program, what));
}

/// Runs a program; it must end by SIGABRT, with the line `hakmem: fatal: <what> 0x<address>`.
fn assert_fatal(id: &str, program: &str, what: &str) {
    if !cfg!(debug_assertions) {
        return; // Only checked builds promise this.
    }
    assert_fatal_in_any_build(id, program, what);
}

/// As [`assert_fatal`], for what a block's slab notices when the block comes home.
fn assert_fatal_in_any_build(id: &str, program: &str, what: &str) {
    let output = child(&["misuse", id, program]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{id} {program}: {stderr}");
    let line = stderr.lines().find(|line| line.starts_with("hakmem: fatal: ")).unwrap_or_default();
    let rest = line.strip_prefix(&format!("hakmem: fatal: {what} 0x"));
    let address = rest.unwrap_or_else(|| panic!("{id} {program} said `{line}`"));
    assert!(u64::from_str_radix(address, 16).is_ok_and(|address| address > 0), "`{line}`");
}

#[test]
fn a_double_free_is_detected() {
    assert_each_fatal("double_free", "double free:");
    assert_each_fatal("double_free_after_others", "double free:");
}

/// The C face has the same knob, in every variant of the central backend.
#[cfg(any(feature = "all-variants", feature = "sealed-frees"))]
#[test]
fn each_second_free_is_detected_by_a_seal() {
    for program in [
        "double_free",
        "double_free_after_others",
        "double_free_in_another_thread",
        "double_free_after_it_came_home",
        "double_free_of_a_scattered_block",
        "double_free_in_an_outbox",
    ] {
        assert_fatal_in_any_build("sealed-frees", program, "double free:");
    }
}

#[test]
fn double_free_is_never_taken_for_empty() {
    let program = "double_free_does_not_pass_for_empty";
    assert_fatal_in_any_build("apex", program, "double free:");
    #[cfg(feature = "all-variants")]
    assert_fatal(
        "option-abd-hash",
        program,
        "double free: a slab is EMPTY with a block in use, metadata at",
    );
}

#[test]
fn an_interior_pointer_is_detected() {
    assert_each_fatal("interior_pointer", "free of an address inside a block:");
}

#[test]
fn a_wrong_size_is_detected() {
    assert_each_fatal("wrong_size", "free with a layout of another size class:");
}

/// A slab looks at each block that comes home, in a release build, too.
#[test]
fn what_comes_home_is_a_block_of_the_slab() {
    let (inside, other) =
        ("free of an address inside a block:", "free with a layout of another size class:");
    assert_fatal_in_any_build("apex", "interior_pointer_comes_home", inside);
    assert_fatal_in_any_build("apex", "wrong_size_comes_home", other);
    // A checked build looks at the address first.
    let what = if cfg!(debug_assertions) { inside } else { other };
    assert_fatal_in_any_build("apex", "never_handed_out", what);
}

#[test]
fn a_realloc_of_a_span_of_another_length_is_detected() {
    let what = "realloc with a layout of another size:";
    assert_fatal_in_any_build("apex", "realloc_of_another_length", what);
}

#[test]
fn a_misused_span_is_detected() {
    let what = "double free, or free with a layout of another size:";
    assert_fatal("apex", "double_free_of_a_span", what);
    assert_fatal("apex", "double_free_of_a_kept_span", what);
    assert_fatal("apex", "span_of_another_length", what);
}

#[cfg(feature = "all-variants")]
#[test]
fn a_wrong_variant_is_detected() {
    assert_each_fatal(
        "wrong_variant",
        "a block of variant option-a was freed through another variant:",
    );
}
