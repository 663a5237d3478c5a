//! Shut lists: how a thread that is served from its lists alone comes by the clock.
//!
//! Memory that waits goes back from the slow paths. A thread that allocates a block and frees it, again and again, takes
//! none: its list always has the one. So while much waits, a thread *shuts* its lists: every allocation goes the slow
//! way, and sees the clock.
//!
//! | lists | shut | an allocation | a free |
//! |---|---|---|---|
//! | counted plainly | the desk leads from no size to a list | slow, from the list | as ever |
//! | others | each is closed over its blocks, which lie *aside* | slow, from what lies aside | slow, to lie aside |
//!
//! | a thread's lists | a slow path finds | become |
//! |---|---|---|
//! | open | that much waits | shut |
//! | shut | that nothing waits any more | open |
//!
//! Much is a part of all memory (`Spans::is_much`): in a steady state lists are open. Of the slow frees in a row one in
//! [`FREES`] sees the clock, since who frees much at once allocates nothing meanwhile.
//!
//! A thread that has blocks at hand, and comes by no slow path, learns of it where its lists are counted plainly: the
//! first thread to see that much waits shuts those of all.
//!
//! Z3  While lists that are not counted plainly are shut, each of them is closed, `aside` leads to its blocks, and its
//!     `beyond` says how many.
//!
//! Never: takes a lock but that of the idle caches, for a moment, and where lists are counted plainly.

use super::{Cache, Cached, step};
use crate::base::ClassIdx;
use crate::central;
use crate::list::{Block, Chain};
use crate::sys::atomic::Ordering;
use core::ptr::{self, NonNull};

/// Blocks that are freed in a row between two looks at the clock.
const FREES: u32 = 32;
/// Allocations between two looks for an idle list: about as many as between two refills.
const ALLOCATIONS: u8 = 64;

/// Looks at the clock, gives back what is due, and shuts or opens the lists. Whether they are shut.
pub(super) fn look<V: Cached>(cache: &'static Cache) -> bool {
    central::tend::<V>(&cache.asks);
    let much_waits = V::spans().much_waits::<V>();
    if much_waits {
        shut::<V>(cache);
        if V::spans().is_news::<V>() {
            V::idle().shut_others::<V>();
        }
    } else {
        open::<V>(cache);
    }
    cache.frees.set(0);
    much_waits
}

/// Whether an allocation from a shut list is to look for an idle one, too.
pub(super) fn is_turn(cache: &Cache) -> bool {
    let left = cache.until_turn.get();
    cache.until_turn.set(left.checked_sub(1).unwrap_or(ALLOCATIONS));
    left == 0
}

/// Whether a block that is freed to a shut list need look no further.
pub(super) fn takes_at_once<V: Cached>(cache: &Cache) -> bool {
    if !cache.lies_aside::<V>() {
        return false;
    }
    let frees = cache.frees.get();
    cache.frees.set(frees + 1);
    frees < FREES
}

/// Shuts lists that are counted plainly, a thread's own or another's, which opens them itself.
pub(super) fn shut_from_afar<V: Cached>(cache: &'static Cache) {
    if cache.is_shut() {
        return;
    }
    // ORDERING: relaxed: see `Cache::is_shut`.
    cache.is_shut.store(true, Ordering::Relaxed);
    V::set_quick(cache, false);
}

fn shut<V: Cached>(cache: &'static Cache) {
    if cache.is_shut() {
        return;
    }
    if V::COUNTED {
        return shut_from_afar::<V>(cache);
    }
    // ORDERING: relaxed, here and below: see `Cache::is_shut`.
    cache.is_shut.store(true, Ordering::Relaxed);
    for class in ClassIdx::all(V::CLASSES.count()) {
        cache.demand(class).aside.set(cache.list(class).shut(step::<V>(class)));
    }
}

/// Opens lists that are shut.
pub(super) fn open<V: Cached>(cache: &'static Cache) {
    if !cache.is_shut() {
        return;
    }
    if V::COUNTED {
        // One thing at a time: another thread may be shutting them.
        return V::idle().with_made(|| {
            // It may be just the news that much waits.
            if V::spans().much_waits::<V>() {
                return;
            }
            // ORDERING: relaxed, as above.
            cache.is_shut.store(false, Ordering::Relaxed);
            V::set_quick(cache, true);
        });
    }
    // ORDERING: relaxed, as above.
    cache.is_shut.store(false, Ordering::Relaxed);
    for class in ClassIdx::all(V::CLASSES.count()) {
        let aside = cache.demand(class).aside.replace(ptr::null_mut());
        let window = u32::from(V::BATCHES[class.index()]);
        // SAFETY: what `shut` returned, changed by `take` and `put` alone, which count (Z3).
        unsafe { cache.list(class).reopen(aside, window, step::<V>(class)) };
    }
}

/// A block that lies aside.
pub(super) fn take<V: Cached>(cache: &'static Cache, class: ClassIdx) -> Option<NonNull<Block>> {
    let mut chain = take_all::<V>(cache, class);
    let block = chain.pop();
    put_all::<V>(cache, class, chain);
    block
}

/// Lets a block lie aside; says how many do then.
///
/// # Safety
/// `block` is a free block of this class, in the caller's hands alone and in no list.
pub(super) unsafe fn put<V: Cached>(
    cache: &'static Cache,
    class: ClassIdx,
    block: NonNull<Block>,
) -> u32 {
    let (list, aside) = (cache.list(class), &cache.demand(class).aside);
    // SAFETY: the caller's condition.
    aside.set(unsafe { Block::before(block, aside.get()) });
    let count = list.aside_len() + 1;
    list.set_aside_len(count);
    count
}

/// Takes the `count` newest of the blocks of a class that lie aside, which are as many at least.
pub(super) fn split<V: Cached>(cache: &'static Cache, class: ClassIdx, count: u32) -> Chain {
    let mut rest = take_all::<V>(cache, class);
    let mut newest = Chain::new();
    while newest.len() < count
        && let Some(block) = rest.pop()
    {
        // SAFETY: just taken out of the other chain, so it is in none, free and this thread's alone.
        unsafe { newest.append(block) };
    }
    put_all::<V>(cache, class, rest);
    newest
}

/// All blocks of a class that lie aside.
pub(super) fn take_all<V: Cached>(cache: &'static Cache, class: ClassIdx) -> Chain {
    let aside = cache.demand(class).aside.replace(ptr::null_mut());
    let count = cache.list(class).aside_len();
    cache.list(class).set_aside_len(0);
    // SAFETY: by Z3 `aside` leads to so many blocks, which are the caller's from here on.
    unsafe { Chain::adopt(NonNull::new(aside), count) }
}

/// Lets the blocks of a chain lie aside, where none does.
pub(super) fn put_all<V: Cached>(cache: &'static Cache, class: ClassIdx, chain: Chain) {
    cache.list(class).set_aside_len(chain.len());
    cache.demand(class).aside.set(chain.head().map_or(ptr::null_mut(), NonNull::as_ptr));
}
