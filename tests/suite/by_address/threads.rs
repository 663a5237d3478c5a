//! The caches of threads in the C face: when a thread gets one, who shuts its lists, and what is left after its end.

use super::{BED, Held, malloc};
use crate::testbed::join_all;
use hakmem::{ByAddress, Observe, Preload};
use std::ptr;
use std::sync::mpsc;

/// True if the thread's list serves a block. It has one, unless the lists are shut.
fn is_served() -> bool {
    let block = Preload::quick(64);
    // SAFETY: null, or this thread's block.
    unsafe { Preload::free(block) };
    !block.is_null()
}

/// Takes and frees blocks until the thread's list serves them, or does not.
fn until_served(served: bool, size: usize) {
    let turn = |_| {
        malloc(64, 1).free();
        malloc(size, 2).free();
        std::thread::sleep(std::time::Duration::from_millis(1));
        is_served() == served
    };
    assert!((0..20_000).any(turn), "lists stay shut, or open");
}

#[test]
fn a_thread_that_frees_a_little_gets_no_cache() {
    BED.alone(a_thread_that_frees_a_little_gets_no_cache_by_itself);
}

/// The C library frees a few blocks at a thread's end. A cache that opened then would never be closed.
fn a_thread_that_frees_a_little_gets_no_cache_by_itself() {
    let threads_after = |frees: usize| {
        let held: Vec<Held> = (0..frees).map(|n| malloc(64, n as u8)).collect();
        std::thread::scope(|scope| {
            let work = move || {
                held.into_iter().for_each(Held::free);
                BED.audit().threads
            };
            scope.spawn(work).join().expect("no panic")
        })
    };
    malloc(64, 1).free();
    let before = BED.audit().threads;
    assert_eq!(threads_after(16), before);
    assert_eq!(threads_after(17), before + 1);
    assert_eq!(BED.audit().threads, before);
}

#[test]
fn all_threads_are_told_that_memory_waits() {
    BED.alone(all_threads_are_told_that_memory_waits_by_itself);
}

/// A thread that its own lists serve would look at no clock, so the thread that sees memory wait shuts them.
fn all_threads_are_told_that_memory_waits_by_itself() {
    Preload::purge();
    until_served(true, 64);
    // Two threads that have ended: one of their caches waits for a thread all the time.
    let both = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        let work = || {
            malloc(64, 1).free();
            both.wait();
        };
        join_all([(); 2].map(|()| scope.spawn(work)));
    });
    let (asks, asked) = mpsc::channel();
    let (says, said) = mpsc::channel();
    let other = std::thread::spawn(move || {
        until_served(true, 64);
        asked.into_iter().for_each(|()| says.send(is_served()).expect("somebody listens"));
    });
    let is_other_served = || {
        asks.send(()).expect("the thread runs");
        said.recv().expect("the thread runs")
    };
    assert!(is_other_served());
    let held: Vec<Held> = (0..200).map(|_| malloc(120_000, 3)).collect();
    assert!(is_other_served());
    held.into_iter().for_each(Held::free);
    until_served(false, 120_000);
    assert!(!is_other_served());
    // The audit opens lists, unless memory waits.
    BED.audit();
    assert!(!is_served());
    Preload::purge();
    until_served(true, 64);
    // The next thread gets the cache that waited, whose lists nobody shut.
    let work = || {
        malloc(64, 1).free();
        BED.audit();
        assert!(is_served());
    };
    std::thread::spawn(work).join().expect("no panic");
    drop(asks);
    other.join().expect("no panic");
    Preload::purge();
}

#[test]
fn a_thread_that_has_closed_its_cache_has_none() {
    BED.alone(a_thread_that_has_closed_its_cache_has_none_by_itself);
}

/// Its cache waits for the next thread, which takes it while the first one is not yet at its end. As many threads come as
/// may find a cache there.
fn a_thread_that_has_closed_its_cache_has_none_by_itself() {
    use std::ffi::c_void;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const NEXT: usize = 32;

    /// What a key's destructor finds: it runs again as long as it sets its value.
    struct Late {
        key: libc::pthread_key_t,
        runs: AtomicUsize,
        found: AtomicUsize,
        turns: Barrier,
    }

    unsafe extern "C" fn run(value: *mut c_void) {
        // SAFETY: the value is a `Late` that outlives the threads.
        let late = unsafe { &*value.cast::<Late>() };
        // ORDERING: relaxed; one thread counts.
        if late.runs.fetch_add(1, Ordering::Relaxed) == 0 {
            // The cache may be open yet. Its destructor runs before the second run of this one.
            // SAFETY: the key exists.
            unsafe { libc::pthread_setspecific(late.key, value) };
            return;
        }
        late.turns.wait();
        late.turns.wait();
        // ORDERING: relaxed; the thread's end comes before the look at it.
        late.found.store(Preload::quick(64).addr(), Ordering::Relaxed);
        late.turns.wait();
    }
    // Lists that are shut serve nobody.
    Preload::purge();
    let mut key = 0;
    // SAFETY: `key` is writable and the callback lives forever.
    assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(run)) }, 0);
    let (runs, found) = (AtomicUsize::new(0), AtomicUsize::new(1));
    let late: &'static Late =
        Box::leak(Box::new(Late { key, runs, found, turns: Barrier::new(1 + NEXT) }));
    let first = std::thread::spawn(move || {
        malloc(64, 1).free();
        // SAFETY: the key exists.
        unsafe { libc::pthread_setspecific(late.key, ptr::from_ref(late).cast()) };
    });
    let next = || {
        std::thread::spawn(move || {
            late.turns.wait();
            until_served(true, 64);
            late.turns.wait();
            late.turns.wait();
        })
    };
    let next = [(); NEXT].map(|()| next());
    first.join().expect("no panic");
    next.into_iter().for_each(|next| next.join().expect("no panic"));
    // SAFETY: no thread that has a value for it is left.
    unsafe { libc::pthread_key_delete(key) };
    // ORDERING: relaxed; the threads have ended.
    assert_eq!(late.found.load(Ordering::Relaxed), 0, "a block of the next thread's list");
}

#[test]
fn a_thread_gives_its_cache_up_once() {
    BED.alone(a_thread_gives_its_cache_up_once_by_itself);
}

/// A thread whose blocks are filled has given its cache up before its end. Another thread may have the cache then.
fn a_thread_gives_its_cache_up_once_by_itself() {
    malloc(64, 1).free();
    let before = BED.audit().threads;
    let fill = || {
        malloc(64, 1).free();
        assert!(!Preload::fill_with(1) || Preload::fill_with(0));
    };
    std::thread::spawn(fill).join().expect("no panic");
    assert_eq!(BED.audit().threads, before);
}
