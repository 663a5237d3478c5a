//! The pool's freelist of EMPTY slabs: EMPTY → ACTIVE → EMPTY, by threads at once.

use super::{check, finds_a_fault};
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::tagged::TaggedStack;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// A stack of slabs 1 to `SLABS`, each with what its holder writes to it.
struct Pool<const TAG_STEP: u64> {
    stack: TaggedStack<TAG_STEP>,
    links: [AtomicU32; SLABS + 1],
    slabs: [UnsafeCell<u32>; SLABS + 1],
}

const SLABS: usize = 3;

impl<const TAG_STEP: u64> Pool<TAG_STEP> {
    fn new() -> Self {
        let pool = Self {
            stack: TaggedStack::over(AtomicU64::new(0)),
            links: std::array::from_fn(|_| AtomicU32::new(0)),
            slabs: std::array::from_fn(|_| UnsafeCell::new(0)),
        };
        (1..=SLABS as u32).for_each(|slab| pool.retire(slab));
        pool
    }

    /// EMPTY → ACTIVE. Loom fails the model if another thread is touching the same slab.
    fn acquire(&self) -> Option<u32> {
        let slab = self.stack.pop(|slab| self.links[slab as usize].load(Ordering::Relaxed))?;
        // SAFETY: under test; loom reports a second thread in here.
        self.slabs[slab as usize].with_mut(|content| unsafe { *content += 1 });
        Some(slab)
    }

    /// ACTIVE → EMPTY.
    fn retire(&self, slab: u32) {
        // SAFETY: as in `acquire`.
        self.slabs[slab as usize].with_mut(|content| unsafe { *content += 1 });
        self.stack.push(slab, |next| self.links[slab as usize].store(next, Ordering::Relaxed));
    }
}

/// One thread takes two slabs and gives the first back, while another takes one: the classic ABA.
/// Afterwards each slab must be in exactly one place.
fn recycle<const TAG_STEP: u64>() {
    let pool = Arc::new(Pool::<TAG_STEP>::new());
    let other = {
        let pool = Arc::clone(&pool);
        thread::spawn(move || pool.acquire())
    };
    let first = pool.acquire();
    let second = pool.acquire();
    if let Some(slab) = first {
        pool.retire(slab);
    }
    let mut held: Vec<u32> = second.into_iter().chain(other.join().expect("it ends")).collect();
    while let Some(slab) = pool.acquire() {
        held.push(slab);
        assert!(held.len() <= SLABS, "a slab is in two places: {held:?}");
    }
    held.sort_unstable();
    assert_eq!(held, [1, 2, 3], "a slab is in two places, or in none");
}

/// See the name.
pub fn every_slab_is_in_one_place() {
    check(recycle::<1>);
}

/// See the name.
pub fn without_the_tag_two_threads_get_one_slab() {
    assert!(finds_a_fault(recycle::<0>));
}

/// Three threads, each EMPTY → ACTIVE → EMPTY.
pub fn three_threads_acquire_and_retire() {
    check(|| {
        let pool = Arc::new(Pool::<1>::new());
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let pool = Arc::clone(&pool);
                thread::spawn(move || {
                    let slab = pool.acquire().expect("there are three");
                    pool.retire(slab);
                })
            })
            .collect();
        let slab = pool.acquire().expect("there are three");
        pool.retire(slab);
        threads.into_iter().for_each(|thread| thread.join().expect("it ends"));
        assert_eq!(std::iter::from_fn(|| pool.acquire()).count(), SLABS);
    });
}
