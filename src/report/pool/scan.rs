//! Stage 0.5: look for a slab that became free without a drain's doing.
//!
//! Two kinds, both left behind by threads that ended: EMPTY slabs (a bit in `empty`), and slabs in
//! part-use (a bit in `orphans`), some of which have become empty since, by frees of other threads.
//! A slab that a drain retires goes to the freelist and has no bit here (P1): if it had, this stage,
//! which comes first, would take every slab that stage 1 is there for.
//!
//! Looks at [`Variant::EMPTY_SCAN_LIMIT`] slabs per call, going on where the heap's last call ended,
//! so that every slab is looked at in the end.

use super::{Pool, Seeker, activate};
use crate::base::{ClassIdx, bit_range, slices_in};
use crate::report::Statics;
use crate::report::registry;
use crate::report::slab::{Slab, State, SuperSlab};
use crate::stats::Event;

impl Pool {
    pub(super) fn scan<V: Statics>(
        &self,
        class: ClassIdx,
        seeker: &Seeker<'_>,
    ) -> Option<&'static Slab> {
        let superslabs = registry::len::<V>();
        let slots = superslabs as usize * V::SLICES;
        let mut to_look_at = V::EMPTY_SCAN_LIMIT.min(slots);
        let mut at = seeker.cursor.get() as usize;
        let mut found = None;
        while found.is_none() && to_look_at > 0 {
            if at >= slots {
                at = 0;
            }
            let first = at % V::SLICES;
            let end = V::SLICES.min(first + to_look_at);
            if let Some(superslab) = V::directory().get((at / V::SLICES) as u32) {
                found = take_from::<V>(superslab, bit_range(first, end), class, seeker);
            }
            to_look_at -= end - first;
            at += end - first;
        }
        seeker.cursor.set(at as u32);
        found
    }
}

/// Claims a slab among those of one SuperSlab that are in `window`.
fn take_from<V: Statics>(
    superslab: &'static SuperSlab,
    window: u32,
    class: ClassIdx,
    seeker: &Seeker<'_>,
) -> Option<&'static Slab> {
    for slot in slices_in(superslab.empty.peek() & window) {
        if superslab.empty.claim(slot.bit()) {
            let slab = superslab.slab::<V>(slot);
            return Some(activate(slab, State::Empty, seeker, Event::AcquireEmptyScan));
        }
    }
    for slot in slices_in(superslab.orphans.peek() & window) {
        if superslab.orphans.claim(slot.bit()) {
            let slab = superslab.slab::<V>(slot);
            if let Some(slab) = adopt::<V>(slab, class, seeker) {
                return Some(slab);
            }
            superslab.orphans.offer(slot.bit());
        }
    }
    None
}

/// Takes over an orphan that the caller has claimed, if it has a block for `class`.
fn adopt<V: Statics>(
    slab: &'static Slab,
    class: ClassIdx,
    seeker: &Seeker<'_>,
) -> Option<&'static Slab> {
    let waiting = slab.remote.count();
    let all_home = waiting == slab.used();
    let has_block = slab.has_free() || waiting > 0;
    if !(all_home || has_block && slab.class() == class) {
        return None;
    }
    // The claim was ours, and an orphan has no owner, so this does not fail.
    if !slab.remote.adopt(seeker.heap) {
        return None;
    }
    if slab.drain_remote::<V>() > 0 {
        seeker.counters.count(Event::RemoteDrain);
    }
    let stage = if slab.used() == 0 { Event::AcquireEmptyScan } else { Event::Adopted };
    seeker.counters.count(stage);
    Some(slab)
}
