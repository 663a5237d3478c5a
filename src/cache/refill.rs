//! The slow half of allocation: blocks from beyond the window, or from the central list.

use super::drain::drain_idle;
use super::exit::open;
use super::{Cache, Cached, State, shut, step};
use crate::base::{ClassIdx, quotient};
use crate::central;
use crate::list::Block;
use crate::variant::{Bound, list_bytes_limit};
use core::ptr::{self, NonNull};

/// Bytes of a list's first refill.
const FIRST_BYTES: usize = 1024;

/// Allocates when the list's window is empty, or closed; null when memory is exhausted.
#[cold]
#[inline(never)]
pub(super) fn refill_cold<V: Cached>(class: ClassIdx) -> *mut u8 {
    let cache = V::cache();
    if !V::KEEPS {
        cache.list(class).undo_pop(step::<V>(class));
    }
    let block = match cache.state.get() {
        State::Open => refill::<V>(cache, class),
        State::NotYet => match open::<V>() {
            Some(cache) => refill::<V>(cache, class),
            None => take_one::<V>(class),
        },
        State::Gone => take_one::<V>(class),
    };
    // The kernel refuses: what waits to be used again may be enough.
    let block = block.or_else(|| {
        central::purge_all::<V>();
        V::central(class).take_one::<V>(class)
    });
    block.map_or(ptr::null_mut(), |block| block.as_ptr().cast())
}

/// A block for a thread without lists.
fn take_one<V: Cached>(class: ClassIdx) -> Option<NonNull<Block>> {
    central::tend_alone::<V>();
    V::central(class).take_one::<V>(class)
}

fn refill<V: Cached>(cache: &'static Cache, class: ClassIdx) -> Option<NonNull<Block>> {
    let (list, step) = (cache.list(class), step::<V>(class));
    let batch = u32::from(V::BATCHES[class.index()]);
    if shut::look::<V>(cache) && !V::COUNTED {
        if shut::is_turn(cache) {
            drain_idle::<V>(cache, class);
        }
        return shut::take::<V>(cache, class).or_else(|| {
            let mut chain = V::central(class).take::<V>(class, batch / 2 + 1);
            let block = chain.pop();
            shut::put_all::<V>(cache, class, chain);
            block
        });
    }
    // Opening the cache may have allocated, and so have filled the window by now.
    let is_empty = if V::COUNTED {
        list.len(step) == 0
    } else {
        list.window_len(step) == 0 && list.draw(batch, step) == 0
    };
    if is_empty {
        let demand = cache.demand(class);
        let want = match V::LIST_BOUND {
            Bound::Blocks => batch,
            // Little at first, and twice as much each time: most classes of most threads stay small.
            Bound::Bytes => {
                let first = quotient(FIRST_BYTES, V::CLASSES.block_bytes(class)).max(1) as u32;
                (demand.refill.get() * 2).max(first).min(batch)
            }
        };
        demand.refill.set(want);
        let most = list_bytes_limit::<V>(class);
        demand.limit.set((demand.limit.get() + want).min(most));
        let chain = V::central(class).take::<V>(class, want);
        list.fill(&chain, step);
        demand.newest_seen.set(core::ptr::null());
        drain_idle::<V>(cache, class);
    }
    list.pop(step, true)
}
