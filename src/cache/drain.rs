//! The slow half of freeing, and what a thread does now and then: its lists back to bounds.

use super::exit::open;
use super::{Cache, Cached, State, fill, shut, step};
use crate::base::ClassIdx;
use crate::central;
use crate::list::{Block, Chain};
use crate::variant::{list_bytes_limit, window};
use core::ptr::NonNull;

/// Frees a block when the list's window is full, or closed.
///
/// # Safety
/// `block` is a free block of this class, in the caller's hands alone and in no list.
#[cold]
#[inline(never)]
pub(super) unsafe fn overflow_cold<V: Cached>(block: NonNull<Block>, class: ClassIdx) {
    let mut cache = V::cache();
    if !V::KEEPS || V::COUNTED {
        cache.list(class).undo_push(step::<V>(class));
    }
    if shut::takes_at_once::<V>(cache) {
        // SAFETY: the caller's condition.
        return unsafe { put_aside::<V>(cache, class, block) };
    }
    if cache.state.get() == State::NotYet && V::idle().frees_enough::<V>() {
        cache = open::<V>().unwrap_or(cache);
    }
    if cache.state.get() != State::Open {
        // SAFETY: a block of the class, which the caller gave up.
        unsafe { fill::wipe::<V>(block.cast(), V::CLASSES.block_bytes(class)) };
        let mut chain = Chain::new();
        // SAFETY: the caller's condition.
        unsafe { chain.append(block) };
        V::central(class).give::<V>(class, chain);
        central::tend_alone::<V>();
        return;
    }
    if shut::look::<V>(cache) && !V::COUNTED {
        // SAFETY: the caller's condition.
        return unsafe { put_aside::<V>(cache, class, block) };
    }
    make_room::<V>(cache, class);
    // SAFETY: the caller's condition.
    let pushed = unsafe { cache.list(class).push(block, step::<V>(class), true) };
    debug_assert!(pushed, "there is room");
}

/// Frees a block to a list that is shut.
///
/// # Safety
/// As for [`overflow_cold`].
#[inline]
unsafe fn put_aside<V: Cached>(cache: &'static Cache, class: ClassIdx, block: NonNull<Block>) {
    // SAFETY: the caller's condition.
    let aside = unsafe { shut::put::<V>(cache, class, block) };
    if aside >= window::<V>(class) {
        let batch = u32::from(V::BATCHES[class.index()]);
        V::central(class).give::<V>(class, shut::split::<V>(cache, class, batch));
    }
}

/// Makes room in a window for at least one block.
fn make_room<V: Cached>(cache: &'static Cache, class: ClassIdx) {
    let (list, step) = (cache.list(class), step::<V>(class));
    let batch = u32::from(V::BATCHES[class.index()]);
    if list.window_len(step) + 1 < window::<V>(class) {
        return;
    }
    debug_assert!(
        list.len(step) < list_bytes_limit::<V>(class) + window::<V>(class),
        "more than its bound and a window"
    );
    let demand = cache.demand(class);
    demand.newest_seen.set(core::ptr::null());
    if list.len(step) < demand.limit.get() {
        return list.set_aside(batch, step);
    }
    V::central(class).give::<V>(class, list.split(batch, step));
    drain_idle::<V>(cache, class);
}

/// Looks at one other list per call, in turn, and drains it whole when it has not moved since its last
/// turn: blocks that lie idle in a list keep their slabs from becoming EMPTY.
pub(super) fn drain_idle<V: Cached>(cache: &'static Cache, active: ClassIdx) {
    let turn = usize::from(cache.idle_turn.get()) % V::CLASSES.count();
    cache.idle_turn.set(turn as u8 + 1);
    let class = ClassIdx::new(turn);
    let demand = cache.demand(class);
    let newest = if cache.lies_aside::<V>() {
        demand.aside.get().cast_const()
    } else {
        cache.list(class).newest()
    };
    let seen = demand.newest_seen.replace(newest);
    if class != active && seen == newest && !seen.is_null() {
        drain_list::<V>(cache, class);
    }
}

/// Gives back every block of a list.
pub(super) fn drain_list<V: Cached>(cache: &'static Cache, class: ClassIdx) {
    let (list, step) = (cache.list(class), step::<V>(class));
    let demand = cache.demand(class);
    demand.refill.set(0);
    demand.limit.set(0);
    demand.newest_seen.set(core::ptr::null());
    let blocks = if cache.lies_aside::<V>() {
        shut::take_all::<V>(cache, class)
    } else if list.len(step) > 0 {
        list.take_all(step)
    } else {
        Chain::new()
    };
    if blocks.len() > 0 {
        V::central(class).give::<V>(class, blocks);
    }
}
