//! The report's option A, by its own criteria and risks. Needs feature `stats` and every variant.
#![cfg(all(feature = "stats", feature = "all-variants"))]

use crate::testbed::{Bed, Filled, bed, child_succeeds, join_all};
use hakmem::Events;
use hakmem_workloads::{Args, Workload};
use std::alloc::{GlobalAlloc, Layout};

/// Figures of a variant on `phase_shift` over 30 phases, five times down and back up.
fn phase_shift(bed: &Bed) -> Events {
    let before = (bed.events)().expect("feature `stats`");
    let ws = Workload::PhaseShift.default_ws();
    let args = Args { cycles: 30 * 32 * ws as u64, ws, seed: 7 };
    let allocator = Allocator(bed);
    let mut prepared = Workload::PhaseShift.prepare(&allocator, args);
    prepared.run();
    prepared.finish().expect("no block was lost or overwritten");
    assert_eq!(bed.audit().live(), 0);
    since(&before, (bed.events)().expect("feature `stats`"))
}

/// A bed's allocator, in a type that can be copied.
struct Allocator<'a>(&'a Bed);

// SAFETY: each method is the bed's.
unsafe impl GlobalAlloc for Allocator<'_> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's condition.
        unsafe { self.0.allocator.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's condition.
        unsafe { self.0.allocator.dealloc(block, layout) }
    }
}

/// What happened between two sums. No counter has become smaller (S1), or a subtraction fails.
fn since(before: &Events, mut after: Events) -> Events {
    for (after, before) in after.fallbacks.iter_mut().zip(before.fallbacks.iter()) {
        *after -= before;
    }
    after.acquire.empty_scan -= before.acquire.empty_scan;
    after.acquire.freelist -= before.acquire.freelist;
    after.acquire.unused -= before.acquire.unused;
    after.acquire.grow -= before.acquire.grow;
    after.retired -= before.retired;
    after
}

fn fallbacks(events: &Events) -> u64 {
    events.fallbacks.iter().sum()
}

/// Without recycling the soft cap is used up for good. With recycling hardly a request falls back, and stage 1 serves
/// most acquisitions.
fn recycling_takes_the_fallbacks_away(without_it: &str, with_it: &str) {
    let (without, with) = (phase_shift(bed(without_it)), phase_shift(bed(with_it)));
    assert!(fallbacks(&without) > 10_000, "{without_it}: {without:?}");
    assert_eq!(without.acquire.freelist + without.retired, 0, "{without_it}: {without:?}");
    assert!(100 * fallbacks(&with) < fallbacks(&without), "{with_it}: {with:?}");
    let others = with.acquire.empty_scan + with.acquire.unused + with.acquire.grow;
    assert!(with.acquire.freelist > others, "{with_it}: {:?}", with.acquire);
}

/// The case of a child, whose heaps are fresh.
pub(crate) fn run(case: &str) {
    match case {
        "option-a" => recycling_takes_the_fallbacks_away("superslab", "option-a"),
        "option-a-hash" => recycling_takes_the_fallbacks_away("superslab-hash", "option-a-hash"),
        "option-ad-hash" => recycling_takes_the_fallbacks_away("superslab-hash", "option-ad-hash"),
        "option-ab" => {
            let events = phase_shift(bed("option-ab"));
            assert_eq!(fallbacks(&events), 0, "{events:?}");
        }
        "no_slab_is_lost" => no_slab_is_lost(bed("option-a")),
        "four_threads" => four_threads_share(bed("option-abd-hash")),
        _ => panic!("no case {case}"),
    }
}

#[test]
fn recycling_is_what_takes_the_fallbacks_away() {
    child_succeeds(&["recycling", "option-a"]);
    child_succeeds(&["recycling", "option-a-hash"]);
    child_succeeds(&["recycling", "option-ad-hash"]);
}

#[test]
fn option_ab_never_falls_back() {
    child_succeeds(&["recycling", "option-ab"]);
}

/// The report's risk "a leak through the freelist": every retired slab is found again.
#[test]
fn no_slab_is_lost_over_a_thousand_cycles() {
    child_succeeds(&["recycling", "no_slab_is_lost"]);
}

/// EMPTY → ACTIVE → EMPTY by four threads at once, through one freelist.
#[test]
fn four_threads_share_the_freelist() {
    child_succeeds(&["recycling", "four_threads"]);
}

/// Fills and empties slabs of every class in turn.
fn fill_and_empty(bed: &'static Bed, rounds: usize) -> u32 {
    for round in 0..rounds {
        for size in [8, 16, 32, 64, 128, 256, 512, 2048] {
            // Three slabs' worth, freed in an order of their own each round.
            let mut blocks: Vec<Filled> =
                (0..3 * 65536 / size).map(|n| Filled::new(bed, size, 8, (n % 256) as u8)).collect();
            let middle = round % blocks.len();
            drop(blocks.split_off(middle));
            drop(blocks);
        }
    }
    (bed.superslabs)()
}

fn no_slab_is_lost(bed: &'static Bed) {
    let first = fill_and_empty(bed, 20);
    assert_eq!(fill_and_empty(bed, 105), first, "105 rounds of 8 classes each");
    let events = (bed.events)().expect("feature `stats`");
    let acquire = &events.acquire;
    let taken = acquire.empty_scan + acquire.freelist + acquire.unused + acquire.grow;
    let audit = bed.audit();
    // A slab that was acquired and not retired belongs to a thread, or was left by one that ended.
    assert!(
        taken - events.retired <= (audit.active + audit.empty) as u64 + taken / 10,
        "{events:?}"
    );
    assert!(acquire.freelist > 1000, "{events:?}");
}

fn four_threads_share(bed: &'static Bed) {
    std::thread::scope(|scope| {
        join_all((0..4).map(|_| {
            scope.spawn(|| {
                fill_and_empty(bed, 15);
            })
        }));
    });
    let audit = bed.audit();
    assert_eq!(audit.live(), 0);
    let events = (bed.events)().expect("feature `stats`");
    assert!(events.acquire.freelist > 100, "{events:?}");
}
