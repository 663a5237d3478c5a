//! Remote frees: none is lost, whoever owns the slab, and an owner that goes leaves none behind.

use super::{check, finds_a_fault};
use crate::remote::{NO_OWNER, RemoteList};
use crate::sys::atomic::{AtomicBool, AtomicU64, Ordering};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

const BLOCKS: usize = 2;

/// A slab with its blocks' links, as plain memory that loom watches.
struct Slab {
    remote: RemoteList,
    links: [UnsafeCell<Option<u16>>; BLOCKS],
    /// The owner's flag, as in the heap.
    pending: AtomicBool,
}

impl Slab {
    fn owned_by(owner: u32) -> Arc<Self> {
        Arc::new(Self {
            remote: RemoteList::over(AtomicU64::new(u64::from(owner) << 32)),
            links: std::array::from_fn(|_| UnsafeCell::new(None)),
            pending: AtomicBool::new(false),
        })
    }

    /// Another thread's free; like the heap's, it tells the owner of the first block.
    fn free(&self, block: u16) {
        let pushed = self.remote.push(block, |next| {
            // SAFETY: under test; loom reports a second thread in here.
            self.links[usize::from(block)].with_mut(|link| unsafe { *link = next });
        });
        if pushed.first && pushed.owner != NO_OWNER {
            self.pending.swap(true, Ordering::Release);
        }
    }

    /// The owner's drain; how many blocks came home.
    fn drain(&self) -> u32 {
        let taken = self.remote.take();
        let (mut at, mut blocks) = (taken.head, 0);
        while let Some(block) = at {
            blocks += 1;
            // SAFETY: as in `free`; the drain reads, and then the block is the owner's to write.
            at = self.links[usize::from(block)].with_mut(|link| unsafe { (*link).take() });
        }
        assert_eq!(blocks, taken.count, "the chain is as long as it says");
        blocks
    }

    fn freed_by_two(slab: &Arc<Self>) -> Vec<thread::JoinHandle<()>> {
        (0..BLOCKS as u16)
            .map(|block| {
                let slab = Arc::clone(slab);
                thread::spawn(move || slab.free(block))
            })
            .collect()
    }
}

fn join(threads: Vec<thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().expect("it ends"));
}

/// See the name.
pub fn every_free_comes_home_once() {
    check(|| {
        let slab = Slab::owned_by(1);
        let threads = Slab::freed_by_two(&slab);
        let early = slab.drain();
        join(threads);
        assert_eq!(early + slab.drain(), BLOCKS as u32);
    });
}

/// The owner looks only when it was told: it is told of every block that it has not taken.
pub fn the_owner_is_told_of_every_free() {
    check(|| {
        let slab = Slab::owned_by(1);
        let threads = Slab::freed_by_two(&slab);
        let mut home = 0;
        let mut look = || {
            if slab.pending.swap(false, Ordering::Acquire) {
                home += slab.drain();
            }
        };
        look();
        join(threads);
        look();
        assert_eq!(home, BLOCKS as u32, "a free is waiting, and nobody knows");
    });
}

/// The owner goes, and another adopts, while blocks are freed: whoever comes last has them all.
fn owner_goes(abandon: fn(&Slab) -> bool) {
    let slab = Slab::owned_by(1);
    let threads = Slab::freed_by_two(&slab);
    let mut home = 0;
    loop {
        home += slab.drain();
        if abandon(&slab) {
            break;
        }
    }
    // What came before the owner went has been taken; nothing is left for nobody to find.
    let waiting = slab.remote.count();
    assert!(home + waiting <= BLOCKS as u32);
    assert!(slab.remote.adopt(2), "it has no owner");
    home += slab.drain();
    join(threads);
    home += slab.drain();
    assert_eq!(home, BLOCKS as u32, "a free is lost");
    assert_eq!(slab.remote.owner(), 2);
}

/// See the name.
pub fn no_free_is_lost_when_the_owner_goes() {
    check(|| owner_goes(|slab| slab.remote.abandon(1)));
}

/// The guard is that leaving checks for waiting blocks in the same operation.
pub fn leaving_without_a_look_loses_frees() {
    assert!(finds_a_fault(|| {
        owner_goes(|slab| {
            slab.remote.assign(NO_OWNER);
            true
        });
    }));
}
