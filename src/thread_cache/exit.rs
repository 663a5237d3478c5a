//! How a thread comes by its cache, and what becomes of it when the thread ends.
//!
//! One limit: a thread whose very first allocation happens in the last round of pthread destructors,
//! behind ours, is not seen to end, and what its lists hold is lost.

use super::drain::drain_list;
use super::tables::Tables;
use super::{CacheOf, Cached, State, ThreadCache, fill, limits, outbox, shut};
use crate::base::{ArenaIdx, ClassIdx};
use crate::central::{self, lock_all, unlock_all};
use crate::sys::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::sys::lock::Lock;
use crate::sys::thread::{self, AtExit};
use crate::sys::{errno, fork, pages};
use crate::variant::Slot;
use core::cell::Cell;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

/// Forks are prepared for; no process has this number.
const PREPARED: u32 = u32::MAX;

/// Blocks that a thread frees, by their address alone, before it is given lists.
const FREES: u32 = 16;
/// Threads whose frees can be counted at a time.
const FREEING: usize = 64;

/// A thread, and a count.
const fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

/// Caches that wait for a thread, and what is done once per process.
pub(crate) struct CachePool<T> {
    lock: Lock,
    /// The last one that was left. [lock]
    first: Cell<*const ThreadCache<T>>,
    /// The last one that was mapped. [lock]
    made: Cell<*const ThreadCache<T>>,
    /// The process in which forks are being prepared for; 0 for none yet, or [`PREPARED`]. [shared]
    preparing: AtomicU32,
    /// The thread that does so. [shared]
    preparer: AtomicU32,
    /// The thread that took all locks for a fork; 0 for none. [shared]
    forker: AtomicUsize,
    /// Threads without lists that free, by number, and how often they did. [shared]
    freeing: [AtomicU64; FREEING],
}

// SAFETY: `first` and `made`, and the links of the caches that they lead to, are touched with the lock held.
unsafe impl<T> Sync for CachePool<T> {}

impl<T: Tables> CachePool<T> {
    pub(crate) const fn new() -> Self {
        Self {
            lock: Lock::over(AtomicU32::new(0)),
            first: Cell::new(ptr::null()),
            made: Cell::new(ptr::null()),
            preparing: AtomicU32::new(0),
            preparer: AtomicU32::new(0),
            forker: AtomicUsize::new(0),
            freeing: [const { AtomicU64::new(0) }; FREEING],
        }
    }

    /// A cache that waits, or a new one; `None` when memory is exhausted.
    fn take<V: Cached<Tables = T>>(&self) -> Option<&'static CacheOf<V>> {
        let waiting = self.lock.with(|| {
            // SAFETY: null, or a cache that `put` was given, which is never unmapped.
            let cache = unsafe { self.first.get().as_ref() }?;
            self.first.set(cache.next_idle.get());
            // ORDERING: relaxed: see `ThreadCache::is_shut`.
            cache.is_shut.store(false, Ordering::Relaxed);
            Some(cache)
        });
        waiting.or_else(|| {
            let cache = V::new_cache()?;
            self.lock.with(|| cache.next_made.set(self.made.replace(cache)));
            Some(cache)
        })
    }

    /// Unmaps the caches that are in pages of their own.
    ///
    /// # Safety
    /// No thread has use for one any more, and none is part of something larger.
    unsafe fn release(&self) {
        self.lock.with(|| {
            while let Some(cache) = NonNull::new(self.made.get().cast_mut()) {
                // SAFETY: a cache that `take` noted, which is mapped until the line below.
                self.made.set(unsafe { cache.as_ref() }.next_made.get());
                // SAFETY: mapped for a cache alone, which nobody refers to, by the caller's condition.
                unsafe { pages::unmap(cache.cast(), size_of::<ThreadCache<T>>()) };
            }
        });
    }

    /// Runs `action` while no thread's lists are shut from afar.
    pub(super) fn with_made<R>(&self, action: impl FnOnce() -> R) -> R {
        self.lock.with(action)
    }

    /// Shuts the lists of all threads.
    pub(super) fn shut_others<V: Cached<Tables = T>>(&self) {
        if !V::COUNTED {
            return;
        }
        self.lock.with(|| {
            let mut cache = NonNull::new(self.made.get().cast_mut());
            while let Some(made) = cache {
                // SAFETY: a cache that `take` noted, which is mapped for good where tables lead to lists.
                let made = unsafe { made.as_ref() };
                shut::shut_from_afar::<V>(made);
                cache = NonNull::new(made.next_made.get().cast_mut());
            }
        });
    }

    /// Whether a thread without lists, which frees a block, has freed enough to be given some. Where the C library
    /// itself frees by us, the last that it does for a thread, once nobody tells of its end any more, is to free what
    /// it had for it: lists would be lost with that thread.
    pub(super) fn frees_enough<V: Cached>(&self) -> bool {
        if !V::BY_ADDRESS {
            return true;
        }
        let me = thread::id();
        let place = &self.freeing[me as usize % FREEING];
        // ORDERING: relaxed; only the thread of this number looks for it. Where several share a place, some count
        // in vain, and are given lists later.
        let (who, count) = unpack(place.load(Ordering::Relaxed));
        let count = if who == me { count + 1 } else { 1 };
        // ORDERING: relaxed, as above.
        place.store(u64::from(me) << 32 | u64::from(count), Ordering::Relaxed);
        count > FREES
    }

    /// Lets a cache wait, which is empty and closed. It counts as shut meanwhile: nobody need shut it.
    fn put<V: Cached<Tables = T>>(&self, cache: &'static CacheOf<V>) {
        self.lock.with(|| {
            if cache.is_shut() {
                cache.tables.set_quick::<V>(true);
            }
            // ORDERING: relaxed: see `ThreadCache::is_shut`.
            cache.is_shut.store(true, Ordering::Relaxed);
            cache.next_idle.set(self.first.replace(cache));
        });
    }
}

/// Opens this thread's cache; `None` if it can have none: the system has no room to tell of its end, or
/// memory is exhausted.
#[cold]
pub(super) fn open<V: Cached>() -> Option<&'static CacheOf<V>> {
    // Freeing may have brought the thread here.
    errno::kept(open_anyhow::<V>)
}

fn open_anyhow<V: Cached>() -> Option<&'static CacheOf<V>> {
    prepare_for_forks::<V>();
    // Preparing may have allocated.
    let cache = V::cache();
    if cache.state.get() == State::Open {
        return Some(cache);
    }
    if fill::fills::<V>() {
        return None;
    }
    let cache = match V::THREAD_SLOT {
        Slot::Inline => V::cache(),
        Slot::Pointer => V::pool().take::<V>()?,
    };
    V::set_cache(cache);
    cache.asks.set(false);
    cache.arena.set(V::pool().with_made(central::join::<V>));
    for class in ClassIdx::all(V::CLASSES.count()) {
        cache.list(class).open(limits::first::<V>(class));
    }
    V::parked().take::<V>(&cache.lists);
    cache.granted.set(0);
    // Before the hook: arming it may allocate, with this very variant as the program's allocator.
    cache.state.set(State::Open);
    if V::hook().arm(cache) {
        if V::page_heap().background.note_opened() {
            central::start_if_wanted::<V>();
        }
        return Some(cache);
    }
    close::<V>(cache);
    None
}

/// Closes the cache of a thread that ends.
pub(crate) struct CloseCache<V>(PhantomData<V>);

impl<V: Cached> AtExit for CloseCache<V> {
    type Value = CacheOf<V>;

    fn run(cache: &'static CacheOf<V>) {
        close::<V>(cache);
    }
}

/// Parks the lists, or gives back all blocks, and closes the cache. One that the slot points to waits for another
/// thread.
pub(super) fn close<V: Cached>(cache: &'static CacheOf<V>) {
    // First, so that what is parked or given back knows the time.
    central::tick::<V>(&cache.asks);
    shut::open::<V>(cache);
    outbox::flush::<V>(cache);
    V::parked().park::<V>(&cache.lists);
    for class in ClassIdx::all(V::CLASSES.count()) {
        drain_list::<V>(cache, class);
        cache.list(class).close();
    }
    V::pool().with_made(|| central::leave::<V>(cache.arena.replace(ArenaIdx::FIRST)));
    match V::THREAD_SLOT {
        Slot::Inline => cache.state.set(State::Dead),
        Slot::Pointer => {
            cache.state.set(State::Uninit);
            V::set_cache(V::dead());
            V::pool().put::<V>(cache);
        }
    }
}

/// Sees to it, before this thread takes any lock, that a fork finds none taken.
///
/// Mostly that was done before `main` ([`prepare_at_start`]): a fork that begins before the handlers are there
/// does not run them, and takes its time. A fork may come while another thread is at it, and the child has
/// only the forking one: so who is at it is written down as a process, and a child begins anew.
pub(super) fn prepare_for_forks<V: Cached>() {
    let preparing = &V::pool().preparing;
    loop {
        // ORDERING: acquire, paired with the release below: the handlers are there.
        let by = preparing.load(Ordering::Acquire);
        if by == PREPARED {
            return;
        }
        let me = thread::process();
        if by == me {
            // Registering the handlers may allocate, with this very variant.
            // ORDERING: relaxed; only whether it is this thread matters, which knows what it stored.
            if V::pool().preparer.load(Ordering::Relaxed) == thread::id() {
                return;
            }
            thread::give_way();
            continue;
        }
        // ORDERING: relaxed; it says whose task this is, and publishes nothing.
        if preparing.compare_exchange(by, me, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            // ORDERING: relaxed, as above.
            V::pool().preparer.store(thread::id(), Ordering::Relaxed);
            // Where the system has no room, forks are what they would be without.
            let _ =
                fork::around(before_fork::<V>, after_fork_in_parent::<V>, after_fork_in_child::<V>);
            // ORDERING: release, as above.
            preparing.store(PREPARED, Ordering::Release);
            return;
        }
    }
}

/// Runs before `main`, in a program's or a library's initialisation.
pub(crate) fn prepare_at_start<V: Cached>() {
    prepare_for_forks::<V>();
}

/// Has no thread close its cache any more when it ends.
pub(crate) fn leave_threads<V: Cached>() {
    central::stop::<V>();
    V::hook().disarm();
}

/// Unmaps all that the variant has mapped, but for huge blocks in use: these it does not know.
///
/// # Safety
/// Threads were left, none is in the variant, and nobody refers to a block of it, or will ask for one. The variant's
/// caches have no tables.
pub(crate) unsafe fn release<V: Cached>() {
    // SAFETY: nobody refers to a block, or will ask for one, by the caller's condition.
    unsafe { V::page_heap().release() };
    // SAFETY: nobody will look an address up, by the caller's condition.
    unsafe { V::page_map().release() };
    // SAFETY: threads were left, so no thread has a cache, by the caller's condition.
    unsafe { V::pool().release() };
}

/// Takes every lock, unless there is one thread only: nobody else has any then, and this one may, where a signal
/// that came in the middle of an allocation has it fork.
extern "C" fn before_fork<V: Cached>() {
    if fork::is_single_threaded() {
        return;
    }
    fork::hold_stdio();
    V::pool().lock.lock();
    lock_all::<V>();
    // ORDERING: relaxed; only this thread looks for itself.
    V::pool().forker.store(thread::handle(), Ordering::Relaxed);
}

extern "C" fn after_fork_in_parent<V: Cached>() {
    if after_fork::<V>() {
        fork::release_stdio();
    }
}

extern "C" fn after_fork_in_child<V: Cached>() {
    V::page_heap().after_fork();
    V::page_heap().users.forget();
    if after_fork::<V>() {
        fork::reset_stdio();
    }
}

/// Gives up the locks, if this thread took them before the fork, and says whether it did.
fn after_fork<V: Cached>() -> bool {
    // That this runs shows that it is registered, whatever the fork interrupted.
    // ORDERING: release, paired with the acquire in `prepare_for_forks`.
    V::pool().preparing.store(PREPARED, Ordering::Release);
    // ORDERING: relaxed; only whether it is this thread matters, which knows what it stored.
    if V::pool().forker.load(Ordering::Relaxed) != thread::handle() {
        return false;
    }
    // ORDERING: relaxed, as above.
    V::pool().forker.store(0, Ordering::Relaxed);
    unlock_all::<V>();
    V::pool().lock.unlock();
    true
}
