//! An epoch: a few threads come, allocate and free, and go; meanwhile the first thread forks, or purges.

use crate::block::{Block, LEAST};
use crate::table::Table;
use hakmem::Observe;
use hdrhistogram::Histogram;
use std::ptr;
use std::time::Instant;

const THREADS: u64 = 4;
/// Operations of a thread in an epoch.
const OPERATIONS: u64 = 10_000;
/// Epochs in which the sizes stay as they are, and epochs in which the limit does.
const PHASE: u64 = 6;
const LIMITED: u64 = 10;
/// The limit: less than the blocks may take with all that waits to be purged.
const LIMIT: usize = 112 << 20;

/// The smallest and the largest size of most blocks, by phase.
const SIZES: [(usize, usize); 4] = [(16, 512), (200, 8000), (30_000, 300_000), (16, 60_000)];
/// The smallest and the largest size of the others.
const ANY: (usize, usize) = (16, 6 << 20);

/// What an epoch does.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    seed: u64,
    sizes: (usize, usize),
    is_limited: bool,
    forks: bool,
    purges: bool,
}

impl Plan {
    pub(crate) fn of(epoch: u64, seed: u64) -> Self {
        Self {
            seed: seed ^ (epoch + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15),
            sizes: SIZES[(epoch / PHASE) as usize % SIZES.len()],
            is_limited: epoch / LIMITED % 2 == 1,
            forks: epoch % 3 == 1,
            purges: epoch % 5 == 2,
        }
    }
}

/// What some epochs took.
pub(crate) struct Took {
    pub(crate) operations: u64,
    pub(crate) threads: u64,
    pub(crate) forks: u64,
    pub(crate) nulls: u64,
    /// Nanoseconds of each call of the allocator since the last sample.
    pub(crate) times: Histogram<u64>,
}

impl Default for Took {
    fn default() -> Self {
        // From a nanosecond to a minute.
        let times = Histogram::new_with_bounds(1, 60_000_000_000, 3);
        let times = times.expect("three digits can be had");
        Self { operations: 0, threads: 0, forks: 0, nulls: 0, times }
    }
}

impl Took {
    pub(crate) fn add(&mut self, other: Self) {
        self.operations += other.operations;
        self.threads += other.threads;
        self.forks += other.forks;
        self.nulls += other.nulls;
        self.times += other.times;
    }

    pub(crate) fn begin_sample(&mut self) {
        self.times.reset();
    }
}

/// Random numbers (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 20) % end
    }

    /// A size between two, each order of magnitude as often.
    fn size(&mut self, (least, most): (usize, usize)) -> usize {
        let ratio = most as f64 / least as f64;
        let part = self.below(1 << 20) as f64 / f64::from(1 << 20);
        ((least as f64 * ratio.powf(part)) as usize).max(LEAST)
    }
}

pub(crate) fn run<V: Observe>(table: &Table<V>, plan: Plan) -> Result<Took, String> {
    let is_limited = V::set_limit(if plan.is_limited { LIMIT } else { 0 }) && plan.is_limited;
    let mut sum = Took::default();
    let parts: Vec<Result<Took, String>> = std::thread::scope(|scope| {
        let start = |thread: u64| {
            let random = Random(plan.seed ^ (thread + 1).wrapping_mul(0xD1B5_4A32_D192_ED03) | 1);
            scope.spawn(move || work(table, plan.sizes, is_limited, random))
        };
        let threads: Vec<_> = (0..THREADS).map(start).collect();
        if plan.forks {
            sum.forks += 1;
            if let Err(message) = fork::<V>() {
                return vec![Err(message)];
            }
        }
        if plan.purges {
            V::purge();
        }
        // A join waits for the whole end of a thread, also for that of its cache.
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked")?).collect()
    });
    for part in parts {
        sum.add(part?);
    }
    sum.threads = THREADS;
    Ok(sum)
}

fn work<V: Observe>(
    table: &Table<V>,
    sizes: (usize, usize),
    is_limited: bool,
    mut random: Random,
) -> Result<Took, String> {
    let mut took = Took { operations: OPERATIONS, ..Took::default() };
    let null = |took: &mut Took, size: usize| {
        took.nulls += 1;
        if is_limited {
            Ok(())
        } else {
            Err(format!("no memory for {size} bytes, without a limit"))
        }
    };
    for _ in 0..OPERATIONS {
        let place = random.next();
        let range = if random.below(200) == 0 { ANY } else { sizes };
        let size = random.size(range);
        let old = table.swap(place, ptr::null_mut());
        if let Some(block) = old {
            // SAFETY: `fill` wrote the block, which only this thread has now.
            let old_size = unsafe { block.check(usize::MAX) }?;
            if random.below(8) > 0 || !table.has_room(size) {
                timed(&mut took, || table.free(block, old_size));
                continue;
            }
            let moved = timed(&mut took, || table.resize(block, old_size, size));
            let kept = if moved.is_null() { block } else { Block(moved) };
            let kept_size = if moved.is_null() { old_size } else { size };
            if moved.is_null() {
                null(&mut took, size)?;
            }
            // SAFETY: `fill` wrote the block, of which these bytes are left; only this thread has it.
            unsafe { kept.check(kept_size.min(old_size)) }?;
            put(table, place, kept, kept_size, random.next())?;
        } else if table.has_room(size) {
            let zeroed = random.below(4) == 0;
            let block = timed(&mut took, || table.allocate(size, zeroed));
            if block.is_null() {
                null(&mut took, size)?;
                continue;
            }
            for at in [0, size / 2, size - 1].into_iter().filter(|_| zeroed) {
                // SAFETY: inside the block, all of which is zero.
                if unsafe { block.wrapping_add(at).read() } != 0 {
                    return Err(format!("byte {at} of {size} is not zero"));
                }
            }
            put(table, place, Block(block), size, random.next())?;
        }
    }
    Ok(took)
}

/// Fills a block, and puts it in its place. What another thread has put there meanwhile is freed.
fn put<V: Observe>(
    table: &Table<V>,
    place: u64,
    block: Block,
    size: usize,
    mark: u64,
) -> Result<(), String> {
    // SAFETY: the block has that many bytes, and only this thread has it.
    unsafe { block.fill(size, mark) };
    table.spoil(block, size);
    if let Some(other) = table.swap(place, block.0) {
        // SAFETY: `fill` wrote the block, which only this thread has now.
        let size = unsafe { other.check(usize::MAX) }?;
        table.free(other, size);
    }
    Ok(())
}

fn timed<R>(took: &mut Took, call: impl FnOnce() -> R) -> R {
    let before = Instant::now();
    let result = call();
    took.times.saturating_record(before.elapsed().as_nanos() as u64);
    result
}

/// Forks. The child allocates and frees at once, whatever the other threads were doing, and ends.
fn fork<V: Observe>() -> Result<(), String> {
    // SAFETY: the child calls nothing but the variant under test, and ends.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let code = i32::from(!lives::<V>());
        // SAFETY: ends the child.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: it writes the status.
    let ended = pid > 0 && unsafe { libc::waitpid(pid, &raw mut status, 0) } == pid;
    if ended && status == 0 {
        Ok(())
    } else {
        Err(format!("a fork's child ended with {status:#x}"))
    }
}

/// Allocates, checks and frees blocks of all sizes; false if one is wrong. Null is right: there may be a limit.
fn lives<V: Observe>() -> bool {
    (0..200_usize).all(|n| {
        let size = LEAST + (n * n * 7) % 100_000 + n / 199 * (2 << 20);
        // SAFETY: the size is not 0.
        let block = unsafe { V::default().alloc(crate::block::layout(size)) };
        if block.is_null() {
            return true;
        }
        // SAFETY: the block has that many bytes, and only this thread has it.
        unsafe { Block(block).fill(size, n as u64) };
        // SAFETY: written above.
        let is_right = unsafe { Block(block).check(size) }.is_ok();
        // SAFETY: live, with this layout.
        unsafe { V::default().dealloc(block, crate::block::layout(size)) };
        is_right
    })
}
