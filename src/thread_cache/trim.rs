//! What a program asks for: purges, and the memory in use.

use super::drain::drain_list;
use super::lifecycle::prepare_for_forks;
use super::{Cached, State, outbox, shut};
use crate::base::ClassIdx;
use crate::central::{self, Usage};

/// A trim that could give back no more bytes than this does nothing, since programs call trims again and again. It is
/// the default of glibc's `M_TRIM_THRESHOLD`: the bytes that glibc keeps free at the top of its heap.
const FEW: usize = 128 << 10;

/// Gives all unused memory of this thread and of the central lists back to the kernel.
pub(crate) fn purge<V: Cached>() {
    prepare_for_forks::<V>();
    let cache = V::cache();
    if cache.state.get() == State::Open {
        shut::open::<V>(cache);
        outbox::flush::<V>(cache);
        for class in ClassIdx::all(V::CLASSES.count()) {
            drain_list::<V>(cache, class);
        }
    }
    central::purge_all::<V>();
}

/// Gives unused memory back to the kernel, if it may be more than [`FEW`] bytes.
///
/// True if slices, mappings or segments went back.
pub(crate) fn trim<V: Cached>() -> bool {
    prepare_for_forks::<V>();
    if V::cache().state.get() == State::Open {
        shut::open::<V>(V::cache());
        outbox::flush::<V>(V::cache());
    }
    if listed_bytes::<V>() + central::idle_bytes::<V>() <= FEW {
        return false;
    }
    // Programs call this again and again, so it compares a sum that needs no walk over the heap.
    let before = V::page_heap().slack();
    purge::<V>();
    V::page_heap().slack() < before
}

/// An upper estimate of the bytes that may go back when the blocks of this thread's lists come home.
fn listed_bytes<V: Cached>() -> usize {
    let cache = V::cache();
    let of_class = |class| {
        let blocks = cache.list(class).len();
        blocks as usize * central::at_stake::<V>(class)
    };
    match cache.state.get() {
        State::Open => ClassIdx::all(V::CLASSES.count()).map(of_class).sum(),
        State::Uninit | State::Dead => 0,
    }
}

/// The memory that the variant has mapped, and the part in use.
pub(crate) fn usage<V: Cached>() -> Usage {
    let cache = V::cache();
    let is_open = cache.state.get() == State::Open;
    if is_open {
        shut::open::<V>(cache);
        outbox::flush::<V>(cache);
    }
    let listed = |class| {
        if is_open { cache.list(class).len() as usize } else { 0 }
    };
    V::pool().with_made(|| central::usage::<V>(listed))
}
