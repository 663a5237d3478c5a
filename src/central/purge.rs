//! Purging: memory that was unused for a while goes back to the kernel. The slow paths themselves look for it.
//!
//! | memory | goes back when |
//! |---|---|
//! | a batch in a transfer cache | no thread needed it between two rounds: home to its slabs |
//! | a parked list | no thread took it for `purge_ms`: home to its slabs |
//! | a free slice | it has been free for `purge_ms`, or too many slices wait (`dirty.rs`) |
//! | a page of a slab that no block in use touches | no block came home to the slab for `purge_ms` |
//! | a dirty extent of the map cache | no block needed as many bytes for `purge_ms`, or too many wait (`keep.rs`) |
//! | a freed huge block that had fences | no new block took it for `purge_ms`, or too many wait (`held.rs`) |
//! | a segment | all of it is free and without memory, and another such segment is there |
//!
//! ```text
//! Done ──▶ class 0 ──▶ class 1 ──▶ … ──▶ slices ──▶ Done      a round; four begin in the time of `purge_ms`
//!          send home,               map cache,
//!          slabs in turn            segments in turn
//! ```
//!
//! A round looks once at each slab and each segment to which something came home. A heap may have a million of those,
//! so a round is made in steps. A slow path that sees the clock move makes one step. `round.rs` says what it may cost.
//!
//! With `reclaim = "first"` a purge has a second cause, besides the clock. Before the page heap maps a segment,
//! batches of some central lists go home, which may free a slice. If no slice becomes free, the map cache gives back as
//! many bytes as the segment has.
//!
//! While much memory waits, a thread takes the slow path, and looks at the clock, although its lists could serve it
//! (`thread_cache/shut.rs`).
//!
//! Never: waits for the lock of a central list. Another thread that holds this lock is in a slow path, and looks at the
//! clock itself, so the list's turn comes again. Two cases are exceptions: everything is to go at once, or parked lists
//! are due.

use super::arena::are_several;
use super::audit::audit_if_due;
use super::background::start_if_due;
use super::list::has_arenas;
use super::round::{Budget, MOST, PER_MS, Round, Stage, Terms};
use super::tidy::{tidy_class, tidy_slices};
use super::{ListId, Shared, fenced, used};
use crate::base::{ArenaIdx, ClassIdx, MAX_CLASSES, PAGE_BYTES, quotient};
use crate::stats::Event;
use crate::sys::atomic::Ordering;
use crate::sys::clock;
use crate::variant::Large;
use core::cell::Cell;

/// Rounds in the time of `purge_ms`.
const ROUNDS_PER_DELAY: u64 = 4;
/// Rounds for which threads hurry after they saw much memory wait. All that waited then has gone back by their end.
const HURRIES: u32 = 2 * ROUNDS_PER_DELAY as u32;

/// Milliseconds by which a thread may be late with the time that it read.
const SOON: u64 = 10_000;

/// Central lists that `reclaim_batches` asks before the page heap maps a segment.
const LISTS: usize = 4 * MAX_CLASSES;

/// Reads the clock, and makes a step of purging if the clock has moved.
///
/// The program may replace the clock by its own, which may allocate and come here again. `asks` is true while the
/// caller is in here, and then the call does nothing.
pub(crate) fn tick<V: Shared>(asks: &Cell<bool>) {
    let Some(delay) = V::PURGE_MS else { return };
    if asks.replace(true) {
        return;
    }
    let now = clock::now_ms();
    if now != V::page_heap().now() {
        V::page_heap().set_now(now);
        start_if_due::<V>();
        audit_if_due::<V>(now);
        step_cold::<V>(Terms { now, delay: delay.into(), all: false });
    }
    asks.set(false);
}

/// Reads the clock for a thread without a cache, which has no `asks` of its own: one such thread at a time.
pub(crate) fn tick_alone<V: Shared>() {
    let asked = &V::page_heap().asked;
    // ORDERING: relaxed; it decides whose turn it is, and publishes nothing.
    if asked.swap(1, Ordering::Relaxed) == 0 {
        tick::<V>(&Cell::new(false));
        // ORDERING: relaxed; it decides whose turn it is, and publishes nothing.
        asked.store(0, Ordering::Relaxed);
    }
}

#[cold]
#[inline(never)]
fn step_cold<V: Shared>(terms: Terms) {
    let round = &V::page_heap().round;
    if !round.lock.try_lock() {
        return;
    }
    // The thread that read the clock last may come here before a thread that read it earlier.
    let is_late = (1..SOON).contains(&round.stepped_at.get().wrapping_sub(terms.now));
    if is_late {
        return round.lock.unlock();
    }
    // The subtraction wraps, so a clock that was set back goes on from there.
    let since = terms.now.wrapping_sub(round.stepped_at.replace(terms.now));
    let mut budget = Budget(since.saturating_mul(PER_MS).min(MOST) as usize);
    // The first look at the clock, which finds nothing yet.
    if since == terms.now {
        round.began_at.set(terms.now);
        return round.lock.unlock();
    }
    if matches!(round.stage.get(), Stage::Done)
        && terms.now.wrapping_sub(round.began_at.get()) >= terms.delay / ROUNDS_PER_DELAY
    {
        let kept = V::page_heap().tuning.idle_kept();
        if kept > 0 && idle_bytes::<V>() <= kept {
            round.began_at.set(terms.now);
            V::page_heap().note_kept();
        } else {
            begin::<V>(round, terms);
        }
    }
    go_on::<V>(round, terms, &mut budget);
    round.lock.unlock();
}

/// Makes a whole round, whatever it costs: for the background thread.
pub(super) fn rest<V: Shared>() {
    let Some(delay) = V::PURGE_MS else { return };
    let now = clock::now_ms();
    V::page_heap().set_now(now);
    audit_if_due::<V>(now);
    if idle_bytes::<V>() <= V::page_heap().tuning.idle_kept() {
        return;
    }
    let round = &V::page_heap().round;
    let terms = Terms { now, delay: delay.into(), all: false };
    // The lock is given up after each step, since a thread that forks waits for it.
    let step = |is_first: bool| {
        if is_first {
            begin::<V>(round, terms);
        }
        go_on::<V>(round, terms, &mut Budget(MOST as usize));
        matches!(round.stage.get(), Stage::Done)
    };
    let mut is_done = round.lock.with(|| step(true));
    while !is_done {
        is_done = round.lock.with(|| step(false));
    }
}

/// Gives back all unused memory at once.
pub(crate) fn purge_all<V: Shared>() {
    if V::LARGE == Large::Fenced {
        fenced::let_go_all::<V>();
    }
    let round = &V::page_heap().round;
    round.lock.with(|| {
        // Without a look at the clock, which may be the program's own and allocate. With no delay the time decides
        // nothing.
        let terms = Terms { now: V::page_heap().now(), delay: 0, all: true };
        begin::<V>(round, terms);
        go_on::<V>(round, terms, &mut Budget::unbounded());
    });
}

fn begin<V: Shared>(round: &Round, terms: Terms) {
    round.lock.check_held(); // Checks RD1.
    V::counters().count(Event::Purge);
    V::page_heap().begin_round();
    round.began_at.set(terms.now);
    round.waiting.set(0);
    if V::LARGE == Large::Fenced {
        V::fenced().clean_since(terms.now, terms.delay);
    }
    V::parked().send_home::<V>(terms.now, terms.delay, if terms.all { usize::MAX } else { 1 });
    round.enter(Stage::List(ListId { arena: ArenaIdx::FIRST, class: ClassIdx::new(0) }));
}

fn end<V: Shared>(round: &Round) {
    round.lock.check_held(); // Checks RD1.
    let unseen = round.unseen.get() + 1;
    let page_heap = V::page_heap();
    let waiting = round.waiting.get() + fenced_bytes::<V>();
    let seen = page_heap.lock.with(|| page_heap.end_round(waiting, unseen > HURRIES));
    round.unseen.set(if seen { 0 } else { unseen });
    round.enter(Stage::Done);
}

fn go_on<V: Shared>(round: &Round, terms: Terms, budget: &mut Budget) {
    round.lock.check_held(); // Checks RD1.
    while !budget.is_spent() {
        match round.stage.get() {
            Stage::Done => return,
            Stage::List(id) => {
                if tidy_class::<V>(round, id, terms, budget) {
                    round.enter(next::<V>(id).map_or(Stage::Slices, Stage::List));
                }
            }
            Stage::Slices => {
                if tidy_slices::<V>(round, terms, budget) {
                    end::<V>(round);
                }
            }
        }
    }
}

/// About how many bytes a purge of everything would find at most: in central lists, parked lists, dirty slices and the
/// map cache. The blocks in thread caches do not count.
pub(crate) fn idle_bytes<V: Shared>() -> usize {
    let of_class = |class| {
        let purgeable = |arena| V::central(arena, class).purgeable() as usize;
        let waiting = if has_arenas::<V>(class) && are_several::<V>() {
            V::transfer(class).len() as usize
        } else {
            0
        };
        (used::<V>().map(purgeable).sum::<usize>() + waiting) * at_stake::<V>(class)
    };
    let classes: usize = ClassIdx::all(V::CLASSES.count()).map(of_class).sum();
    classes + V::parked().bytes::<V>() + V::page_heap().free_bytes() + fenced_bytes::<V>()
}

/// Bytes that a purge finds in freed huge blocks between fences.
pub(crate) fn fenced_bytes<V: Shared>() -> usize {
    if V::LARGE == Large::Fenced { V::fenced().dirty() } else { 0 }
}

/// Bytes that may go back when a block comes home: it may be the last block in use on its page.
pub(crate) fn at_stake<V: Shared>(class: ClassIdx) -> usize {
    V::CLASSES.block_bytes(class).max(PAGE_BYTES)
}

/// Sends the batches of central lists home before the page heap maps more memory, so that slices become free. It stops
/// after [`LISTS`] lists, or as soon as a slice is free, if one is `wanted`. It skips lists whose locks are taken,
/// among them the caller's own, which has just found nothing.
#[cold]
#[inline(never)]
pub(super) fn reclaim_batches<V: Shared>(wanted: usize) {
    let reclaimed_at = &V::page_heap().reclaimed_at;
    for _ in 0..LISTS {
        // ORDERING: relaxed; it decides where to look, and publishes nothing.
        let at = reclaimed_at.fetch_add(1, Ordering::Relaxed) as usize;
        let class = ClassIdx::new(at % MAX_CLASSES);
        let arenas = used::<V>().count();
        let arena = ArenaIdx::new(quotient(at, MAX_CLASSES) % arenas.max(1));
        if class.index() >= V::CLASSES.count() {
            continue;
        }
        let list = V::central(arena, class);
        if list.purgeable() == 0 || !list.lock.try_lock() {
            continue;
        }
        list.send_home::<V>(ListId { arena, class }, true);
        let gave = list.retire_last::<V>(V::page_heap().now(), 0);
        list.lock.unlock();
        if gave && wanted == 1 {
            return;
        }
    }
}

/// The central list that a round visits after this one: of the next class, or of the next arena.
fn next<V: Shared>(ListId { arena, class }: ListId) -> Option<ListId> {
    if class.index() + 1 < V::CLASSES.count() {
        return Some(ListId { arena, class: ClassIdx::new(class.index() + 1) });
    }
    let arena = used::<V>().find(|other| other.index() > arena.index())?;
    Some(ListId { arena, class: ClassIdx::new(0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Apex;
    use crate::batch::Batch;
    use crate::central::{PageHeap, give, take_one};
    use crate::variant::Growth;
    use std::sync::{Mutex, PoisonError};

    /// Held by a test that uses the variant's own page heap.
    static ALONE: Mutex<()> = Mutex::new(());

    #[test]
    fn a_purge_of_all_leaves_nothing() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let heap = Apex::page_heap();
        let id = ListId { arena: ArenaIdx::FIRST, class: ClassIdx::new(5) };
        let blocks = [(); 3].map(|()| take_one::<Apex>(id).expect("a block"));
        let (span, _) = heap.claim_span::<Apex>(3, 1, Growth::Tight).expect("a span");
        let mut batch = Batch::new();
        blocks.into_iter().for_each(|block| batch.push(block));
        give::<Apex>(id, &mut batch);
        // SAFETY: claimed above, and nothing refers to it.
        unsafe { heap.give_span::<Apex>(span, 3) };
        assert!(idle_bytes::<Apex>() > 0 && heap.segments() > 0);
        purge_all::<Apex>();
        assert_eq!((idle_bytes::<Apex>(), heap.segments()), (0, 0));
    }

    #[test]
    fn a_thread_looks_at_the_clock_in_its_turn() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let heap: &PageHeap = Apex::page_heap();
        // The program's own clock may allocate, and so come here again.
        let asks = Cell::new(true);
        heap.set_now(1);
        tick::<Apex>(&asks);
        assert!(asks.get() && heap.now() == 1);
        asks.set(false);
        tick::<Apex>(&asks);
        assert!(!asks.get() && heap.now() > 1);
        let asked = || heap.asked.load(Ordering::Relaxed);
        // Another thread without a cache looks at the clock now.
        heap.asked.store(1, Ordering::Relaxed);
        heap.set_now(1);
        tick_alone::<Apex>();
        assert!(asked() == 1 && heap.now() == 1);
        heap.asked.store(0, Ordering::Relaxed);
        tick_alone::<Apex>();
        assert!(asked() == 0 && heap.now() > 1);
        // A thread that read the clock earlier, and comes later, makes no step.
        let stepped_at = || heap.round.lock.with(|| heap.round.stepped_at.get());
        let now = stepped_at();
        step_cold::<Apex>(Terms { now: now - 1, delay: 1000, all: false });
        assert_eq!(stepped_at(), now);
        step_cold::<Apex>(Terms { now: now + 1, delay: 1000, all: false });
        assert_eq!(stepped_at(), now + 1);
    }

    /// A purge of everything waits for another thread that has the lock of a list.
    #[test]
    fn a_purge_of_all_waits_for_locks() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let id = ListId { arena: ArenaIdx::FIRST, class: ClassIdx::new(6) };
        let mut batch = Batch::new();
        batch.push(take_one::<Apex>(id).expect("a block"));
        give::<Apex>(id, &mut batch);
        let lock = &Apex::central(id.arena, id.class).lock;
        lock.lock();
        std::thread::scope(|scope| {
            let purge = scope.spawn(purge_all::<Apex>);
            while !lock.is_awaited() && !purge.is_finished() {
                std::thread::yield_now();
            }
            lock.unlock();
        });
        assert_eq!(idle_bytes::<Apex>(), 0);
    }

    /// The background thread gives nothing back that the program wants to keep.
    #[test]
    fn a_rest_leaves_what_is_to_be_kept() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let heap = Apex::page_heap();
        // The span has been free for long when the thread looks at the clock.
        heap.set_now(1);
        let (span, _) = heap.claim_span::<Apex>(3, 1, Growth::Tight).expect("a span");
        // SAFETY: claimed above, and nothing refers to it.
        unsafe { heap.give_span::<Apex>(span, 3) };
        let idle = idle_bytes::<Apex>();
        heap.tuning.keep_idle(idle);
        rest::<Apex>();
        assert!(idle > 0 && idle_bytes::<Apex>() == idle);
        heap.tuning.keep_idle(0);
        rest::<Apex>();
        assert!(idle_bytes::<Apex>() < idle);
        purge_all::<Apex>();
    }
}
