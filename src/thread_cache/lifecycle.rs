//! A thread's cache from its opening to the thread's end; the caches that wait for a thread; forks.
//!
//! One limit: the pthread destructors of a thread may run for the last time before the thread's very first allocation.
//! Then no hook reports the thread's end, and the blocks in its lists are lost.

use super::drain::drain_list;
use super::forks::{Caller, Forks};
use super::quarantine::Quarantines;
use super::tables::Tables;
use super::{CacheOf, Cached, State, ThreadCache, fill, flush, limits, quarantine, sample, shut};
use crate::base::{ArenaIdx, ClassIdx, rank};
use crate::central::{self, lock_all, unlock_all};
use crate::sys::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::sys::lock::Lock;
use crate::sys::thread::{self, AtExit};
use crate::sys::{errno, fork, held, pages, secret};
use crate::variant::{Links, Slot};
use core::cell::Cell;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

/// Blocks that a thread that has never allocated frees by address before it gets a cache.
const FREES: u32 = 16;
/// Threads whose frees can be counted at a time.
const FREEING: usize = 64;

/// The thread and the count in a word of `freeing`.
const fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

/// The caches that wait for a thread, and the state of the fork handlers.
pub(crate) struct CachePool<T> {
    lock: Lock<{ rank::CACHE_POOL }>,
    /// The top of the stack of caches that wait for a thread. [lock]
    first: Cell<*const ThreadCache<T>>,
    /// The top of the stack of all mapped caches. [lock]
    made: Cell<*const ThreadCache<T>>,
    /// The quarantines of the variant. [lock]
    pub(super) quarantines: Quarantines,
    forks: Forks,
    /// Threads without a cache, by the thread's number, with their count of frees. [shared]
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
            quarantines: Quarantines::new(),
            forks: Forks::over(AtomicU32::new(0), AtomicU32::new(0), AtomicUsize::new(0)),
            freeing: [const { AtomicU64::new(0) }; FREEING],
        }
    }

    /// A waiting cache, or a new one; `None` when memory is exhausted.
    fn take<V: Cached<Tables = T>>(&self) -> Option<&'static CacheOf<V>> {
        let waiting = self.lock.with(|| {
            // SAFETY: null, or a cache that `put` was given, which is never unmapped.
            let cache = unsafe { self.first.get().as_ref() }?;
            self.first.set(cache.next_idle.get());
            // ORDERING: relaxed; the flag publishes nothing. A thread that reads the old value takes the other path
            // once more, which is harmless.
            cache.is_shut.store(false, Ordering::Relaxed);
            Some(cache)
        });
        waiting.or_else(|| {
            let cache = V::new_cache()?;
            self.lock.with(|| cache.next_made.set(self.made.replace(cache)));
            Some(cache)
        })
    }

    /// Unmaps all mapped caches, and the quarantines.
    ///
    /// # Safety
    /// No thread uses a cache any more. No cache has tables.
    pub(crate) unsafe fn release(&self) {
        self.lock.with(|| {
            while let Some(cache) = NonNull::new(self.made.get().cast_mut()) {
                // SAFETY: a cache that `take` noted, which is mapped until the line below.
                self.made.set(unsafe { cache.as_ref() }.next_made.get());
                // SAFETY: `new_cache` mapped these pages for this cache alone. By the caller's condition no thread
                // refers to it.
                unsafe { pages::unmap(cache.cast(), size_of::<ThreadCache<T>>()) };
            }
            // SAFETY: by the caller's condition no thread uses a cache, nor its quarantine.
            unsafe { self.quarantines.release() };
        });
    }

    /// Runs `action` with the pool's lock held. Meanwhile no thread shuts the lists of another.
    pub(crate) fn with_made<R>(&self, action: impl FnOnce() -> R) -> R {
        self.lock.with(action)
    }

    /// Shuts the lists of all threads, in the C face.
    pub(super) fn shut_others<V: Cached<Tables = T>>(&self) {
        if !V::COUNTED {
            return;
        }
        self.lock.with(|| {
            let mut cache = NonNull::new(self.made.get().cast_mut());
            while let Some(made) = cache {
                // SAFETY: a cache that `take` noted. In the C face caches stay mapped for good.
                let made = unsafe { made.as_ref() };
                shut::shut_from_afar::<V>(made);
                cache = NonNull::new(made.next_made.get().cast_mut());
            }
        });
    }

    /// True once a thread that has never allocated has freed enough blocks to deserve a cache.
    ///
    /// In the C face the C library frees a few blocks at a thread's end, after the exit hooks ran. A cache opened then
    /// would never be closed, and its blocks would be lost.
    pub(super) fn frees_enough<V: Cached>(&self) -> bool {
        if !V::BY_ADDRESS {
            return true;
        }
        let me = thread::id();
        let place = &self.freeing[me as usize % FREEING];
        // ORDERING: relaxed; a thread uses only a count that it stored itself. Threads that share a place may lose
        // counts, and get a cache later.
        let (who, count) = unpack(place.load(Ordering::Relaxed));
        let count = if who == me { count + 1 } else { 1 };
        // ORDERING: relaxed; only this thread relies on the count.
        place.store(u64::from(me) << 32 | u64::from(count), Ordering::Relaxed);
        count > FREES
    }

    /// Adds an empty, closed cache to the waiting ones. It is marked as shut, so that no thread tries to shut it.
    fn put<V: Cached<Tables = T>>(&self, cache: &'static CacheOf<V>) {
        self.lock.with(|| {
            if cache.is_shut() {
                cache.tables.set_quick::<V>(true, cache.own_classes.get());
            }
            // ORDERING: relaxed; the flag publishes nothing. A thread that reads the old value takes the other path
            // once more, which is harmless.
            cache.is_shut.store(true, Ordering::Relaxed);
            cache.next_idle.set(self.first.replace(cache));
        });
    }
}

/// Opens this thread's cache.
///
/// `None` if the thread can have no cache: the system cannot report its end, memory is exhausted, or freed blocks are
/// filled.
#[cold]
pub(crate) fn open<V: Cached>() -> Option<&'static CacheOf<V>> {
    // A free may open the cache, and must not change `errno`.
    errno::kept(open_anyhow::<V>)
}

fn open_anyhow<V: Cached>() -> Option<&'static CacheOf<V>> {
    prepare_for_forks::<V>();
    // The registration may have allocated, and so opened the cache.
    let cache = V::cache();
    if cache.is_open() {
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
    if V::LINKS == Links::Keyed || V::HAS_TAILS {
        secret::choose();
    }
    cache.asks.set(false);
    cache.in_handler.set(false);
    cache.arena.set(V::pool().with_made(central::join::<V>));
    for class in ClassIdx::all(V::CLASSES.count()) {
        cache.list(class).open(limits::first::<V>(class));
    }
    V::parked().take::<V>(&cache.lists);
    cache.granted.set(0);
    cache.granted_classes.set(0);
    // Before the hook is armed, since that may allocate with this very variant.
    cache.state.set(State::Open);
    sample::follow::<V>(cache);
    if V::hook().arm(cache) {
        if V::page_heap().background.note_opened() {
            central::start_if_wanted::<V>();
        }
        return Some(cache);
    }
    close::<V>(cache);
    None
}

/// The exit action that closes a thread's cache.
pub(crate) struct CloseCache<V>(PhantomData<V>);

impl<V: Cached> AtExit for CloseCache<V> {
    type Value = CacheOf<V>;

    fn run(cache: &'static CacheOf<V>) {
        close::<V>(cache);
    }
}

/// Parks or drains all lists, and closes the cache. A cache in pages of its own then waits for another thread.
pub(super) fn close<V: Cached>(cache: &'static CacheOf<V>) {
    // First, so that parked and drained blocks get the current time.
    central::tick::<V>(&cache.asks);
    shut::open::<V>(cache);
    flush::<V>(cache);
    if V::QUARANTINE > 0 {
        quarantine::close::<V>(cache);
    }
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

/// The calling thread, as the kernel and the C library know it.
struct ThisThread;

impl Caller for ThisThread {
    fn process(&self) -> u32 {
        thread::process()
    }
    fn thread(&self) -> u32 {
        thread::id()
    }
    fn handle(&self) -> usize {
        thread::handle()
    }
    fn give_way(&self) {
        thread::give_way();
    }
}

/// Registers the fork handlers, if that was not done yet. A thread calls it before it takes any lock, so that a fork
/// never copies a held lock.
///
/// Mostly a variant does this before `main`. A fork that began before the registration does not run the handlers.
pub(crate) fn prepare_for_forks<V: Cached>() {
    V::pool().forks.prepare(&ThisThread, || {
        // If the system has no room for the handlers, forks run without them.
        let _ = fork::around(before_fork::<V>, after_fork_in_parent::<V>, after_fork_in_child::<V>);
    });
}

/// Takes every lock, unless the process has only one thread.
///
/// The only thread may itself hold a lock, if a signal handler forks in the middle of an allocation. No other thread
/// can hold one.
extern "C" fn before_fork<V: Cached>() {
    if fork::is_single_threaded() {
        return;
    }
    fork::hold_stdio();
    held::forget_ranks();
    V::pool().forks.before(&ThisThread, || {
        V::pool().lock.lock();
        lock_all::<V>();
    });
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

/// Gives up the locks, if this thread took them before the fork. True if it did.
fn after_fork<V: Cached>() -> bool {
    V::pool().forks.after(&ThisThread, || {
        unlock_all::<V>();
        V::pool().lock.unlock();
    })
}
