//! What went out of use a moment ago stays with the process; what did so long ago goes back to the kernel. The tests are
//! for `apex`, in children: they move the clock themselves, and look at what is resident.

use crate::returning::resident;
use crate::testbed::{Filled, apex, child_succeeds, set_clock};

/// Milliseconds after which unused memory of `apex` goes back.
const DELAY: u64 = 500;
/// When a test begins.
const START: u64 = 10_000;
/// Bytes that go out of use at a time: few enough that no allowance is passed, which would send them back early.
const PART: usize = 6 << 20;

/// Moves the clock on in eighths of the delay. At each the program takes the slow path, which may purge.
fn go_on_to(from: &mut u64, to: u64) {
    while *from < to {
        *from += DELAY / 8;
        set_clock(*from);
        // More operations than a thread's cache of spans serves without a look at the clock.
        (0..40).for_each(|_| drop(Filled::new(apex(), 40_000, 8, 1)));
    }
}

/// Two parts of blocks go out of use, the second one three quarters of the delay after the first. One block in `keeps`
/// stays in use. Each part goes back when its own time has come.
fn each_part_in_its_time(size: usize, keeps: usize) {
    set_clock(START - DELAY);
    let mut now = START - DELAY;
    let before = resident();
    let fill = || (0..PART / size).map(|n| Some(Filled::new(apex(), size, 8, n as u8)));
    let mut parts: [Vec<Option<Filled>>; 2] = [fill().collect(), fill().collect()];
    go_on_to(&mut now, START);
    let all = resident() - before;
    let unused = |part: &mut Vec<Option<Filled>>| {
        let goes = |n: &usize| keeps == 0 || !n.is_multiple_of(keeps);
        part.iter_mut().enumerate().filter(|(n, _)| goes(n)).for_each(|(_, block)| *block = None);
    };
    let gone = || all.saturating_sub(resident() - before);
    unused(&mut parts[0]);
    go_on_to(&mut now, START + DELAY * 3 / 4);
    assert!(gone() < PART / 4, "{} bytes of {size} went back too early", gone());
    unused(&mut parts[1]);
    // The next round of purging begins within a quarter of the delay.
    go_on_to(&mut now, START + DELAY * 3 / 2);
    assert!(
        (PART / 2..PART * 5 / 4).contains(&gone()),
        "{} bytes of {size} went back, of one part",
        gone()
    );
    go_on_to(&mut now, START + DELAY * 3);
    assert!(gone() > PART * 3 / 2, "{} bytes of {size} went back, of both parts", gone());
}

/// The clock stands still, as for a program that looks at it no more. Of many freed slices most go back nevertheless.
fn too_many_go_back_at_once() {
    const ALL: usize = 96 << 20;
    set_clock(START);
    let before = resident();
    let blocks: Vec<_> =
        (0..ALL / 400_000).map(|n| Filled::new(apex(), 400_000, 8, n as u8)).collect();
    assert!(resident() - before > ALL / 8 * 7);
    drop(blocks);
    let left = resident() - before;
    assert!(left < ALL / 2, "{left} bytes are left");
}

/// A thread that only frees looks at the clock, too, also after its lists were shut.
fn a_thread_that_only_frees() {
    let fill = || (0..2 * PART / 1000).map(|n| Filled::new(apex(), 1000, 8, n as u8));
    set_clock(START);
    let mut blocks: Vec<_> = fill().collect();
    let before = resident();
    // Much memory waits from here on.
    blocks.truncate(PART / 1000);
    for step in 1..=24 {
        set_clock(START + step * DELAY / 8);
        blocks.truncate(blocks.len() - 200);
    }
    let gone = before - resident();
    assert!(gone > PART / 2, "{gone} bytes went back");
}

/// Runs a case by its name.
pub(crate) fn run(case: &str) {
    match case {
        "slices" => each_part_in_its_time(200_000, 0),
        "pages_of_slabs" => each_part_in_its_time(1024, 32),
        "frees" => a_thread_that_only_frees(),
        "early" => too_many_go_back_at_once(),
        "huge" => each_part_in_its_time(1 << 20, 0),
        _ => panic!("no case {case}"),
    }
}

#[test]
fn memory_goes_back_while_a_thread_only_frees() {
    child_succeeds(&["aging", "frees"]);
}

#[test]
fn many_slices_go_back_early() {
    child_succeeds(&["aging", "early"]);
}

#[test]
fn slices_that_are_free_for_long_go_back_and_no_others() {
    child_succeeds(&["aging", "slices"]);
}

#[test]
fn pages_of_slabs_that_are_free_for_long_go_back_and_no_others() {
    child_succeeds(&["aging", "pages_of_slabs"]);
}

#[test]
fn memory_of_huge_blocks_that_none_needed_for_long_goes_back_and_no_other() {
    child_succeeds(&["aging", "huge"]);
}
