//! Every call to the kernel for memory is refused in turn, and nothing is lost: a test for each variant.
//!
//! A child of the test goes through the numbers of the calls. For each it forks, so that each case begins with a heap
//! that has never been used, and refuses that call: alone, with all after it, or as at the limit of mappings.

use crate::kernel::{self, Refuse};
use crate::testbed::{Bed, bed, child, for_each_bed};
use core::ffi::{c_int, c_void};
use std::alloc::Layout;
use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

const SIZES: [usize; 8] = [16, 100, 1000, 5000, 40_000, 200_000, 600_000, 1 << 20];
const ALIGNMENTS: [usize; 4] = [64, 4096, 1 << 16, 1 << 21];
const STACK: usize = 256 << 10;
const PAGE: usize = 4096;
/// Bytes from one byte that a block is filled with to the next.
const STEP: usize = 64 << 10;

/// KiB that may stay resident beyond what stays where no call is refused; and where the system's malloc serves large
/// blocks, which then keeps some.
const LEFT_KIB: usize = 64;
const LEFT_BY_SYSTEM_KIB: usize = 3 << 10;

/// A block with its content: a byte in each slice, and at its end.
#[derive(Clone, Copy)]
struct Held {
    block: *mut u8,
    layout: Layout,
    seed: u8,
}

impl Held {
    fn places(size: usize) -> impl Iterator<Item = usize> {
        (0..size).step_by(STEP).chain([size - 1])
    }

    fn byte(self, at: usize) -> u8 {
        self.seed ^ (at / STEP) as u8
    }

    fn fill(self) {
        for at in Self::places(self.layout.size()) {
            // SAFETY: inside the block.
            unsafe { self.block.wrapping_add(at).write(self.byte(at)) };
        }
    }

    /// Checks the bytes that a block of `size` has in common with the block as it was filled.
    fn check(self, size: usize) {
        for at in (0..size).step_by(STEP) {
            // SAFETY: inside the block, and written by `fill`.
            let byte = unsafe { self.block.wrapping_add(at).read() };
            assert_eq!(byte, self.byte(at), "byte {at} of {:?}", self.layout);
        }
    }
}

/// What a case needs beside the heap under test. It is there before any call is refused.
struct Room {
    held: Vec<Held>,
    stack: *mut c_void,
}

impl Room {
    fn new() -> Self {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let stack = unsafe { libc::mmap(ptr::null_mut(), STACK, access, flags, -1, 0) };
        assert_ne!(stack, libc::MAP_FAILED);
        Self { held: Vec::with_capacity(256), stack }
    }

    /// Runs `action` on a thread that starts, on a stack that is there already. False if there is none.
    fn on_a_thread(&self, action: &mut dyn FnMut()) -> bool {
        extern "C" fn run(action: *mut c_void) -> *mut c_void {
            // SAFETY: `on_a_thread` waits for this thread, and leaves the closure alone meanwhile.
            let action = unsafe { &mut *action.cast::<&mut dyn FnMut()>() };
            let outcome = catch_unwind(AssertUnwindSafe(action));
            ptr::without_provenance_mut(usize::from(outcome.is_err()))
        }
        // SAFETY: all bytes zero is room for the attributes, which the next call sets.
        let mut attributes: libc::pthread_attr_t = unsafe { std::mem::zeroed() };
        // SAFETY: it writes to the attributes.
        assert_eq!(unsafe { libc::pthread_attr_init(&raw mut attributes) }, 0);
        // SAFETY: the stack is mapped, and no other thread uses it.
        let set = unsafe { libc::pthread_attr_setstack(&raw mut attributes, self.stack, STACK) };
        assert_eq!(set, 0);
        let (mut thread, mut action, mut failed) = (0, action, ptr::null_mut());
        let word = (&raw mut action).cast();
        // SAFETY: the closure outlives the thread, which is joined below.
        let started =
            unsafe { libc::pthread_create(&raw mut thread, &raw const attributes, run, word) };
        if started != 0 {
            return false;
        }
        // SAFETY: started above, and joined once.
        assert_eq!(unsafe { libc::pthread_join(thread, &raw mut failed) }, 0);
        assert!(failed.is_null(), "the thread failed");
        true
    }
}

/// A block, filled; counts it as a null if there is none.
fn take(bed: &Bed, held: &mut Vec<Held>, layout: Layout, zeroed: bool) -> u32 {
    let seed = held.len() as u8 | 1;
    let block = if zeroed {
        // SAFETY: no size is 0.
        unsafe { bed.allocator.alloc_zeroed(layout) }
    } else {
        // SAFETY: no size is 0.
        unsafe { bed.allocator.alloc(layout) }
    };
    if block.is_null() {
        return 1;
    }
    assert!(block.addr().is_multiple_of(layout.align()), "{layout:?}");
    for at in Held::places(layout.size()).filter(|_| zeroed) {
        // SAFETY: inside the block, all of which is zero.
        assert_eq!(unsafe { block.wrapping_add(at).read() }, 0, "{layout:?} is not zero");
    }
    let new = Held { block, layout, seed };
    new.fill();
    held.push(new);
    0
}

fn give(bed: &Bed, held: Held) {
    held.check(held.layout.size());
    // SAFETY: live, with this layout.
    unsafe { bed.allocator.dealloc(held.block, held.layout) };
}

fn resize(bed: &Bed, held: &mut Held, new: usize) -> u32 {
    // SAFETY: the block is live, with this layout.
    let moved = unsafe { bed.allocator.realloc(held.block, held.layout, new) };
    if moved.is_null() {
        held.check(held.layout.size());
        return 1;
    }
    held.block = moved;
    held.check(new.min(held.layout.size()));
    held.layout = Layout::from_size_align(new, held.layout.align()).expect("a layout");
    held.fill();
    0
}

/// Blocks of all sizes and alignments, zeroed or not, that grow and shrink; a thread that starts with none, and frees
/// others'; a purge; a fork. Returns how many requests got null.
fn live_a_little(bed: &Bed, room: &mut Room) -> u32 {
    let mut held = std::mem::take(&mut room.held);
    let layout = |size, align| Layout::from_size_align(size, align).expect("a layout");
    let mut nulls = 0;
    for (turn, size) in SIZES.into_iter().enumerate() {
        nulls += take(bed, &mut held, layout(size, 16), turn % 2 == 0);
    }
    for align in ALIGNMENTS {
        nulls += take(bed, &mut held, layout(24, align), false);
        nulls += take(bed, &mut held, layout(70_000, align), true);
    }
    for held in &mut held {
        let old = held.layout.size();
        for new in [old * 2, old / 3 + 1] {
            nulls += resize(bed, held, new);
        }
    }
    let mut theirs = 0;
    room.on_a_thread(&mut || {
        for _ in 0..held.len() / 2 {
            let index = held.len() / 3;
            give(bed, held.swap_remove(index));
        }
        for size in SIZES {
            theirs += take(bed, &mut held, layout(size, 8), false);
        }
    });
    (bed.purge)();
    for size in SIZES {
        nulls += take(bed, &mut held, layout(size, 16), true);
    }
    in_a_fork(|| {
        let last = held.pop();
        last.into_iter().for_each(|held| give(bed, held));
        take(bed, &mut held, layout(100, 8), false);
        take(bed, &mut held, layout(50_000, 8), true);
        held.drain(..).for_each(|held| give(bed, held));
    });
    held.drain(..).for_each(|held| give(bed, held));
    room.held = held;
    nulls + theirs
}

/// Runs `action` in a child process, which must end well.
pub(crate) fn in_a_fork(action: impl FnOnce()) {
    // SAFETY: the child runs `action` on this thread, and ends.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "no process");
    if pid == 0 {
        let code = c_int::from(catch_unwind(AssertUnwindSafe(action)).is_err());
        // SAFETY: ends the child.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: it writes the status of the child.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0, "the child ended badly");
}

/// What a case reports to the process that forked it, in memory that both have.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Outcome {
    nulls: u32,
    refused: u32,
    resident_kib: usize,
    segments: u32,
    /// Bytes that count towards a limit.
    counted: usize,
    /// True if the variant itself serves large blocks.
    serves_large: bool,
}

fn shared() -> *mut Outcome {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    // SAFETY: a fresh mapping at an address of the kernel's choice.
    let page = unsafe { libc::mmap(ptr::null_mut(), PAGE, access, flags, -1, 0) };
    assert_ne!(page, libc::MAP_FAILED);
    page.cast()
}

/// Pages of this process in memory, without those of files.
fn resident_kib() -> usize {
    let [_, resident, of_files] = pages();
    (resident - of_files) * PAGE / 1024
}

pub(crate) fn mapped_kib() -> usize {
    let [mapped, ..] = pages();
    mapped * PAGE / 1024
}

/// Pages of this process: mapped, in memory, and those of files in memory.
fn pages() -> [usize; 3] {
    let mut text = [0; 128];
    let mut file = File::open("/proc/self/statm").expect("procfs");
    let bytes = file.read(&mut text).expect("procfs");
    let text = std::str::from_utf8(&text[..bytes]).expect("text");
    let number = |index| -> usize {
        let word = text.split_whitespace().nth(index).expect("seven numbers");
        word.parse().expect("a number")
    };
    [0, 1, 2].map(number)
}

fn case(bed: &Bed, until: u32, which: Refuse) -> Outcome {
    let mut room = Room::new();
    kernel::hold_up();
    kernel::refuse(until, which);
    let nulls = live_a_little(bed, &mut room);
    let refused = kernel::relent();
    // It works as before.
    assert_eq!(live_a_little(bed, &mut room), 0, "no memory, though the kernel has some");
    let layout = Layout::from_size_align(100_000, 16).expect("a layout");
    take(bed, &mut room.held, layout, false);
    let serves_large = (bed.owns)(room.held[0].block);
    room.held.drain(..).for_each(|held| give(bed, held));
    (bed.purge)();
    // What the system's malloc served for a variant is the system's to give back.
    // SAFETY: it takes a number.
    unsafe { libc::malloc_trim(0) };
    let audit = bed.audit();
    assert_eq!((audit.live(), audit.spans), (0, 0), "blocks are lost");
    let (resident_kib, segments) = (resident_kib(), (bed.superslabs)());
    let counted = (bed.counted)();
    Outcome { nulls, refused, resident_kib, segments, counted, serves_large }
}

/// The child: refuses each call in turn.
pub(crate) fn run(bed: &'static Bed) {
    let page = shared();
    let outcome = |until, which| {
        in_a_fork(|| {
            let outcome = case(bed, until, which);
            // SAFETY: the page has room for it, and the parent waits.
            unsafe { page.write(outcome) };
        });
        // SAFETY: the child wrote it, and has ended.
        unsafe { page.read() }
    };
    let usual = outcome(0, Refuse::One);
    let allowed_kib = if usual.serves_large { LEFT_KIB } else { LEFT_BY_SYSTEM_KIB };
    for which in [Refuse::One, Refuse::AllAfter, Refuse::Mappings] {
        let (mut felt, mut most) = (0, 0);
        for until in 1.. {
            println!("{} {which:?} {until}", bed.id);
            let now = outcome(until, which);
            if now.refused == 0 {
                let calls = until - 1;
                println!("{}: {which:?}: {calls} calls, {felt} felt, {most} KiB left", bed.id);
                break;
            }
            felt += u32::from(now.nulls > 0);
            most = most.max(now.resident_kib.saturating_sub(usual.resident_kib));
            assert!(
                now.resident_kib <= usual.resident_kib + allowed_kib,
                "{now:?} after {usual:?}"
            );
            assert!(now.segments <= usual.segments + 1, "{now:?} after {usual:?}");
            assert!(now.counted <= usual.counted + (LEFT_KIB << 10), "{now:?} after {usual:?}");
        }
        // A single refusal has no effect where the allocator gives up waiting memory and tries again. Nor have many, where
        // the system's malloc steps in with memory of its own.
        let is_felt = which == Refuse::One || !usual.serves_large || felt > 3;
        assert!(is_felt, "only {felt} refusals were felt: are the calls counted?");
    }
}

pub(crate) fn each_in_turn(bed: &Bed) {
    let output = child(&["refused_mappings", bed.id]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last = stdout.lines().rfind(|line| line.contains(bed.id));
    assert!(output.status.success(), "{last:?}: {stderr}");
}

/// The child: a background thread for which the system has no room, or whose purges the kernel refuses.
pub(crate) fn run_in_background(case: &str) {
    let apex = bed("apex");
    let mut room = Room::new();
    assert!(hakmem::background());
    kernel::refuse_always(match case {
        "no_thread" => &[libc::SYS_clone, libc::SYS_clone3],
        _ => &[libc::SYS_madvise, libc::SYS_munmap],
    });
    for _ in 0..3 {
        let started = room.on_a_thread(&mut || {});
        assert_eq!(started, case != "no_thread");
        let held = &mut room.held;
        for size in SIZES {
            assert_eq!(
                take(apex, held, Layout::from_size_align(size, 16).expect("a layout"), true),
                0
            );
        }
        held.drain(..).for_each(|held| give(apex, held));
        hakmem::purge();
    }
}

#[test]
fn the_background_thread_is_refused() {
    for case in ["no_thread", "no_purge"] {
        crate::testbed::child_succeeds(&["in_background", case]);
    }
}

/// The child: the kernel takes no memory back, as from a program that locks its memory. So it maps no more than a block
/// has: all of it would be in memory at once.
pub(crate) fn run_where_all_is_locked() {
    let bed = bed("apex");
    let mut held = Vec::new();
    let layout = Layout::from_size_align(1 << 20, 16).expect("a layout");
    // The first block opens the thread's cache.
    assert_eq!(take(bed, &mut held, Layout::from_size_align(64, 16).expect("a layout"), true), 0);
    kernel::refuse_always(&[libc::SYS_madvise]);
    let before = mapped_kib();
    assert_eq!(take(bed, &mut held, layout, true), 0);
    let grown = mapped_kib() - before;
    assert!((1024..2048).contains(&grown), "{grown} KiB for a block of 1024");
    held.drain(..).for_each(|held| give(bed, held));
}

/// The child: at its limit of mappings the kernel unmaps nothing. The addresses of a segment then serve huge blocks, and
/// have access again, which most of them never had.
pub(crate) fn run_where_nothing_is_unmapped() {
    const SEGMENT: usize = 2 << 20;
    let bed = bed("apex");
    let layout = |size| Layout::from_size_align(size, 16).expect("a layout");
    let mut held = Vec::new();
    // The only segment, half of which gets access.
    assert_eq!(take(bed, &mut held, layout(500_000), false), 0);
    let segment = held[0].block.addr() / SEGMENT;
    kernel::refuse_always(&[libc::SYS_munmap]);
    held.drain(..).for_each(|held| give(bed, held));
    (bed.purge)();
    assert_eq!((bed.superslabs)(), 0);
    assert_eq!(take(bed, &mut held, layout(SEGMENT), true), 0);
    let block = held[0].block;
    assert_eq!(block.addr() / SEGMENT, segment);
    // SAFETY: the block has that many bytes.
    unsafe { block.write_bytes(3, SEGMENT) };
}

#[test]
fn what_the_kernel_does_not_unmap_has_access() {
    crate::testbed::child_succeeds(&["where_nothing_is_unmapped"]);
}

#[test]
fn a_program_that_locks_its_memory() {
    crate::testbed::child_succeeds(&["where_all_is_locked"]);
}

for_each_bed!(each_in_turn);
