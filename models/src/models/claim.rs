//! Claim masks: an offer is won once, and the winner sees what the giver did.

use super::{check, finds_a_fault};
use crate::claim::ClaimMask;
use crate::sys::atomic::{AtomicU32, Ordering};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

const BIT: u32 = 0b10;

/// The giver writes to a slab, offers it; two threads claim it with `claim`. Who wins writes too.
fn contend(claim: fn(&ClaimMask, &AtomicU32) -> bool) {
    struct Shared {
        mask: ClaimMask,
        /// For the claim without its guard: a plain copy of the bits.
        plain: AtomicU32,
        slab: UnsafeCell<u32>,
    }
    let shared = Arc::new(Shared {
        mask: ClaimMask::over(AtomicU32::new(0)),
        plain: AtomicU32::new(0),
        slab: UnsafeCell::new(0),
    });
    let take = move |shared: &Shared| {
        let won = claim(&shared.mask, &shared.plain);
        if won {
            // SAFETY: under test; loom reports a second thread in here.
            shared.slab.with_mut(|slab| unsafe { *slab += 1 });
        }
        u32::from(won)
    };
    let claimers: Vec<_> = (0..2)
        .map(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || take(&shared))
        })
        .collect();
    // SAFETY: as above.
    shared.slab.with_mut(|slab| unsafe { *slab += 1 });
    shared.mask.offer(BIT);
    shared.plain.store(BIT, Ordering::Release);
    let won: u32 = claimers.into_iter().map(|thread| thread.join().expect("it ends")).sum();
    assert!(won <= 1, "two winners");
    assert_eq!(won + take(&shared), 1, "an offer is lost");
}

/// See the name.
pub fn an_offer_is_won_once() {
    check(|| contend(|mask, _| mask.claim(BIT)));
}

/// The guard is that looking and clearing is one operation.
pub fn looking_first_and_clearing_then_has_two_winners() {
    assert!(finds_a_fault(|| {
        contend(|_, plain| {
            let bits = plain.load(Ordering::Acquire);
            if bits & BIT != 0 {
                plain.store(bits & !BIT, Ordering::Release);
            }
            bits & BIT != 0
        });
    }));
}
