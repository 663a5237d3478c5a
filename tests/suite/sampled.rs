//! Sampled blocks of the Rust face. Each misuse runs in a child, which must end by the right signal, with a report.
//!
//! Where blocks are freed by their layout, a freed block waits in a list before its pages are closed. So these programs
//! free more blocks, and purge, before they misuse one.

use crate::testbed::{Bed, HARDENED, child, child_succeeds, for_each_bed, join_all};
use crate::{shadow_map, testbed};
use std::alloc::Layout;
use std::cell::Cell;
use std::os::unix::process::ExitStatusExt;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A size that a class serves exactly, in every variant, and one above the classes.
const SMALL: usize = 2048;
const LARGE: usize = 100_000;

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a layout")
}

fn alloc(bed: &Bed, size: usize) -> *mut u8 {
    // SAFETY: the size is not 0.
    let block = unsafe { bed.allocator.alloc(layout(size)) };
    assert!(!block.is_null());
    block
}

/// Frees any address: a misuse, in some programs.
fn free(bed: &Bed, block: *mut u8, size: usize) {
    // SAFETY: broken on purpose, in a process of its own.
    unsafe { bed.allocator.dealloc(block, layout(size)) };
}

fn write(place: *mut u8) {
    // SAFETY: broken on purpose, in a process of its own.
    unsafe { place.write_volatile(1) };
}

/// A sampled block: the next one, since a list that is empty gives nothing else.
fn sampled(bed: &Bed, size: usize) -> *mut u8 {
    assert!((bed.sample)(1), "{}", bed.id);
    (bed.purge)();
    alloc(bed, size)
}

/// Frees a block, and has it brought home.
fn bring_home(bed: &Bed, block: *mut u8, size: usize) {
    free(bed, block, size);
    (bed.purge)();
}

/// Says which line the report must begin with.
fn expect(what: &str, place: *mut u8) {
    println!("hakmem: fatal: {what}: {place:p}");
}

fn overflow(bed: &Bed, size: usize) {
    let end = sampled(bed, size).wrapping_add(size);
    expect("buffer overflow", end);
    write(end);
}

fn underflow(bed: &Bed) {
    let before = sampled(bed, 4096).wrapping_sub(1);
    expect("buffer underflow", before);
    write(before);
}

/// A byte beside the block, in its own page: the block's way home finds it.
fn underflow_found(bed: &Bed) {
    let block = sampled(bed, SMALL);
    expect("buffer underflow", block.wrapping_sub(2));
    write(block.wrapping_sub(2));
    bring_home(bed, block, SMALL);
}

/// Checks SP1: the pages of a freed block are closed.
fn use_after_free(bed: &Bed, size: usize) {
    let block = sampled(bed, size);
    bring_home(bed, block, size);
    expect("use after free", block.wrapping_add(9));
    write(block.wrapping_add(9));
}

/// Checks SP2: a lookup finds that the address is the pool's.
fn double_free(bed: &Bed, size: usize) {
    let block = sampled(bed, size);
    // Both wait in the outbox or a list, and go home one after the other; or the first goes home at once.
    bring_home(bed, block, size);
    expect(if size == SMALL && frees_to_a_list(bed) { LINK } else { "double free" }, block);
    bring_home(bed, block, size);
}

/// Where a free adds the block to a list, the list's link is written to the closed pages.
const LINK: &str = "use after free";

/// True if the variant frees by the layout alone, in builds that do not check each free.
fn frees_to_a_list(bed: &Bed) -> bool {
    !cfg!(debug_assertions) && !BY_ADDRESS.contains(&bed.id)
}

fn free_inside(bed: &Bed, size: usize) {
    let block = sampled(bed, size).wrapping_add(16);
    expect("free of an address inside a block", block);
    bring_home(bed, block, size);
}

fn other_thread(bed: &'static Bed) {
    let place = sampled(bed, SMALL).expose_provenance();
    let freed = move || {
        bring_home(bed, ptr::with_exposed_provenance_mut(place), SMALL);
        // SAFETY: a system call without conditions.
        println!("  it was freed in thread {}:", unsafe { libc::gettid() });
    };
    thread::spawn(freed).join().expect("no panic");
    let block = ptr::with_exposed_provenance_mut::<u8>(place);
    expect("use after free", block);
    write(block);
}

static FAULTS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn note_fault(_: libc::c_int, about: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel hands over its word on the signal.
    let about = unsafe { &*about };
    // SAFETY: the signal is of a fault.
    let address = unsafe { about.si_addr() }.addr();
    if FAULTS.fetch_add(1, Ordering::Relaxed) != 0 {
        // SAFETY: it ends the process, which expects one fault.
        unsafe { libc::_exit(3) };
    }
    println!("handled {address:#x}");
    // SAFETY: whole pages that the test mapped, at the fault's address.
    let opened = unsafe { libc::mprotect(ptr::with_exposed_provenance_mut(address), 4096, 3) };
    assert_eq!(opened, 0);
}

/// A handler that was there before gets the faults elsewhere, and goes on.
fn handler_before(bed: &Bed) {
    act(note_fault as extern "C" fn(_, _, _) as usize, libc::SA_SIGINFO);
    let block = sampled(bed, SMALL);
    write(closed_page());
    assert_eq!(FAULTS.load(Ordering::Relaxed), 1);
    bring_home(bed, block, SMALL);
    expect("use after free", block);
    write(block);
}

/// Sets the action for faults, before the first sample.
fn act(handler: libc::sighandler_t, flags: libc::c_int) {
    // SAFETY: all bytes zero is an action without flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    (action.sa_sigaction, action.sa_flags) = (handler, flags);
    // SAFETY: the action is complete.
    assert_eq!(unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, ptr::null_mut()) }, 0);
}

/// A page without access, where a fault is not ours.
fn closed_page() -> *mut u8 {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a mapping at an address of the kernel's choice.
    unsafe { libc::mmap(ptr::null_mut(), 4096, libc::PROT_NONE, flags, -1, 0) }.cast()
}

/// Faults that the program ignored end it, as without samples; signals that a process sends do not.
fn ignored_before(bed: &Bed) {
    act(libc::SIG_IGN, 0);
    sampled(bed, SMALL);
    // SAFETY: a system call without conditions.
    unsafe { libc::raise(libc::SIGSEGV) };
    // A fault that comes for ever ends by another signal.
    // SAFETY: a system call without conditions.
    unsafe { libc::alarm(20) };
    write(closed_page());
}

/// A handler for one fault gets one.
fn handled_once(bed: &Bed) {
    act(note_fault as extern "C" fn(_, _, _) as usize, libc::SA_SIGINFO | libc::SA_RESETHAND);
    sampled(bed, SMALL);
    write(closed_page());
    write(closed_page());
}

/// The standard library's handler, which runs on a stack of its own, says that a stack has overflowed.
fn stack_overflow(bed: &Bed) {
    fn deeper(depth: usize) -> usize {
        let bytes = std::hint::black_box([depth; 100]);
        if depth == 0 { 0 } else { deeper(depth + 1) + bytes[depth % 100] }
    }
    sampled(bed, SMALL);
    deeper(1);
}

/// The child of a fork knows the parent's blocks, and samples its own.
fn forked(bed: &Bed) {
    let block = sampled(bed, SMALL);
    // SAFETY: the child of a process with one more thread, which waits, does what the allocator allows.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        bring_home(bed, alloc(bed, LARGE), LARGE);
        bring_home(bed, block, SMALL);
        expect("use after free", block);
        write(block);
    }
    let mut status = 0;
    // SAFETY: a child of this process, and a place for its status.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    write(block);
    bring_home(bed, block, SMALL);
    // The standard library's handler, which gets the signal next, takes one that was sent for a fault.
    // SAFETY: the default action.
    unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
    // SAFETY: a system call without conditions.
    unsafe { libc::raise(libc::WTERMSIG(status)) };
}

/// Blocks of one thread that another frees, and that outlive their thread.
fn between_threads(bed: &'static Bed) {
    assert!((bed.sample)(2), "{}", bed.id);
    for round in 0..20 {
        let blocks: Vec<usize> = thread::spawn(move || {
            (0..200).map(|n| alloc(bed, 16 + n * 7 % 3000 + round).expose_provenance()).collect()
        })
        .join()
        .expect("no panic");
        thread::scope(|scope| {
            join_all((0..4).map(|part| {
                let blocks = &blocks;
                scope.spawn(move || {
                    for n in (part..200).step_by(4) {
                        let block = ptr::with_exposed_provenance_mut(blocks[n]);
                        free(bed, block, 16 + n * 7 % 3000 + round);
                    }
                })
            }));
        });
    }
    (bed.purge)();
    assert_eq!(bed.audit().live(), 0);
}

/// After samples are off, the sampled blocks that are out come home as ever.
fn off_again(bed: &Bed) {
    let files = || std::fs::read_dir("/proc/self/fd").expect("procfs").count();
    let before = files();
    let blocks: Vec<*mut u8> = (0..50).map(|n| sampled(bed, 100 + n * 50)).collect();
    assert!((bed.sample)(0));
    assert_eq!(files(), before, "a look at the mappings leaves its file open");
    for (n, block) in blocks.into_iter().enumerate() {
        bring_home(bed, block, 100 + n * 50);
    }
    // A block after another, each from a slab: none of them has a page of its own.
    let blocks: Vec<*mut u8> = (0..4).map(|_| alloc(bed, 64)).collect();
    assert!(blocks.windows(2).any(|pair| pair[0].addr().abs_diff(pair[1].addr()) < 4096));
    blocks.into_iter().for_each(|block| free(bed, block, 64));
    (bed.purge)();
    assert_eq!(bed.audit().live(), 0);
}

/// One block in so many is sampled, at either end of its pages by chance. The bounds are ten standard deviations away.
fn one_in_so_many(bed: &Bed) {
    const MEAN: u32 = 10;
    const BLOCKS: usize = 5000;
    const SLICE: usize = 64 << 10;
    assert!((bed.sample)(MEAN));
    let (mut at_end, mut at_beginning) = (0, 0);
    for _ in 0..BLOCKS {
        // The thread keeps no span, which would serve it without a look at the count.
        (bed.purge)();
        let block = alloc(bed, LARGE);
        // A span starts with a slice. A sampled block ends with one, or starts behind the slice's first page.
        at_end += usize::from((block.addr() + LARGE).is_multiple_of(SLICE));
        at_beginning += usize::from(block.addr() % SLICE == 4096);
        free(bed, block, LARGE);
    }
    let (least, most) = (BLOCKS / 20 - 150, BLOCKS / 20 + 150);
    assert!((least..most).contains(&at_end), "{at_end} at the end");
    assert!((least..most).contains(&at_beginning), "{at_beginning} at the beginning");
}

/// Runs a program by its name.
pub(crate) fn run(bed: &'static Bed, program: &str) {
    match program {
        "overflow" => overflow(bed, SMALL),
        "overflow_large" => overflow(bed, 25 * 4096),
        "underflow" => underflow(bed),
        "underflow_found" => underflow_found(bed),
        "use_after_free" => use_after_free(bed, SMALL),
        "use_after_free_large" => use_after_free(bed, LARGE),
        "double_free" => double_free(bed, SMALL),
        "double_free_large" => double_free(bed, LARGE),
        "free_inside" => free_inside(bed, SMALL),
        "free_inside_large" => free_inside(bed, LARGE),
        "other_thread" => other_thread(bed),
        "handler_before" => handler_before(bed),
        "ignored_before" => ignored_before(bed),
        "handled_once" => handled_once(bed),
        "stack_overflow" => stack_overflow(bed),
        "forked" => forked(bed),
        "between_threads" => bed.alone(|| between_threads(bed)),
        "one_in_so_many" => one_in_so_many(bed),
        "off_again" => bed.alone(|| off_again(bed)),
        "operations_1" => bed.alone(|| shadow_map::operate_with_samples(bed, 1)),
        "operations_3" => bed.alone(|| shadow_map::operate_with_samples(bed, 3)),
        _ => panic!("no program {program}"),
    }
}

/// Runs a program, which must end by this signal, with a report that has every line that it announced.
fn assert_reported(bed: &Bed, program: &str, signal: i32) {
    let output = child(&["sampled", bed.id, program]);
    let said = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(signal), "{program}: {said}{stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    let last = Cell::new("");
    for line in said.lines() {
        let Some(at) = line.find("hakmem: ").or_else(|| line.find("  it was freed")) else {
            continue;
        };
        assert!(lines.contains(&&line[at..]), "{program} without `{line}`: {stderr}");
        last.set(&line[at..]);
    }
    let first = lines.iter().find(|line| line.starts_with("hakmem: fatal: "));
    assert_eq!(first, Some(&last.get()), "{program}: {stderr}");
    assert!(stderr.contains("\n  it was allocated in thread "), "{program}: {stderr}");
    let is_live = program.contains("flow") || program.contains("inside");
    assert_ne!(stderr.contains("\n  it was freed in thread "), is_live, "{program}: {stderr}");
    assert!(stderr.contains("/suite-"), "{program}, no function of this program: {stderr}");
}

/// The variants of the central backend that free by a lookup.
const BY_ADDRESS: [&str; 4] = ["central-lists", "fine-classes", "own-large", "kept-mappings"];

/// True if the variant samples, and serves large blocks itself.
fn samples(bed: &Bed) -> (bool, bool) {
    let samples = (bed.sample)(1);
    assert!((bed.sample)(0));
    (samples, samples && !["central-lists", "fine-classes"].contains(&bed.id))
}

fn misuse_is_reported(bed: &'static Bed) {
    let (has_small, has_large) = samples(bed);
    if !has_small {
        return assert!(bed.id == "legacy" || bed.classes < 60, "{} does not sample", bed.id);
    }
    if HARDENED.contains(&bed.id) {
        // A tail lies between the block's end and the pages behind it; `guarded.rs` has the programs for it.
        return assert_reported(bed, "use_after_free", libc::SIGSEGV);
    }
    for program in ["overflow", "use_after_free", "other_thread"] {
        assert_reported(bed, program, libc::SIGSEGV);
    }
    // The report's classes end below a page.
    if bed.id != "central-lists" {
        assert_reported(bed, "underflow", libc::SIGSEGV);
    }
    let late = if frees_to_a_list(bed) { libc::SIGSEGV } else { libc::SIGABRT };
    assert_reported(bed, "double_free", late);
    for program in ["underflow_found", "free_inside"] {
        assert_reported(bed, program, libc::SIGABRT);
    }
    if has_large {
        assert_reported(bed, "overflow_large", libc::SIGSEGV);
        assert_reported(bed, "use_after_free_large", libc::SIGSEGV);
        assert_reported(bed, "double_free_large", libc::SIGABRT);
        assert_reported(bed, "free_inside_large", libc::SIGABRT);
    }
}

fn random_operations_with_samples(bed: &'static Bed) {
    if !samples(bed).0 {
        return;
    }
    for program in ["operations_1", "operations_3", "between_threads", "off_again"] {
        child_succeeds(&["sampled", bed.id, program]);
    }
}

#[test]
fn a_handler_that_was_there_gets_other_faults() {
    assert_reported(testbed::apex(), "handler_before", libc::SIGSEGV);
}

#[test]
fn a_fault_elsewhere_ends_as_without_samples() {
    for (program, signal, what) in [
        ("ignored_before", libc::SIGSEGV, ""),
        ("handled_once", libc::SIGSEGV, ""),
        ("stack_overflow", libc::SIGABRT, "overflowed its stack"),
    ] {
        let output = child(&["sampled", "apex", program]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let is_right = output.status.signal() == Some(signal) && stderr.contains(what);
        assert!(is_right, "{program}: {:?}: {stderr}", output.status);
    }
}

#[test]
fn one_block_in_so_many_is_sampled() {
    child_succeeds(&["sampled", "apex", "one_in_so_many"]);
}

#[test]
fn a_child_of_a_fork_goes_on_with_samples() {
    assert_reported(testbed::apex(), "forked", libc::SIGSEGV);
}

for_each_bed!(misuse_is_reported, random_operations_with_samples);
