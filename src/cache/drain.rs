//! The slow half of freeing, and what a thread does now and then: its lists back to bounds.

use super::exit::open;
use super::{Cache, Cached, State, step};
use crate::base::ClassIdx;
use crate::central;
use crate::list::{Block, Chain};
use crate::variant::{list_bytes_limit, window};
use core::ptr::NonNull;

/// Slow paths between two looks at the clock.
const TEND_EVERY: u8 = 32;
/// Blocks in a window that is to be empty soon.
pub(super) const NARROW: u32 = 4;

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
    if cache.state.get() == State::NotYet && V::idle().frees_enough::<V>() {
        cache = open::<V>().unwrap_or(cache);
    }
    if cache.state.get() != State::Open {
        let mut chain = Chain::new();
        // SAFETY: the caller's condition.
        unsafe { chain.append(block) };
        return V::central(class).give::<V>(class, chain);
    }
    make_room::<V>(cache, class);
    // SAFETY: the caller's condition.
    let pushed = unsafe { cache.list(class).push(block, step::<V>(class), true) };
    debug_assert!(pushed, "there is room");
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
    look_around::<V>(cache, class);
}

/// Now and then: whether another list lies idle, and whether memory can go back to the kernel.
pub(super) fn look_around<V: Cached>(cache: &'static Cache, active: ClassIdx) {
    let left = cache.until_tend.get();
    cache.until_tend.set(left.checked_sub(1).unwrap_or(TEND_EVERY));
    if left == 0 {
        central::tend::<V>();
    }
    let much_waits = V::spans().much_waits::<V>();
    if much_waits && (left == 0 || !cache.narrowed.get()) {
        narrow::<V>(cache, active);
    }
    cache.narrowed.set(much_waits);
    drain_idle::<V>(cache, active);
}

/// Lets nearly all blocks of all lists lie beyond their windows: a thread that is served from its lists alone
/// would otherwise never look at the clock, and memory that waits would wait for good. Not of those at their
/// bound, which have only the window to tell that they must give something up.
fn narrow<V: Cached>(cache: &'static Cache, active: ClassIdx) {
    for class in ClassIdx::all(V::CLASSES.count()) {
        let (list, step) = (cache.list(class), step::<V>(class));
        if V::COUNTED {
            // A pop would go on beyond the window, so what lies there goes back, once.
            if class != active && !cache.narrowed.get() && list.len(step) > NARROW {
                drain_list::<V>(cache, class);
            }
        } else if list.len(step) < cache.demand(class).limit.get() {
            list.set_aside(list.window_len(step).saturating_sub(NARROW), step);
        }
    }
}

/// Looks at one other list per call, in turn, and drains it whole when it has not moved since its last
/// turn: blocks that lie idle in a list keep their slabs from becoming EMPTY.
fn drain_idle<V: Cached>(cache: &'static Cache, active: ClassIdx) {
    let turn = usize::from(cache.idle_turn.get()) % V::CLASSES.count();
    cache.idle_turn.set(turn as u8 + 1);
    let class = ClassIdx::new(turn);
    let list = cache.list(class);
    let seen = cache.demand(class).newest_seen.replace(list.newest());
    if class != active && seen == list.newest() && !seen.is_null() {
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
    if list.len(step) > 0 {
        V::central(class).give::<V>(class, list.take_all(step));
    }
}
