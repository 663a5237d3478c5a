//! Memory back to the kernel because the program asks for it.

use super::drain::drain_list;
use super::exit::prepare_for_forks;
use super::{Cached, State, outbox, shut};
use crate::base::ClassIdx;
use crate::central;

/// Bytes that are too few to be given back by a trim: programs ask for one again and again. It is what the C library's
/// keeps at the top of its heap before it trims that by itself (`M_TRIM_THRESHOLD`).
const FEW: usize = 128 << 10;

/// Gives back all that this thread and the central lists hold and nobody uses.
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

/// The same where that may be more than a [`FEW`] bytes; says whether it gave back slices, mappings or SuperSlabs.
pub(crate) fn trim<V: Cached>() -> bool {
    prepare_for_forks::<V>();
    if V::cache().state.get() == State::Open {
        shut::open::<V>(V::cache());
        outbox::flush::<V>(V::cache());
    }
    if listed_bytes::<V>() + central::idle_bytes::<V>() <= FEW {
        return false;
    }
    // Programs ask for this again and again, so nothing is counted that takes a walk.
    let before = V::page_heap().slack();
    purge::<V>();
    V::page_heap().slack() < before
}

/// About how many bytes may go back when the blocks of this thread's lists come home, at most.
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
