//! Beside the slabs: sampled blocks. One block in some thousands gets pages of its own, between pages that no access
//! reaches. So an access past its end, or after it was freed, is a fault, which a report explains.
//!
//! ```text
//!        closed │ open                │ closed          at the end, or else at the beginning, by chance
//!  ─────────────┼─────────────────────┼──────────────
//!               │ pattern │ block     │                 the pattern shows, when the block is freed, that bytes beside
//!  ─────────────┼─────────────────────┼──────────────   the block were written
//! ```
//!
//! | file | |
//! |---|---|
//! | `mod.rs` | a variant's samples: the pool is made, and its lock taken |
//! | `pool.rs` | blocks come and go |
//! | `slots.rs` | the addresses of the pool, and what is known of each slot |
//! | `gap.rs` | the blocks between two samples |
//! | `chain.rs` | the list of all pools |
//! | `trace.rs` | stack traces |
//! | `report.rs` | what is said of a misuse |
//!
//! The pool is made when sampling is switched on. A freed block's pages stay closed until all other free slots of its
//! kind were used since.
//!
//! SP2  Each slice of the pool is `Sampled` in the page map, from before its first block until the variant is released.
//!
//! Source: Serebryany et al., "GWP-ASan: Sampling-Based Detection of Memory-Safety Bugs in Production", 2023.
//! Never: is asked on a hit.

mod chain;
mod gap;
mod pool;
mod report;
mod slots;
mod trace;

pub(crate) use gap::{gap, next};

use crate::base::{PAGE_BYTES, rank};
use crate::batch::Batch;
use crate::page_map::{Kind, PageMap};
use crate::sys::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use crate::sys::lock::Lock;
use crate::sys::published::Published;
use crate::sys::segv::{self, Fault};
use crate::sys::{pages, reserved, thread};
use chain::{Chain, Chained};
use core::ptr::{self, NonNull};
use pool::Pool;
use report::{Access, Misuse};
use slots::{BYTES, SLICES};

/// The sampled blocks of one variant. All bytes zero is a pool that was never used.
pub(crate) struct Sampled {
    /// Guards the pool's content.
    lock: Lock<{ rank::SAMPLED }>,
    /// Blocks from one sample to the next, on average; 0 while no block is sampled. [shared]
    mean: AtomicU32,
    /// The first address of the pool; 0 before its first use. [shared]
    start: AtomicUsize,
    /// The pool; null before its first use. [shared]
    pool: Published<Pool>,
    /// Link in the list of all pools in use. [shared]
    next: Chain<Self>,
}

/// The pools in use, of all variants: the handler of a fault looks for its address there. [shared]
static POOLS: Chain<Sampled> = Chain::over(AtomicPtr::new(ptr::null_mut()));

impl Chained for Sampled {
    fn link(&self) -> &Chain<Self> {
        &self.next
    }
}

impl Sampled {
    pub(crate) const fn new() -> Self {
        Self {
            lock: Lock::over(AtomicU32::new(0)),
            mean: AtomicU32::new(0),
            start: AtomicUsize::new(0),
            pool: Published::over(AtomicPtr::new(ptr::null_mut())),
            next: Chain::over(AtomicPtr::new(ptr::null_mut())),
        }
    }

    /// Blocks from one sample to the next, on average; 0 while no block is sampled.
    pub(crate) fn mean(&self) -> u32 {
        // ORDERING: relaxed; a setting. A thread that samples a block looks for the pool under the lock.
        self.mean.load(Ordering::Relaxed)
    }

    /// True if blocks were ever sampled: some may still be out.
    #[inline]
    pub(crate) fn is_used(&self) -> bool {
        self.start() != 0
    }

    #[inline]
    fn start(&self) -> usize {
        // ORDERING: relaxed; a thread that has a sampled block got it through a chain of synchronisation that starts
        // after the store in `set_up`. The number is compared with addresses, and leads nowhere.
        self.start.load(Ordering::Relaxed)
    }

    /// True if an address lies in the pool.
    #[inline]
    pub(crate) fn has(&self, address: usize) -> bool {
        self.is_used() && address.wrapping_sub(self.start()) < BYTES
    }

    /// Samples one block in so many from now on; 0 samples none. False if that is impossible: memory is exhausted, or
    /// the kernel refuses the handler of faults.
    pub(crate) fn switch(&'static self, mean: u32, map: &PageMap) -> bool {
        let is_ready = mean == 0
            || segv::install(answer) && self.lock.with(|| self.is_used() || self.set_up(map));
        if is_ready {
            // ORDERING: relaxed, as in `mean`.
            self.mean.store(mean, Ordering::Relaxed);
        }
        is_ready
    }

    /// Makes the pool. With the lock held.
    fn set_up(&'static self, map: &PageMap) -> bool {
        self.lock.check_held();
        let Some(addresses) = reserved::reserve(BYTES, slots::ALIGN) else { return false };
        let start = addresses.expose_provenance().get();
        let pool = if map.cover(start) { pages::map(size_of::<Pool>()) } else { None };
        let Some(pool) = pool.map(NonNull::cast::<Pool>) else {
            // SAFETY: reserved above, and no other code knows of it.
            unsafe { pages::unmap(addresses, BYTES) };
            return false;
        };
        // SAFETY: fresh pages, large enough, aligned to a page. All bytes zero is an empty pool.
        unsafe { pool.as_ref() }.start.set(start);
        map.note_slices(start, SLICES + 1, Kind::Sampled);
        // What is written above comes before any use of the pool (F2).
        self.pool.set(pool.as_ptr());
        // ORDERING: relaxed, as in `start`.
        self.start.store(start, Ordering::Relaxed);
        POOLS.add(self);
        true
    }

    /// The pool, once blocks were sampled.
    fn pool(&self) -> Option<&Pool> {
        // SAFETY: null, or what `set_up` mapped, which stays until the variant is released. Its fields are cells, which
        // are touched with the lock held.
        unsafe { self.pool.get().as_ref() }
    }

    /// A block with pages of its own, all zero; it lies at their end, or else at their beginning. `None` if it is too
    /// large, or too many are in use.
    #[cold]
    #[inline(never)]
    pub(crate) fn allocate(&self, size: usize, align: usize, at_end: bool) -> Option<NonNull<u8>> {
        self.lock.with(|| self.pool()?.allocate(size.max(1), align, at_end))
    }

    /// Takes a block back, and closes its pages. A misuse ends the process with a report.
    #[cold]
    #[inline(never)]
    pub(crate) fn free(&self, address: usize) {
        let ended = self.lock.with(|| {
            let pool = self.pool()?;
            let misuse = pool.free(address)?;
            report::of(pool, &misuse);
            Some(())
        });
        if ended.is_some() {
            std::process::abort();
        }
    }

    /// Size and alignment of a block in use, as asked for. Any other address ends the process with a report.
    pub(crate) fn layout(&self, address: usize) -> (usize, usize) {
        let layout = self.lock.with(|| {
            let pool = self.pool()?;
            match pool.live(address) {
                Ok(slot) => Some((slot.size.get(), slot.align.get())),
                Err(what) => {
                    let what = if what == report::DOUBLE { report::LATE } else { what };
                    let trace = pool.here();
                    let access = Access::Use;
                    report::of(pool, &Misuse { what, address, access, trace, slot: None });
                    None
                }
            }
        });
        layout.unwrap_or_else(|| std::process::abort())
    }

    /// True if a block in use starts at an address.
    pub(crate) fn is_live(&self, address: usize) -> bool {
        self.lock.with(|| self.pool().is_some_and(|pool| pool.live(address).is_ok()))
    }

    /// The blocks in use, their bytes, and the bytes of their pages. With the lock held, or when no other thread is at
    /// work.
    pub(crate) fn in_use(&self) -> (usize, usize, usize) {
        let of = |pool: &Pool| (pool.live.get(), pool.bytes.get(), pool.open.get() * PAGE_BYTES);
        self.pool().map_or((0, 0, 0), of)
    }

    /// Takes the sampled blocks out of a batch that goes home.
    #[cold]
    #[inline(never)]
    pub(crate) fn bring_home(&self, batch: &mut Batch) {
        let is_sampled = |address| usize::from(self.has(address));
        batch.offer_runs(is_sampled, |blocks| {
            let is_sampled = blocks.first().is_some_and(|block| self.has(block.address()));
            if is_sampled {
                blocks.iter().for_each(|block| self.free(block.address()));
            }
            is_sampled
        });
    }

    /// Takes the lock, before a fork.
    pub(crate) fn lock(&self) {
        self.lock.lock();
    }

    /// Gives the lock up, after a fork.
    pub(crate) fn unlock(&self) {
        self.lock.unlock();
    }

    /// Unmaps the pool.
    ///
    /// # Safety
    /// No code refers to a block of the variant, or will ask for one. No other thread runs code of the object.
    pub(crate) unsafe fn release(&'static self) {
        let Some(pool) = self.pool() else { return };
        if POOLS.remove(self) {
            segv::remove();
        }
        if let Some(addresses) = NonNull::new(ptr::with_exposed_provenance_mut(pool.start.get())) {
            // SAFETY: `set_up` reserved them, and no code refers to a block, by the caller's condition.
            unsafe { pages::unmap(addresses, BYTES) };
        }
        // SAFETY: `set_up` mapped it, and no code uses it from now on.
        unsafe { pages::unmap(NonNull::from(pool).cast(), size_of::<Pool>()) };
    }
}

/// Answers for a fault: true if it was in a pool. The report is written then.
fn answer(fault: Fault) -> bool {
    let sampled = POOLS.iter().find(|sampled| sampled.has(fault.address));
    sampled.inspect(|sampled| sampled.explain(fault)).is_some()
}

/// Times that the handler of a fault tries to get the lock. The thread that faulted may itself hold it.
const TRIES: u32 = 1000;

impl Sampled {
    /// Writes the report of a fault in the pool.
    fn explain(&self, fault: Fault) {
        let has_lock = (0..TRIES).any(|_| {
            let has_lock = self.lock.try_lock();
            if !has_lock {
                thread::give_way();
            }
            has_lock
        });
        if let Some(pool) = self.pool() {
            report::of(pool, &pool.misuse_by(fault));
        }
        if has_lock {
            self.lock.unlock();
        }
    }
}

#[cfg(test)]
mod tests;
