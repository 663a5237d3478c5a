//! Memory back to the kernel: what nobody has used for a while, looked for by the slow paths themselves.
//!
//! | memory | goes back when |
//! |---|---|
//! | a batch that waits | nobody needed it between two rounds: home to its slabs |
//! | a parked list | no thread took it for `purge_ms`: home to its slabs |
//! | a free slice | it has been free for `purge_ms`; or at once, where far more are free than are in use (`page_heap`) |
//! | a page of a slab that no block in use touches | nothing came home to the slab for `purge_ms` |
//! | a mapping that was kept | it has been kept for `purge_ms` |
//! | a segment | all of it is free and without memory, and it is not the only one such |
//!
//! ```text
//! Done ──▶ class 0 ──▶ class 1 ──▶ … ──▶ slices ──▶ Done      a round; four begin in the time of `purge_ms`
//!          send home,               kept mappings,
//!          slabs in turn            segments in turn
//! ```
//!
//! A round looks once at each slab and each segment to which something came home. A heap may have a million of those, so
//! a round is made in steps, and each slow path that sees the clock go on makes one. What a step may cost grows with the
//! time since the one before it ([`PER_MS`]), up to [`MOST`]: so a busy program spends a part of its time on it, and one
//! that allocates once a second gives back as much as a malloc may take. A lock is held for [`SLABS`] slabs or
//! [`SEGMENTS`] segments at a time.
//!
//! With `reclaim = "first"` the clock is not all that is waited for: before a segment is mapped, all batches go home, in the
//! hope of a free slice; and if that frees none, as much of what is kept goes back as the segment has.
//!
//! While much waits, threads come by the clock with each operation (`thread_cache/shut.rs`): served from its lists alone, a
//! thread would look at no clock.
//!
//! RD1  Only the thread that has the round's lock touches the round. It takes that lock before any other but that of the
//!      cache pool.
//!
//! Never, unless all is to go at once or parked lists are due: waits for a lock of a class that is taken.
//! Whoever holds it is in a slow path and looks at the clock by itself, so nothing is counted as waiting for it;
//! its turn comes again.

use super::background::start_if_due;
use super::list::{has_arenas, send_home};
use super::{ListId, Shared, used};
use crate::base::{
    ArenaIdx, ClassIdx, MAX_CLASSES, PAGE_BYTES, SLICE_BYTES, SliceIdx, bit_range, quotient,
    slices_in,
};
use crate::slab::{Segment, Slab};
use crate::stats::Event;
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::lock::Lock;
use crate::sys::{clock, pages};
use crate::variant::{Unit, Variant};
use core::cell::Cell;

/// Rounds in the time of `purge_ms`.
const ROUNDS_PER_DELAY: u64 = 4;
/// Rounds for which threads hurry after much was seen to wait: what waited then has gone back by their end.
const HURRIES: u32 = 2 * ROUNDS_PER_DELAY as u32;
/// Bytes of free blocks of one class that are worth a look at its sums.
pub(super) const MUCH_OF_A_CLASS: usize = 2 << 20;

/// What a look at a slab or a segment costs: mostly a few cache misses.
const PER_LOOK: usize = 4;
/// What a system call costs, and a page that it takes, in the same unit.
const PER_CALL: usize = 8;
const PER_PAGE: usize = 3;
/// What a step may cost for each millisecond since the last one: less than a tenth of it.
const PER_MS: u64 = 1024;
/// What a step may cost at most: a few milliseconds.
const MOST: u64 = 40 * 1024;

/// Milliseconds by which a thread may come late with what it read of the clock.
const SOON: u64 = 10_000;

/// Central lists that are asked for free slices before a segment is mapped.
const LISTS: usize = 4 * MAX_CLASSES;
/// Slabs that are looked at before their class's lock is given up.
const SLABS: u32 = 16;
/// Segments that are looked at before the lock of the page heap is given up.
const SEGMENTS: u32 = 4;
/// Remembered ranges that are unmapped before it is.
const RANGES: usize = 16;
/// Pages of kept mappings that go back before it is.
const PAGES: usize = 1024;

/// Where a round is.
#[derive(Clone, Copy)]
enum Stage {
    Done,
    List(ListId),
    Slices,
}

/// How far the rounds have come (RD1).
pub(crate) struct Round {
    /// Guards all that follows.
    pub(super) lock: Lock,
    stage: Cell<Stage>,
    /// What this stage has still to look at; `None` where it has not begun.
    left: Cell<Option<u32>>,
    /// Bytes seen that wait for their time, in slabs that are mostly free.
    waiting: Cell<usize>,
    /// Rounds that have ended since one in which much was seen to wait.
    unseen: Cell<u32>,
    /// When the round began, and when the last step was made, in milliseconds.
    began_at: Cell<u64>,
    stepped_at: Cell<u64>,
}

// SAFETY: all fields but the lock are touched with the lock held.
unsafe impl Sync for Round {}

impl Round {
    pub(super) const fn new() -> Self {
        Self {
            lock: Lock::over(AtomicU32::new(0)),
            stage: Cell::new(Stage::Done),
            left: Cell::new(None),
            waiting: Cell::new(0),
            unseen: Cell::new(0),
            began_at: Cell::new(0),
            stepped_at: Cell::new(0),
        }
    }

    fn enter(&self, stage: Stage) {
        self.stage.set(stage);
        self.left.set(None);
    }
}

/// What is given back.
#[derive(Clone, Copy)]
struct Terms {
    now: u64,
    /// Milliseconds for which it was not used.
    delay: u64,
    /// Whether that is all there is: then locks are waited for.
    all: bool,
}

/// What a step may still cost.
pub(super) struct Budget(usize);

impl Budget {
    /// For what is given back whatever it costs.
    pub(super) const fn unbounded() -> Self {
        Self(usize::MAX)
    }

    pub(super) fn spend(&mut self, cost: usize) {
        self.0 = self.0.saturating_sub(cost);
    }

    /// For so many pages, given back by one call.
    pub(super) fn spend_pages(&mut self, pages: usize) {
        self.spend(PER_CALL + pages * PER_PAGE);
    }

    pub(super) fn is_spent(&self) -> bool {
        self.0 == 0
    }
}

/// Looks at the clock, and goes on with purging if it has moved.
///
/// The clock may be a program's own, which allocates, and so comes here again: `asks` says whether the caller does so
/// already, and then this does nothing.
pub(crate) fn tick<V: Shared>(asks: &Cell<bool>) {
    let Some(delay) = V::PURGE_MS else { return };
    if asks.replace(true) {
        return;
    }
    let now = clock::now_ms();
    if now != V::page_heap().now() {
        V::page_heap().set_now(now);
        start_if_due::<V>();
        step_cold::<V>(Terms { now, delay: delay.into(), all: false });
    }
    asks.set(false);
}

/// The same for a thread that has nowhere to note that it asks: of all such, one at a time.
pub(crate) fn tick_alone<V: Shared>() {
    let asked = &V::page_heap().asked;
    // ORDERING: relaxed; it says whose turn it is, and publishes nothing.
    if asked.swap(1, Ordering::Relaxed) == 0 {
        tick::<V>(&Cell::new(false));
        // ORDERING: relaxed, as above.
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
    // The thread that read the clock last need not be the one that comes here last.
    let is_late = (1..SOON).contains(&round.stepped_at.get().wrapping_sub(terms.now));
    if is_late {
        return round.lock.unlock();
    }
    // Wrapping: a clock that was set goes on from there.
    let since = terms.now.wrapping_sub(round.stepped_at.replace(terms.now));
    let mut budget = Budget(since.saturating_mul(PER_MS).min(MOST) as usize);
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

/// A round, whatever it costs: for a thread that does nothing else.
pub(super) fn rest<V: Shared>() {
    let Some(delay) = V::PURGE_MS else { return };
    let now = clock::now_ms();
    V::page_heap().set_now(now);
    if idle_bytes::<V>() <= V::page_heap().tuning.idle_kept() {
        return;
    }
    let round = &V::page_heap().round;
    let terms = Terms { now, delay: delay.into(), all: false };
    // A step at a time: who forks waits for the lock.
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

/// Gives back all that can be, at once.
pub(crate) fn purge_all<V: Shared>() {
    let round = &V::page_heap().round;
    round.lock.with(|| {
        // Not by the clock, which may be a program's own, that allocates: with no delay the time decides nothing.
        let terms = Terms { now: V::page_heap().now(), delay: 0, all: true };
        begin::<V>(round, terms);
        go_on::<V>(round, terms, &mut Budget::unbounded());
    });
}

fn begin<V: Shared>(round: &Round, terms: Terms) {
    V::counters().count(Event::Purge);
    V::page_heap().begin_round();
    round.began_at.set(terms.now);
    round.waiting.set(0);
    V::parked().send_home::<V>(terms.now, terms.delay, if terms.all { usize::MAX } else { 1 });
    round.enter(Stage::List(ListId { arena: ArenaIdx::FIRST, class: ClassIdx::new(0) }));
}

fn end<V: Shared>(round: &Round) {
    let unseen = round.unseen.get() + 1;
    let page_heap = V::page_heap();
    let seen = page_heap.lock.with(|| page_heap.end_round(round.waiting.get(), unseen > HURRIES));
    round.unseen.set(if seen { 0 } else { unseen });
    round.enter(Stage::Done);
}

fn go_on<V: Shared>(round: &Round, terms: Terms, budget: &mut Budget) {
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

/// About how many bytes a purge of everything would find at most: in the central lists, in parked ones, in free slices, and
/// in mappings that are kept. What lies in the lists of threads is not in it.
pub(crate) fn idle_bytes<V: Shared>() -> usize {
    let of_class = |class| {
        let purgeable = |arena| V::central(arena, class).purgeable() as usize;
        let waiting = if has_arenas::<V>(class) { V::transfer(class).len() as usize } else { 0 };
        (used::<V>().map(purgeable).sum::<usize>() + waiting) * at_stake::<V>(class)
    };
    let classes: usize = ClassIdx::all(V::CLASSES.count()).map(of_class).sum();
    classes + V::parked().bytes::<V>() + V::page_heap().free_bytes()
}

/// Bytes that may go back when a block comes home: it may have been the last one on its page.
pub(crate) fn at_stake<V: Shared>(class: ClassIdx) -> usize {
    V::CLASSES.block_bytes(class).max(PAGE_BYTES)
}

/// Before more memory is mapped, brings home what waits in the central lists, so that slices become free: until one is, if
/// that is all that is wanted, and of [`LISTS`] lists at most. Of those whose locks are taken, the caller's among them,
/// nothing comes: that one has just found none.
#[cold]
#[inline(never)]
pub(super) fn reclaim_batches<V: Shared>(wanted: usize) {
    let reclaimed_at = &V::page_heap().reclaimed_at;
    for _ in 0..LISTS {
        // ORDERING: relaxed; a number that says where to look, and publishes nothing.
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

/// The central list that a round looks at after this one: of the next class, or of the next arena.
fn next<V: Shared>(ListId { arena, class }: ListId) -> Option<ListId> {
    if class.index() + 1 < V::CLASSES.count() {
        return Some(ListId { arena, class: ClassIdx::new(class.index() + 1) });
    }
    let arena = used::<V>().find(|other| other.index() > arena.index())?;
    Some(ListId { arena, class: ClassIdx::new(0) })
}

/// Goes on with a class: some of its slabs. Whether that was the last of it.
fn tidy_class<V: Shared>(round: &Round, id: ListId, terms: Terms, budget: &mut Budget) -> bool {
    budget.spend(PER_LOOK);
    if id.arena == ArenaIdx::FIRST && round.left.get().is_none() {
        send_home::<V>(id.class, terms.all);
    }
    let central = V::central(id.arena, id.class);
    if central.purgeable() == 0 {
        return true;
    }
    if terms.all {
        central.lock.lock();
    } else if !central.lock.try_lock() {
        return true;
    }
    let mut left = round.left.get().unwrap_or_else(|| {
        central.send_home::<V>(id, terms.all);
        central.retire_last::<V>(terms.now, terms.delay);
        let looks = V::PURGE_UNIT == Unit::Pages || terms.all;
        if looks { central.purgeable_count() } else { 0 }
    });
    for _ in 0..SLABS {
        if left == 0 || budget.is_spent() {
            break;
        }
        left -= 1;
        let Some(slab) = central.next_purgeable() else {
            left = 0;
            break;
        };
        budget.spend(PER_LOOK);
        V::counters().count(Event::Look);
        if slab.idle_ms(terms.now) < terms.delay {
            central.put_back_purgeable(slab);
            round.waiting.set(round.waiting.get() + waiting_bytes::<V>(slab));
        } else {
            purge_pages::<V>(slab, budget);
        }
    }
    if central.purgeable_count() == 0 && id.waiting::<V>() == 0 && !central.has_spare() {
        central.set_purgeable(0);
    }
    central.lock.unlock();
    round.left.set(Some(left));
    left == 0
}

/// Bytes of a slab's free blocks, if they may well be whole pages: it is mostly free, or each block has pages of its own.
fn waiting_bytes<V: Variant>(slab: &Slab) -> usize {
    let (used, free) = (slab.used() as usize, (slab.capacity() - slab.used()) as usize);
    let bytes = V::CLASSES.block_bytes(slab.class());
    if bytes >= PAGE_BYTES || free >= used { free * bytes } else { 0 }
}

/// Pages of a slab that have memory and no block in use. With the class's lock held.
fn purge_pages<V: Shared>(slab: &'static Slab, budget: &mut Budget) {
    budget.spend(PER_LOOK);
    for (from, to) in runs(slab.pages_to_purge::<V>()) {
        budget.spend_pages(to - from);
        // SAFETY: no block that is out touches these pages (Y1), and none gets out while the lock is
        // held; they are mapped.
        if unsafe { pages::purge(slab.page(from), (to - from) * PAGE_BYTES) } {
            slab.note_decommitted(from, to);
            V::counters().count_many(Event::PurgedPage, (to - from) as u64);
        }
    }
}

/// Goes on with kept mappings, and then with segments that have dirty slices. Whether that was the last of it.
fn tidy_slices<V: Shared>(round: &Round, terms: Terms, budget: &mut Budget) -> bool {
    let page_heap = V::page_heap();
    page_heap.lock.with(|| {
        let mut left = round.left.get().unwrap_or_else(|| page_heap.dirty_segment_count());
        round.left.set(Some(left));
        let dropped = if page_heap.tuning.keeps_mappings() && !terms.all {
            0
        } else {
            page_heap.map_cache.drop_older(terms.now, terms.delay, PAGES * PAGE_BYTES)
        };
        if dropped > 0 {
            budget.spend_pages(quotient(dropped, PAGE_BYTES));
            return false;
        }
        let unmapped = page_heap.map_cache.unmap_retained(RANGES);
        if unmapped > 0 {
            budget.spend(unmapped * PER_CALL);
            return false;
        }
        for _ in 0..SEGMENTS {
            if left == 0 || budget.is_spent() {
                break;
            }
            left -= 1;
            let Some(segment) = page_heap.next_dirty_segment() else {
                left = 0;
                break;
            };
            let slices = purge_slices::<V>(segment, terms.now, terms.delay, budget);
            page_heap.forget_regrets(slices);
            page_heap.end_turn::<V>(segment);
        }
        if left == 0 && terms.all {
            page_heap.unmap_spare::<V>();
        }
        round.left.set(Some(left));
        left == 0
    })
}

/// Slices of a segment that have been free for `delay` milliseconds; returns how many went back. With the lock of the page heap
/// held.
pub(super) fn purge_slices<V: Shared>(
    segment: &'static Segment,
    now: u64,
    delay: u64,
    budget: &mut Budget,
) -> u32 {
    budget.spend(PER_LOOK);
    V::counters().count(Event::Look);
    let age = |slice: SliceIdx| clock::since(segment.freed_at[slice.index()].get(), now);
    let old = slices_in(segment.purgeable_slices())
        .filter(|&slice| age(slice) >= delay)
        .fold(0, |mask, slice| mask | slice.bit());
    let mut purged = 0;
    for (from, to) in runs(old) {
        let bytes = (to - from) * SLICE_BYTES;
        budget.spend_pages(bytes / PAGE_BYTES);
        // SAFETY: the slices are free (X1, X2), and mapped.
        if unsafe { pages::purge(segment.slice_start(SliceIdx::new(from)), bytes) } {
            V::page_heap().note_clean(segment, bit_range(from, to));
            purged += (to - from) as u32;
            V::counters().count_many(Event::PurgedPage, (bytes / PAGE_BYTES) as u64);
        } else {
            V::page_heap().note_refused(segment, bit_range(from, to));
        }
    }
    purged
}

/// The runs of set bits, as ranges.
pub(super) fn runs(mut mask: u32) -> impl Iterator<Item = (usize, usize)> {
    core::iter::from_fn(move || {
        if mask == 0 {
            return None;
        }
        let from = mask.trailing_zeros() as usize;
        let to = from + (mask >> from).trailing_ones() as usize;
        mask &= !bit_range(from, to);
        Some((from, to))
    })
}
