//! What is asked of the central backend as a whole: figures, purges, its start and its end.

use crate::alloc::lookup;
use crate::backend::{Central, LimitHandler, Managed};
use crate::base::ClassIdx;
use crate::stats::{Audit, Events, Unsound, Usage};
use crate::thread_cache::lifecycle::prepare_for_forks;
use crate::thread_cache::short::give_all_back;
use crate::thread_cache::{Cached, fill, flush, sample, shut};
use crate::variant::Large;
use crate::{central, check, guarded};
use core::ptr;

/// A trim that could give back no more bytes than this does nothing, since programs call trims again and again. It is
/// the default of glibc's `M_TRIM_THRESHOLD`: the bytes that glibc keeps free at the top of its heap.
const FEW: usize = 128 << 10;

impl<V: Cached> Managed for Central<V> {
    const CLASSES: usize = V::CLASSES.count();

    fn events(sum: &mut Events) {
        V::counters().sum_into(sum);
    }

    fn superslabs() -> u32 {
        V::page_heap().segments()
    }

    fn map_spare() -> bool {
        V::page_heap().map_spare::<V>()
    }

    fn visit_superslabs(mut visit: impl FnMut(*const u8)) {
        V::page_heap().visit(|segment| visit(ptr::from_ref(segment).cast()));
    }

    #[inline]
    fn lookup(address: usize) -> bool {
        lookup::<V>().is_ours(address)
    }

    fn owns(address: usize) -> bool {
        V::page_map().is_ours(address)
    }

    unsafe fn audit() -> Result<Audit, Unsound> {
        // SAFETY: the caller's condition.
        unsafe { check::audit::<V>() }
    }

    fn purge() {
        prepare_for_forks::<V>();
        give_all_back::<V>();
    }

    fn trim() -> bool {
        prepare_for_forks::<V>();
        if V::cache().is_open() {
            shut::open::<V>(V::cache());
            flush::<V>(V::cache());
        }
        if listed_bytes::<V>() + central::idle_bytes::<V>() <= FEW {
            return false;
        }
        // Programs call this again and again, so it compares a sum that needs no walk over the heap.
        let slack = || V::page_heap().slack() + central::fenced_bytes::<V>();
        let before = slack();
        Self::purge();
        slack() < before
    }

    fn background() -> bool {
        central::ask::<V>()
    }

    fn sample(mean: u32) -> bool {
        prepare_for_forks::<V>();
        let is_switched = V::page_heap().sample(mean, V::page_map());
        if V::cache().is_open() {
            sample::follow::<V>(V::cache());
        }
        is_switched
    }

    fn keep_idle(bytes: usize) -> bool {
        let purges = V::PURGE_MS.is_some();
        if purges {
            V::page_heap().tuning.keep_idle(bytes);
        }
        purges
    }

    fn keep_mappings() -> bool {
        let keeps = V::KEEP_MIB > 0 && V::LARGE != Large::Fenced;
        if keeps {
            V::page_heap().tuning.keep_mappings();
        }
        keeps
    }

    fn audit_every(ms: u64) -> bool {
        let looks = V::PURGE_MS.is_some();
        if looks {
            V::page_heap().audits.set_every(ms);
        }
        looks
    }

    fn check_at_end() {
        guarded::audit::at_end::<V>();
    }

    fn set_limit(bytes: usize) -> bool {
        V::page_heap().limit.set_most(bytes);
        if V::LARGE == Large::Fenced && bytes > 0 {
            // From now on freed blocks keep no memory, which would count.
            V::fenced().clean_since(V::page_heap().now(), 0);
        }
        true
    }

    fn set_limit_handler(handler: Option<LimitHandler>) -> bool {
        V::page_heap().limit.set_handler(handler);
        true
    }

    fn counted() -> usize {
        V::page_heap().lock.with(|| V::page_heap().counted()) + central::fenced_bytes::<V>()
    }

    fn fill_with(byte: u8) -> bool {
        let fills = V::LARGE == Large::Own && !V::HAS_TAILS;
        if fills {
            fill::fill_with::<V>(byte);
        }
        fills
    }

    #[inline]
    fn filler() -> u8 {
        V::page_heap().tuning.filler()
    }

    fn usage() -> Usage {
        let cache = V::cache();
        let is_open = cache.is_open();
        if is_open {
            shut::open::<V>(cache);
            flush::<V>(cache);
        }
        let listed = |class| {
            if is_open { cache.list(class).len() as usize } else { 0 }
        };
        V::pool().with_made(|| central::usage::<V>(listed))
    }

    fn prepare_at_start() {
        prepare_for_forks::<V>();
    }

    fn leave_threads() {
        central::stop::<V>();
        V::hook().disarm();
    }

    /// It leaves out huge blocks in use, of which the backend has no record.
    unsafe fn release() {
        if V::LARGE == Large::Fenced {
            central::fenced::let_go_all::<V>();
        }
        if V::RECORDS_HUGE {
            // SAFETY: by the caller's condition no code refers to a block, or will ask for one.
            unsafe { V::huge_blocks().release() };
        }
        // SAFETY: by the caller's condition no code refers to a block, or will ask for one.
        unsafe { V::page_heap().release() };
        // SAFETY: by the caller's condition no thread will look an address up, or note one.
        unsafe { V::page_map().release() };
        // SAFETY: `leave_threads` has run, so no thread uses a cache. A variant with tables frees by address, and is
        // not released.
        unsafe { V::pool().release() };
    }
}

/// An upper estimate of the bytes that may go back when the blocks of this thread's lists come home.
fn listed_bytes<V: Cached>() -> usize {
    let cache = V::cache();
    let of_class = |class| {
        let blocks = cache.list(class).len();
        blocks as usize * central::at_stake::<V>(class)
    };
    if cache.is_open() { ClassIdx::all(V::CLASSES.count()).map(of_class).sum() } else { 0 }
}
