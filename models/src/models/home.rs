//! Homes of slabs: a slab without one goes to a single arena, which sees what the last home did to it.

use super::{check, finds_a_fault};
use crate::base::ArenaIdx;
use crate::home::Home;
use crate::sys::atomic::{AtomicU8, Ordering};
use loom::cell::UnsafeCell;
use loom::sync::{Arc, Mutex};
use loom::thread;

/// The arena whose slab it is at first, and two that bring blocks home to it.
const ARENAS: usize = 3;

/// A slab with a block at home, and the arenas' locks.
struct Slab {
    home: Home,
    /// For the homes without their guard: an arena's number plus one, as in `home`.
    plain: AtomicU8,
    /// Blocks at home; loom watches who touches them.
    blocks: UnsafeCell<u32>,
    locks: [Mutex<()>; ARENAS],
}

/// How an arena ends its being home, and how another one makes the slab its own.
type Leave = fn(&Slab);
type Belongs = fn(&Slab, ArenaIdx) -> bool;

impl Slab {
    fn new() -> Arc<Self> {
        let slab = Self {
            home: Home::over(AtomicU8::new(0)),
            plain: AtomicU8::new(number_of(ArenaIdx::FIRST)),
            blocks: UnsafeCell::new(1),
            locks: std::array::from_fn(|_| Mutex::new(())),
        };
        slab.home.set(ArenaIdx::FIRST);
        Arc::new(slab)
    }

    /// Runs `action` with an arena's lock held.
    fn locked<R>(&self, arena: ArenaIdx, action: impl FnOnce() -> R) -> R {
        let _held = self.locks[arena.index()].lock().expect("no thread panics");
        action()
    }

    /// The first arena hands out a block, and leaves the slab if that was the last one.
    fn hand_out(&self, leave: Leave) {
        self.locked(ArenaIdx::FIRST, || {
            // SAFETY: under test; loom reports a second thread in here.
            self.blocks.with_mut(|blocks| unsafe { *blocks -= 1 });
            // SAFETY: as above.
            if self.blocks.with(|blocks| unsafe { *blocks }) == 0 {
                leave(self);
            }
        });
    }

    /// An arena brings a block home, if the slab is the arena's; says whether it is.
    fn bring_home(&self, arena: ArenaIdx, belongs: Belongs) -> bool {
        self.locked(arena, || {
            let is_home = belongs(self, arena);
            if is_home {
                // SAFETY: under test; loom reports a second thread in here.
                self.blocks.with_mut(|blocks| unsafe { *blocks += 1 });
            }
            is_home
        })
    }

    /// Blocks at home, when the other threads have ended.
    fn count(&self) -> u32 {
        // SAFETY: no other thread is left.
        self.blocks.with(|blocks| unsafe { *blocks })
    }
}

fn number_of(arena: ArenaIdx) -> u8 {
    arena.index() as u8 + 1
}

/// A thread for each arena but the first.
fn threads<R: 'static>(
    slab: &Arc<Slab>,
    turn: impl Fn(&Slab, ArenaIdx) -> R + Copy + Send + 'static,
) -> Vec<thread::JoinHandle<R>> {
    (1..ARENAS)
        .map(|arena| {
            let slab = Arc::clone(slab);
            thread::spawn(move || turn(&slab, ArenaIdx::new(arena)))
        })
        .collect()
}

/// The first arena hands out the last block and leaves; two others want the slab, and then the first one wants it back.
fn contend(leave: Leave, belongs: Belongs) {
    let slab = Slab::new();
    let others = threads(&slab, move |slab, arena| slab.bring_home(arena, belongs));
    slab.hand_out(leave);
    let wins = others.into_iter().map(|thread| u32::from(thread.join().expect("it ends")));
    let won: u32 = wins.sum();
    assert!(won <= 1, "two homes");
    let back = slab.bring_home(ArenaIdx::FIRST, belongs);
    assert_eq!(won + u32::from(back), 1, "a slab that nobody can make its own, or two homes");
    assert_eq!(slab.count(), 1, "a block is lost");
}

/// See the name.
pub fn one_arena_wins_and_sees_what_the_last_home_did() {
    check(|| contend(|slab| slab.home.leave(), |slab, arena| slab.home.belongs_to(arena)));
}

/// A thread whose own arena is not the slab's home goes where the home is, as often as it must. Every block comes home.
pub fn who_loses_finds_the_slab_in_the_winner_s_arena() {
    check(|| {
        let slab = Slab::new();
        let others = threads(&slab, |slab, mine| {
            let mut arena = mine;
            while !slab.bring_home(arena, |slab, arena| slab.home.belongs_to(arena)) {
                // Only the first arena hands blocks out here, so no other one leaves.
                assert!(arena == mine || arena == ArenaIdx::FIRST, "the winner has left");
                arena = slab.home.get().unwrap_or(mine);
            }
        });
        slab.hand_out(|slab| slab.home.leave());
        others.into_iter().for_each(|thread| thread.join().expect("it ends"));
        assert_eq!(slab.count(), ARENAS as u32 - 1, "a block is lost");
        assert!(slab.home.get().is_some(), "blocks at home, and no home");
    });
}

/// An arena that leaves without the release hides what it did.
pub fn a_relaxed_leave_hides_what_the_last_home_did() {
    assert!(finds_a_fault(|| contend(
        // ORDERING: relaxed: the fault.
        |slab| slab.plain.store(0, Ordering::Relaxed),
        |slab, arena| claim(slab, arena, Ordering::Acquire),
    )));
}

/// An arena that claims without the acquire may not see what the last home did.
pub fn a_relaxed_claim_misses_what_the_last_home_did() {
    assert!(finds_a_fault(|| contend(
        // ORDERING: release, paired with no acquire: the fault.
        |slab| slab.plain.store(0, Ordering::Release),
        |slab, arena| claim(slab, arena, Ordering::Relaxed),
    )));
}

/// As in the library, with another order.
fn claim(slab: &Slab, arena: ArenaIdx, order: Ordering) -> bool {
    // ORDERING: the caller's; relaxed where another arena was faster.
    let claimed = slab.plain.compare_exchange(0, number_of(arena), order, Ordering::Relaxed);
    claimed.is_ok() || claimed == Err(number_of(arena))
}

/// The guard is that looking and claiming is one operation.
pub fn looking_first_and_storing_has_two_homes() {
    assert!(finds_a_fault(|| contend(
        // ORDERING: release, paired with the acquire below.
        |slab| slab.plain.store(0, Ordering::Release),
        |slab, arena| {
            // ORDERING: acquire, paired with the release above.
            let number = slab.plain.load(Ordering::Acquire);
            if number == 0 {
                // ORDERING: relaxed, as in the library, which claims by an acquire alone.
                slab.plain.store(number_of(arena), Ordering::Relaxed);
            }
            number == 0 || number == number_of(arena)
        },
    )));
}
