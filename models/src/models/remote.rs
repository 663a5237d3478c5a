//! Remote frees: none is lost, whoever owns the slab, and an owner that goes leaves none behind.

use super::{check, finds_a_fault};
use crate::claim::ClaimMask;
use crate::flag::Flag;
use crate::remote::{NO_OWNER, RemoteList};
use crate::sys::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

const BLOCKS: usize = 2;

/// A slab with its blocks' links, as plain memory that loom watches.
struct Slab {
    remote: RemoteList,
    links: [UnsafeCell<Option<u16>>; BLOCKS],
    /// The owner's flag, as in the heap.
    pending: Flag,
    /// For the flag without its guard.
    plain: AtomicBool,
}

impl Slab {
    fn owned_by(owner: u32) -> Arc<Self> {
        Arc::new(Self {
            remote: RemoteList::over(AtomicU64::new(u64::from(owner) << 32)),
            links: std::array::from_fn(|_| UnsafeCell::new(None)),
            pending: Flag::over(AtomicBool::new(false)),
            plain: AtomicBool::new(false),
        })
    }

    /// Another thread's free; like the heap's, it tells the owner of the first block.
    fn free(&self, block: u16) {
        let pushed = self.remote.push(block, |next| {
            // SAFETY: under test; loom reports a second thread in here.
            self.links[usize::from(block)].with_mut(|link| unsafe { *link = next });
        });
        if pushed.first && pushed.owner != NO_OWNER {
            self.pending.raise();
            // ORDERING: release, paired with the acquire of the look that clears it.
            self.plain.swap(true, Ordering::Release);
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

    /// The owner's drain after a look, as in `drain_slab`.
    fn drain_if_any(&self) -> u32 {
        if self.remote.count() == 0 { 0 } else { self.drain() }
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

/// The owner looks only when it was told, by `look`; afterwards nothing may be waiting.
fn told(look: fn(&Slab) -> u32) {
    let slab = Slab::owned_by(1);
    let threads = Slab::freed_by_two(&slab);
    let early = look(&slab);
    join(threads);
    let late = look(&slab);
    assert_eq!(early + late, BLOCKS as u32, "a free is waiting, and nobody knows");
}

/// It is told of every block that it has not taken.
pub fn the_owner_is_told_of_every_free() {
    check(|| {
        told(|slab| if slab.pending.take() { slab.drain_if_any() } else { 0 });
    });
}

/// The guard is that the flag is cleared before the slab is looked at.
pub fn clearing_the_flag_last_loses_the_wake() {
    assert!(finds_a_fault(|| {
        told(|slab| {
            // ORDERING: acquire, paired with the release in `free`.
            if !slab.plain.load(Ordering::Acquire) {
                return 0;
            }
            let home = slab.drain();
            // ORDERING: acquire, paired with the release in `free`; too late, which is the fault.
            slab.plain.swap(false, Ordering::Acquire);
            home
        });
    }));
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

/// A thread frees a block of a slab without an owner, while another one adopts the slab. If the push names the new owner,
/// the thread finds what the owner wrote before: its heap, where it is to be told.
pub fn a_push_finds_the_owner_s_heap() {
    check(|| {
        let slab = Slab::owned_by(NO_OWNER);
        let heap = Arc::new(UnsafeCell::new(0));
        let owner = {
            let (slab, heap) = (Arc::clone(&slab), Arc::clone(&heap));
            thread::spawn(move || {
                // SAFETY: under test; loom reports a second thread in here.
                heap.with_mut(|heap| unsafe { *heap = 7 });
                assert!(slab.remote.adopt(2), "it has no owner");
            })
        };
        let pushed = slab.remote.push(0, |_| {});
        if pushed.owner == 2 {
            // SAFETY: as above.
            assert_eq!(heap.with(|heap| unsafe { *heap }), 7, "R2: an owner without a heap");
        }
        owner.join().expect("it ends");
    });
}

/// An owner goes, and another thread adopts the slab, by nothing but the list's word. A block is freed in between.
pub fn an_adopter_sees_what_the_last_owner_did() {
    check(|| {
        let slab = Slab::owned_by(1);
        let owned = Arc::new(UnsafeCell::new(0));
        let adopter = {
            let (slab, owned) = (Arc::clone(&slab), Arc::clone(&owned));
            thread::spawn(move || {
                let is_mine = slab.remote.adopt(2);
                if is_mine {
                    // SAFETY: under test; loom reports a second thread in here.
                    owned.with_mut(|owned| unsafe { *owned += 1 });
                }
                u32::from(is_mine)
            })
        };
        let freer = {
            let slab = Arc::clone(&slab);
            thread::spawn(move || slab.free(0))
        };
        // SAFETY: as above; it is this thread's until it leaves the slab.
        owned.with_mut(|owned| unsafe { *owned += 1 });
        let mut home = 0;
        while !slab.remote.abandon(1) {
            home += slab.drain();
        }
        let adopted = adopter.join().expect("it ends");
        freer.join().expect("it ends");
        assert_eq!(slab.remote.owner(), 2 * adopted, "R2: the slab has another owner");
        assert_eq!(home + slab.drain(), 1, "R1: a free is lost");
    });
}

/// A thread ends: it leaves a slab in part-use on offer, and two threads that look for one claim it
/// while a block of it is freed. One of them has it, with what its last owner did to it.
pub fn an_orphan_is_adopted_once() {
    struct Orphan {
        slab: Arc<Slab>,
        orphans: ClaimMask,
        /// The slab's own fields, which only its owner touches.
        owned: UnsafeCell<u32>,
    }
    check(|| {
        let orphan = Arc::new(Orphan {
            slab: Slab::owned_by(1),
            orphans: ClaimMask::over(AtomicU32::new(0)),
            owned: UnsafeCell::new(0),
        });
        let adopt = |orphan: &Orphan, me: u32| {
            let won = orphan.orphans.claim(1);
            if won {
                assert!(orphan.slab.remote.adopt(me), "it has no owner");
                // SAFETY: under test; loom reports a second thread in here.
                orphan.owned.with_mut(|owned| unsafe { *owned += 1 });
            }
            u32::from(won)
        };
        let seeker = {
            let orphan = Arc::clone(&orphan);
            thread::spawn(move || adopt(&orphan, 2))
        };
        let freer = {
            let slab = Arc::clone(&orphan.slab);
            thread::spawn(move || slab.free(0))
        };
        // SAFETY: as above; it is this thread's until it is offered.
        orphan.owned.with_mut(|owned| unsafe { *owned += 1 });
        let mut home = orphan.slab.drain();
        while !orphan.slab.remote.abandon(1) {
            home += orphan.slab.drain();
        }
        orphan.orphans.offer(1);
        let won = seeker.join().expect("it ends");
        freer.join().expect("it ends");
        assert_eq!(won + adopt(&orphan, 3), 1, "an orphan is adopted twice, or lost");
        assert_eq!(home + orphan.slab.drain(), 1, "a free is lost");
    });
}
