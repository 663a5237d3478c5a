//! Memory back to the kernel: what nobody has used for a while, looked for by the slow paths themselves.
//!
//! | memory | goes back when |
//! |---|---|
//! | a batch that waits | nobody needed it between two purges: home to its slabs |
//! | a parked list | no thread took it for `purge_ms`: home to its slabs |
//! | a free slot | it has been free for `purge_ms` |
//! | a page of a slab that no block in use touches | nothing came home to the slab for `purge_ms` |
//! | a mapping that was kept | it has been kept for `purge_ms` |
//! | a chunk | all of it is free and without memory, and it is not the only one such |
//!
//! With `reclaim = "first"` the clock is not all that is waited for: before a chunk is mapped, all batches go home, in the
//! hope of a free slot; and if that frees none, as much of what is kept goes back as the chunk has.
//!
//! While much waits, in itself and beside what is in use, threads narrow the windows of their lists
//! (`cache/drain.rs`): served from its lists alone, a thread would look at no clock.
//!
//! Never, unless all is to go at once or parked lists are due: waits for a lock of a class that is taken.
//! Whoever holds it is in a slow path and looks at the clock by itself, so nothing is counted as waiting for it;
//! its turn comes again.

use super::Shared;
use crate::base::{ClassIdx, PAGE_BYTES, SLOT_BYTES, SlotIdx, bit_range, slots_in};
use crate::chunk::{ALL_SLOTS, Chunk};
use crate::stats::Event;
use crate::sys::atomic::Ordering;
use crate::sys::{clock, pages};
use crate::variant::Unit;

/// Purges in the time of `purge_ms`.
const PURGES_PER_DELAY: u64 = 4;
/// Bytes of free blocks of one class that are worth a look at its slabs.
pub(super) const MUCH_OF_A_CLASS: usize = 1 << 20;

/// Purges, if that is due.
#[cold]
#[inline(never)]
pub(crate) fn tend<V: Shared>() {
    let Some(delay) = V::PURGE_MS.map(u64::from) else { return };
    let spans = V::spans();
    let now = clock::now_ms();
    spans.set_now(now);
    // ORDERING: relaxed; it says whose turn it is, and publishes nothing.
    let last = spans.purged_at.load(Ordering::Relaxed);
    // Not by `since`: whatever the clock stood at before the first purge, it is not later.
    if now.wrapping_sub(last) < delay / PURGES_PER_DELAY {
        return;
    }
    // ORDERING: relaxed, as above.
    if spans.purged_at.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        purge::<V>(now, delay, false);
    }
}

/// Gives back all that can be, at once.
pub(crate) fn purge_all<V: Shared>() {
    purge::<V>(clock::now_ms(), 0, true);
}

/// About how many bytes a purge of everything would find at most: in the central lists, in parked ones, in free slots, and
/// in mappings that are kept. What lies in the lists of threads is not in it.
pub(crate) fn idle_bytes<V: Shared>() -> usize {
    let of_class = |class| V::central(class).untidy() as usize * at_stake::<V>(class);
    let classes: usize = ClassIdx::all(V::CLASSES.count()).map(of_class).sum();
    classes + V::parked().bytes::<V>() + V::spans().free_bytes()
}

/// Bytes that may go back when a block comes home: it may have been the last one on its page.
pub(crate) fn at_stake<V: Shared>(class: ClassIdx) -> usize {
    V::CLASSES.block_bytes(class).max(PAGE_BYTES)
}

/// Before more memory is mapped, brings home what waits in the central lists, so that slots become free. Of
/// the classes whose locks are taken, the caller's among them, nothing does: that one has just found none.
#[cold]
#[inline(never)]
pub(super) fn reclaim_batches<V: Shared>() {
    for class in ClassIdx::all(V::CLASSES.count()) {
        let central = V::central(class);
        if central.lock.try_lock() {
            central.send_home::<V>(class, true);
            central.retire_last::<V>(V::spans().now(), 0);
            central.lock.unlock();
        }
    }
}

fn purge<V: Shared>(now: u64, delay: u64, all: bool) {
    V::counters().count(Event::Purge);
    V::spans().set_waits(false);
    let mut waiting = 0;
    V::parked().send_home::<V>(now, delay);
    for class in ClassIdx::all(V::CLASSES.count()) {
        let central = V::central(class);
        if central.untidy() == 0 {
            continue;
        }
        if all {
            central.lock.lock();
        } else if !central.lock.try_lock() {
            continue;
        }
        central.send_home::<V>(class, all);
        central.retire_last::<V>(now, delay);
        if V::PURGE_UNIT == Unit::Pages || all {
            waiting += purge_pages::<V>(class, now, delay);
        }
        central.lock.unlock();
    }
    let spans = V::spans();
    spans.lock.with(|| {
        spans.kept.drop_older(now, delay);
        let mut spare = 0;
        for chunk in spans.all() {
            purge_slots::<V>(chunk, now, delay);
            if chunk.free.get() == ALL_SLOTS && chunk.dirty.get() == 0 && !chunk.pinned.get() {
                spare += 1;
                if spare > 1 || all {
                    spans.unmap::<V>(chunk);
                }
            }
        }
        if spans.is_much(waiting) {
            spans.set_waits(true);
        }
    });
}

/// Pages of the class's slabs that have memory and no block in use; how many bytes of free blocks wait for their
/// time, in slabs that are mostly free. With the class's lock held.
fn purge_pages<V: Shared>(class: ClassIdx, now: u64, delay: u64) -> usize {
    let bytes = V::CLASSES.block_bytes(class);
    let central = V::central(class);
    let mut waiting = 0;
    let mut is_tidy = !central.has_batches();
    for slab in central.slabs() {
        if slab.is_waiting(now, delay) {
            is_tidy = false;
            let free = (slab.capacity() - slab.used()) as usize;
            waiting += if free >= slab.used() as usize { free * bytes } else { 0 };
            continue;
        }
        for (from, to) in runs(slab.pages_to_purge::<V>()) {
            // SAFETY: no block that is out touches these pages (Y1), and none gets out while the lock is
            // held; they are mapped.
            if unsafe { pages::purge(slab.page(from), (to - from) * PAGE_BYTES) } {
                slab.note_bare(from, to);
                V::counters().count_many(Event::PurgedPage, (to - from) as u64);
            }
        }
    }
    if is_tidy {
        central.set_untidy(0);
    }
    waiting
}

/// Free slots of a chunk. With the lock of the spans held.
fn purge_slots<V: Shared>(chunk: &'static Chunk, now: u64, delay: u64) {
    let age = |slot: SlotIdx| clock::since(chunk.freed_at[slot.index()].get(), now);
    let old = slots_in(chunk.dirty.get())
        .filter(|&slot| age(slot) >= delay)
        .fold(0, |mask, slot| mask | slot.bit());
    for (from, to) in runs(old) {
        let bytes = (to - from) * SLOT_BYTES;
        // SAFETY: the slots are free (X1, X2), and mapped.
        if unsafe { pages::purge(chunk.slot_start(SlotIdx::new(from)), bytes) } {
            chunk.dirty.set(chunk.dirty.get() & !bit_range(from, to));
            let spans = V::spans();
            spans.dirty_slots.set(spans.dirty_slots.get() - (to - from) as u32);
            V::counters().count_many(Event::PurgedPage, (bytes / PAGE_BYTES) as u64);
        }
    }
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
