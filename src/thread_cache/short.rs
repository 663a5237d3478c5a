//! What a slow path does where there is no memory: before it returns null, it tries again.
//!
//! | step | then |
//! |---|---|
//! | the thread's blocks go home, and a purge gives all unused memory back | it tries again |
//! | the program's limit handler, if there is one, says that it has made room | the blocks go home, and it tries again |
//! | | null |
//!
//! The handler may allocate and free. While a thread is in the handler, its other requests do without.
//!
//! Never: calls the handler with a lock held.

use super::drain::drain_list;
use super::{Cached, flush, shut};
use crate::base::ClassIdx;
use crate::central::{self, HOPELESS};

/// Calls of the handler for one request, at most: it may say for ever that there is room.
const CALLS: usize = 64;

/// Makes room for a request of `bytes`, and tries again. `None` when memory is exhausted, or the limit is reached.
#[cold]
#[inline(never)]
pub(crate) fn again_cold<V: Cached, R>(bytes: usize, attempt: impl Fn() -> Option<R>) -> Option<R> {
    // No purge helps a hopeless size.
    if bytes >= HOPELESS {
        return None;
    }
    give_all_back::<V>();
    let mut found = attempt();
    for _ in 0..CALLS {
        if found.is_some() || !handler_made_room::<V>(bytes) {
            break;
        }
        give_all_back::<V>();
        found = attempt();
    }
    found
}

/// Moves this thread's blocks to the central lists, and gives all unused memory back.
pub(crate) fn give_all_back<V: Cached>() {
    let cache = V::cache();
    if cache.is_open() {
        shut::open::<V>(cache);
        flush::<V>(cache);
        for class in ClassIdx::all(V::CLASSES.count()) {
            drain_list::<V>(cache, class);
        }
    }
    central::purge_all::<V>();
}

/// Calls the handler. False if there is none, or if this thread is in it, or has no cache to note that in.
fn handler_made_room<V: Cached>(bytes: usize) -> bool {
    let cache = V::cache();
    let Some(handler) = V::page_heap().limit.handler() else { return false };
    if !cache.is_open() || cache.in_handler.replace(true) {
        return false;
    }
    let made_room = handler(bytes);
    cache.in_handler.set(false);
    made_room
}
