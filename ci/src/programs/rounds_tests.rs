//! What is reported, and what is accepted.

use super::super::list::Program;
use super::*;
use std::time::Instant;

static FINE: Program = Program::of("fine", "echo \"$1\"");
static ENDS: Program = Program::of("ends", "echo first >&2; echo why >&2; exit 3");
static HANGS: Program = Program::of("hangs", "sleep 250");
static DIFFERS: Program = Program::of("differs", "date +%s.%N");
static LOADED: Program = Program::of("loaded", "echo \"${LD_PRELOAD:-nothing}\"");

/// Each under the system's malloc and under a library that is part of every program anyway.
fn taken(programs: &[&'static Program], rounds: u32) -> Taken {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("a map of us");
    let libc = maps.lines().find_map(|line| line.split(' ').rfind(|w| w.ends_with("/libc.so.6")));
    let libc = Path::new(libc.expect("the C library"));
    let libc = Allocator::preloaded("libc", Kind::Variant, libc).expect("the C library");
    let allocators = [Allocator::system(), libc];
    let limit = Duration::from_secs(1);
    let plan = Plan { programs, allocators: &allocators, size: Size::Quick, rounds, limit };
    plan.measure().expect("measured")
}

/// The one thing that went wrong.
fn failure(program: &'static Program, rounds: u32) -> String {
    let taken = taken(&[program, &FINE], rounds);
    let [failure] = taken.failed.as_slice() else { panic!("{:?}", taken.failed) };
    assert_eq!(taken.cells.iter().filter(|cell| cell.program == "fine").count(), 2);
    failure.line()
}

#[test]
fn what_is_the_same_is_measured_in_every_round() {
    let taken = taken(&[&FINE], 3);
    assert!(taken.failed.is_empty(), "{:?}", taken.failed);
    let [system, libc] = taken.cells.as_slice() else { panic!("{:?}", taken.cells) };
    assert_eq!([&system.allocator, &libc.allocator], ["system", "libc"]);
    for cell in [system, libc] {
        assert_eq!([cell.wall_s.len(), cell.peak_rss_kib.len()], [3, 3]);
        assert!(cell.peak_rss_kib.iter().all(|&kib| kib > 0));
    }
}

#[test]
fn a_program_that_fails_is_reported_with_its_last_line() {
    assert_eq!(failure(&ENDS, 2), "ends under system: it ended with exit status: 3: why");
}

#[test]
fn a_program_that_hangs_is_ended_and_reported() {
    let start = Instant::now();
    assert_eq!(failure(&HANGS, 1), "hangs under system: it did not end within 1 s");
    assert!(start.elapsed() < Duration::from_secs(100));
}

#[test]
fn an_output_that_differs_fails() {
    let line = failure(&LOADED, 3);
    assert!(line.starts_with("loaded under libc: it printed `/"), "{line}");
    assert!(line.contains("where it printed `nothing`"), "{line}");
    let taken = taken(&[&DIFFERS], 2);
    assert!(taken.failed.iter().any(|failure| failure.kind == Kind::System), "in its own rounds");
}

#[test]
fn a_library_that_is_not_loaded_is_no_success() {
    let folder = Folder::new().expect("a folder");
    let file = folder.file("library.so");
    std::fs::write(&file, "no library").expect("a file");
    let broken = Allocator::preloaded("broken", Kind::Variant, &file).expect("a file");
    let allocators = [Allocator::system(), broken];
    let (size, limit) = (Size::Quick, LIMIT);
    let plan = Plan { programs: &[&FINE], allocators: &allocators, size, rounds: 1, limit };
    let taken = plan.measure().expect("measured");
    assert!(taken.failed[0].why.contains("cannot be preloaded"), "{:?}", taken.failed);
    assert_eq!(taken.cells.len(), 1);
}
