//! The report's option A, by its own criteria and risks. Needs feature `stats` and every variant.
#![cfg(all(feature = "stats", feature = "all-variants"))]

mod common;

use common::{Filled, alone, audit, join_all};
use hakmem::{Events, Observe};
use hakmem_workloads::{Args, Workload};

/// What a variant did on `phase_shift` over 30 phases, five times down and back up.
fn phase_shift<V: Observe>() -> Events {
    alone(phase_shift_alone::<V>)
}

fn phase_shift_alone<V: Observe>() -> Events {
    let before = V::events().expect("feature `stats`");
    let ws = Workload::PhaseShift.default_ws();
    let args = Args { cycles: 30 * 32 * ws as u64, ws, seed: 7 };
    let allocator = V::default();
    let mut prepared = Workload::PhaseShift.prepare(&allocator, args);
    prepared.run();
    prepared.finish().expect("no block was lost or overwritten");
    assert_eq!(audit::<V>().live(), 0);
    since(&before, V::events().expect("feature `stats`"))
}

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

/// Without recycling the soft cap is used up for good; with it, hardly a request falls back, and
/// stage 1 serves most acquisitions.
fn recycling_takes_the_fallbacks_away<Without: Observe, With: Observe>() {
    let (without, with) = (phase_shift::<Without>(), phase_shift::<With>());
    assert!(fallbacks(&without) > 10_000, "{}: {without:?}", Without::ID);
    assert_eq!(without.acquire.freelist + without.retired, 0, "{}: {without:?}", Without::ID);
    assert!(100 * fallbacks(&with) < fallbacks(&without), "{}: {with:?}", With::ID);
    let others = with.acquire.empty_scan + with.acquire.unused + with.acquire.grow;
    assert!(with.acquire.freelist > others, "{}: {:?}", With::ID, with.acquire);
}

#[test]
fn option_a() {
    recycling_takes_the_fallbacks_away::<hakmem::Superslab, hakmem::OptionA>();
}

#[test]
fn option_a_hash() {
    recycling_takes_the_fallbacks_away::<hakmem::SuperslabHash, hakmem::OptionAHash>();
}

#[test]
fn option_ad_hash() {
    recycling_takes_the_fallbacks_away::<hakmem::SuperslabCap4, hakmem::OptionAdHash>();
}

#[test]
fn option_ab_never_falls_back() {
    let events = phase_shift::<hakmem::OptionAb>();
    assert_eq!(fallbacks(&events), 0, "{events:?}");
}

/// Fills and empties slabs of every class in turn.
fn fill_and_empty<V: Observe>(rounds: usize) -> u32 {
    for round in 0..rounds {
        for size in [8, 16, 32, 64, 128, 256, 512, 2048] {
            // Three slabs' worth, freed in an order of their own each round.
            let mut blocks: Vec<Filled<V>> =
                (0..3 * 65536 / size).map(|n| Filled::new(size, 8, (n % 256) as u8)).collect();
            let middle = round % blocks.len();
            drop(blocks.split_off(middle));
            drop(blocks);
        }
    }
    V::superslabs()
}

/// The report's risk "a leak through the freelist": every retired slab is found again.
#[test]
fn no_slab_is_lost_over_a_thousand_cycles() {
    alone(no_slab_is_lost);
}

fn no_slab_is_lost() {
    let first = fill_and_empty::<hakmem::OptionA>(20);
    assert_eq!(fill_and_empty::<hakmem::OptionA>(105), first, "105 rounds of 8 classes each");
    let events = hakmem::OptionA::events().expect("feature `stats`");
    let acquire = &events.acquire;
    let taken = acquire.empty_scan + acquire.freelist + acquire.unused + acquire.grow;
    let audit = audit::<hakmem::OptionA>();
    // A slab that was acquired and not retired is with a thread, or was left by one that ended.
    assert!(
        taken - events.retired <= (audit.active + audit.empty) as u64 + taken / 10,
        "{events:?}"
    );
    assert!(acquire.freelist > 1000, "{events:?}");
}

/// EMPTY → ACTIVE → EMPTY by four threads at once, through one freelist.
#[test]
fn four_threads_share_the_freelist() {
    alone(four_threads_share);
}

fn four_threads_share() {
    std::thread::scope(|scope| {
        join_all((0..4).map(|_| {
            scope.spawn(|| {
                fill_and_empty::<hakmem::OptionAbdHash>(15);
            })
        }));
    });
    let audit = audit::<hakmem::OptionAbdHash>();
    assert_eq!(audit.live(), 0);
    let events = hakmem::OptionAbdHash::events().expect("feature `stats`");
    assert!(events.acquire.freelist > 100, "{events:?}");
}
