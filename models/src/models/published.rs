//! Published pointers: one leaf stays, and who finds it finds what was done to it before.

use super::{check, finds_a_fault};
use crate::published::Published;
use crate::sys::atomic::{AtomicPtr, AtomicU32, Ordering};
use loom::sync::Arc;
use loom::thread;
use std::ptr;

struct Leaf {
    /// Written before the leaf is put into its place; by itself it orders nothing.
    made_by: AtomicU32,
    /// What is noted in it afterwards.
    notes: AtomicU32,
}

struct Shared {
    place: Published<Leaf>,
    /// For the place without its guard.
    plain: AtomicPtr<Leaf>,
    leaves: [Leaf; 2],
}

/// How a leaf is put into the place, and looked for.
type Put = fn(&Shared, *mut Leaf) -> bool;
type Get = fn(&Shared) -> *mut Leaf;

/// Two threads that miss a leaf make one each, and note something in the one that is there then; a third looks.
fn contend(put: Put, get: Get) {
    let leaf = || Leaf { made_by: AtomicU32::new(0), notes: AtomicU32::new(0) };
    let shared = Arc::new(Shared {
        place: Published::over(AtomicPtr::new(ptr::null_mut())),
        plain: AtomicPtr::new(ptr::null_mut()),
        leaves: [leaf(), leaf()],
    });
    let threads: Vec<_> = (0..2)
        .map(|number: u32| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let own = &shared.leaves[number as usize];
                if get(&shared).is_null() {
                    own.made_by.store(number + 1, Ordering::Relaxed);
                    put(&shared, ptr::from_ref(own).cast_mut());
                }
                // SAFETY: a leaf of `shared`, which lives; somebody has put one there.
                let leaf = unsafe { &*get(&shared) };
                leaf.notes.fetch_or(1 << number, Ordering::Relaxed);
            })
        })
        .collect();
    let looker = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || look(&shared, get))
    };
    looker.join().expect("it ends");
    for thread in threads {
        thread.join().expect("it ends");
    }
    let notes = look(&shared, get).expect("a leaf");
    assert_eq!(notes, 0b11, "a note is in a leaf that nobody finds");
}

/// The notes in the leaf that is there, which somebody has made.
fn look(shared: &Shared, get: Get) -> Option<u32> {
    // SAFETY: null, or a leaf of `shared`, which lives.
    let leaf = unsafe { get(shared).as_ref() }?;
    assert_ne!(leaf.made_by.load(Ordering::Relaxed), 0, "an unmade leaf");
    Some(leaf.notes.load(Ordering::Relaxed))
}

/// See the name.
pub fn one_leaf_stays_and_is_whole() {
    check(|| contend(|shared, leaf| shared.place.put(leaf), |shared| shared.place.get()));
}

/// Without the compare-and-swap, a second leaf takes the place of one in which something is noted.
pub fn a_plain_store_loses_notes() {
    assert!(finds_a_fault(|| contend(
        |shared, leaf| {
            shared.plain.store(leaf, Ordering::Release);
            true
        },
        |shared| shared.plain.load(Ordering::Acquire),
    )));
}

/// Who looks without the acquire may find a leaf that is not made yet.
pub fn a_relaxed_look_finds_an_unmade_leaf() {
    assert!(finds_a_fault(|| contend(
        |shared, leaf| shared.place.put(leaf),
        |shared| shared.place.peek(),
    )));
}

/// A thread sets one thing after another; a second one that finds a thing finds it made.
pub fn what_is_set_is_whole() {
    check(|| {
        let thing = || Leaf { made_by: AtomicU32::new(0), notes: AtomicU32::new(0) };
        let place = Published::over(AtomicPtr::new(ptr::null_mut()));
        let shared = Arc::new((place, [thing(), thing()]));
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for (number, thing) in (1..).zip(&shared.1) {
                    thing.made_by.store(number, Ordering::Relaxed);
                    shared.0.set(ptr::from_ref(thing).cast_mut());
                }
            })
        };
        // SAFETY: null, or a thing of `shared`, which lives.
        if let Some(thing) = unsafe { shared.0.get().as_ref() } {
            assert_ne!(thing.made_by.load(Ordering::Relaxed), 0, "F2: an unmade thing");
        }
        other.join().expect("it ends");
        // SAFETY: null, or a thing of `shared`, which lives.
        let last = unsafe { shared.0.get().as_ref() }.expect("a thing");
        assert_eq!(last.made_by.load(Ordering::Relaxed), 2, "the newest thing");
    });
}
