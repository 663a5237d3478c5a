//! The soft limit: memory never passes it, waiting memory goes back first, and the handler is asked last.

use crate::testbed::{Bed, HARDENED, apex, child_succeeds, for_each_bed};
use hakmem::{Hakmem, Observe};
use std::alloc::Layout;
use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

const LIMIT: usize = 12 << 20;
/// More blocks than the limit has room for.
const MOST: usize = 1 << 20;
const SIZES: [usize; 6] = [32, 2000, 5000, 30_000, 120_000, 1 << 20];

/// Blocks, and the variant that has them.
struct Taken {
    bed: &'static Bed,
    blocks: Vec<(*mut u8, Layout)>,
}

// SAFETY: the blocks belong to the thread that holds this.
unsafe impl Send for Taken {}

impl Taken {
    fn none(bed: &'static Bed) -> Self {
        Self { bed, blocks: Vec::new() }
    }

    /// Takes a block, and writes to both ends. False if there is none.
    fn one(&mut self, size: usize) -> bool {
        let layout = Layout::from_size_align(size, 8).expect("a layout");
        // SAFETY: no size is 0.
        let block = unsafe { self.bed.allocator.alloc(layout) };
        if block.is_null() {
            return false;
        }
        for at in [0, size - 1] {
            // SAFETY: inside the block.
            unsafe { block.wrapping_add(at).write(1) };
        }
        self.blocks.push((block, layout));
        true
    }

    /// Takes blocks until there are no more; returns their bytes.
    fn all(&mut self, size: usize) -> usize {
        let before = self.blocks.len();
        while self.blocks.len() < MOST && self.one(size) {
            let counted = (self.bed.counted)();
            assert!(counted <= LIMIT, "{counted} bytes, with blocks of {size}");
        }
        (self.blocks.len() - before) * size
    }

    fn free(&mut self, keeps: usize) {
        for (block, layout) in self.blocks.drain(keeps..) {
            // SAFETY: live, with this layout.
            unsafe { self.bed.allocator.dealloc(block, layout) };
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.free(0);
    }
}

/// Sets the limit; false for a variant that has none. Sizes above the classes may be the system's.
fn sizes_under(bed: &Bed, limit: usize) -> Vec<usize> {
    (bed.purge)();
    let has_it = (bed.set_limit)(limit);
    assert_eq!(has_it, (bed.counted)() > 0 || has_it && (bed.superslabs)() == 0);
    let own = |size: &usize| {
        (bed.purge)();
        let before = (bed.counted)();
        let layout = Layout::from_size_align(*size, 8).expect("a layout");
        // SAFETY: the size is not 0.
        let block = unsafe { bed.allocator.alloc(layout) };
        let owns = (bed.counted)() >= before + *size;
        // SAFETY: live, with this layout.
        unsafe { bed.allocator.dealloc(block, layout) };
        owns
    };
    if has_it { SIZES.into_iter().filter(own).collect() } else { Vec::new() }
}

/// Blocks of each size come up to the limit, and no further. Freed ones make room for those of any other size.
fn up_to_the_limit(bed: &'static Bed) {
    let sizes = sizes_under(bed, LIMIT);
    let counts_all = bed.id == "apex" || bed.descends_from("own-large");
    assert!(!counts_all || sizes.len() == SIZES.len(), "only {sizes:?} count");
    for &size in &sizes {
        let mut taken = Taken::none(bed);
        // 2 MiB of 64 are headers; a slice of blocks of 30 000 bytes has a twelfth to spare.
        let bytes = taken.all(size);
        // A tail may cost a block a slice.
        let least = if HARDENED.contains(&bed.id) { LIMIT / 5 * 2 } else { LIMIT / 5 * 4 };
        assert!(bytes > least, "{bytes} bytes of blocks of {size}");
        assert!(!(taken.one(size) || sizes.len() == SIZES.len() && taken.one(2 << 20)));
        taken.free(taken.blocks.len() / 2);
        assert!(taken.one(size));
    }
    (bed.set_limit)(0);
    assert_eq!(bed.audit().live(), 0);
}

/// A limit below what is in use stops growth until enough is freed.
fn below_what_is_in_use(bed: &'static Bed) {
    let mut taken = Taken::none(bed);
    for size in sizes_under(bed, 0) {
        let half = |_| taken.one(size);
        assert!((0..LIMIT / 2 / size).all(half));
        (bed.set_limit)(LIMIT / 8);
        let more = (0..MOST).take_while(|_| taken.one(size)).count();
        assert!(more * size < 4 << 20, "{more} blocks of {size}");
        taken.free(LIMIT / 32 / size);
        assert!(taken.one(size), "of {size} bytes");
        taken.free(0);
        (bed.set_limit)(0);
    }
}

/// A large block that grows does so within the limit, and stays as it is where it cannot.
fn a_block_that_grows(bed: &'static Bed) {
    if sizes_under(bed, LIMIT).contains(&(1 << 20)) {
        let mut size = 40_000;
        let layout = |size| Layout::from_size_align(size, 8).expect("a layout");
        // SAFETY: the size is not 0.
        let mut block = unsafe { bed.allocator.alloc(layout(size)) };
        loop {
            // SAFETY: the block has that many bytes.
            unsafe { block.write_bytes(7, size) };
            // SAFETY: live, with this layout.
            let moved = unsafe { bed.allocator.realloc(block, layout(size), size / 8 * 9) };
            assert!((bed.counted)() <= LIMIT, "{} bytes", (bed.counted)());
            if moved.is_null() {
                break;
            }
            (block, size) = (moved, size / 8 * 9);
        }
        assert!(size > LIMIT / 3, "{size} bytes");
        // SAFETY: the block has that many bytes, all of them written.
        let bytes = unsafe { std::slice::from_raw_parts(block, size) };
        assert!(bytes.iter().all(|&byte| byte == 7));
        // SAFETY: live, with this layout.
        unsafe { bed.allocator.dealloc(block, layout(size)) };
    }
    (bed.set_limit)(0);
}

/// A large block that grows elsewhere needs room for what it grows by: its own pages move.
fn a_block_that_moves(bed: &'static Bed) {
    // Pages between fences do not move.
    let moves = bed.id == "apex" || bed.descends_from("moved-pages");
    if sizes_under(bed, 0).contains(&(1 << 20)) && moves && !bed.descends_from("fenced-large") {
        (bed.purge)();
        (bed.set_limit)(LIMIT);
        let mut taken = Taken::none(bed);
        // The second block lies in the way of the first.
        assert!(taken.one(5 << 20) && taken.one(1 << 20));
        let (block, layout) = &mut taken.blocks[0];
        let new = Layout::from_size_align(8 << 20, 8).expect("a layout");
        // SAFETY: live, with this layout.
        let moved = unsafe { bed.allocator.realloc(*block, *layout, new.size()) };
        assert!(!moved.is_null(), "{} bytes of {LIMIT}", (bed.counted)());
        (*block, *layout) = (moved, new);
        assert!((bed.counted)() <= LIMIT);
    }
    (bed.set_limit)(0);
}

/// A span grows where it is only as far as the limit allows. Checks LM1.
fn a_span_that_grows(bed: &'static Bed) {
    if sizes_under(bed, 0).contains(&120_000) {
        let mut taken = Taken::none(bed);
        assert!((0..8).all(|_| taken.one(120_000)));
        (bed.purge)();
        // No memory waits, so any more of it would be beyond the limit.
        let limit = (bed.counted)();
        (bed.set_limit)(limit);
        for (block, layout) in &mut taken.blocks {
            // SAFETY: live, with this layout.
            let moved = unsafe { bed.allocator.realloc(*block, *layout, 3 * layout.size()) };
            if !moved.is_null() {
                let new = Layout::from_size_align(3 * layout.size(), 8).expect("a layout");
                (*block, *layout) = (moved, new);
            }
            let counted = (bed.counted)();
            assert!(counted <= limit, "{counted} bytes of {limit}");
        }
    }
    (bed.set_limit)(0);
}

/// Threads that allocate at once do not pass the limit together. Checks LM1.
fn threads_together(bed: &'static Bed) {
    const THREADS: usize = 4;
    let sizes = sizes_under(bed, LIMIT);
    let (most, nulls) = (AtomicUsize::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let work = |thread: usize| {
            let mut taken = Taken::none(bed);
            for turn in 0..300 {
                let Some(&size) = sizes.get((turn / 3 + thread) % sizes.len().max(1)) else {
                    return;
                };
                let all = (0..(200_000 / size).max(1)).all(|_| taken.one(size));
                // ORDERING: relaxed; counts, which publish nothing.
                nulls.fetch_add(u32::from(!all), Ordering::Relaxed);
                most.fetch_max((bed.counted)(), Ordering::Relaxed);
                if turn % 40 == 39 {
                    taken.free(taken.blocks.len() / 3);
                }
            }
        };
        let start = |thread| scope.spawn(move || work(thread));
        crate::testbed::join_all((0..THREADS).map(start).collect::<Vec<_>>());
    });
    (bed.set_limit)(0);
    let (most, nulls) = (most.into_inner(), nulls.into_inner());
    assert!(most <= LIMIT && (nulls > 0 || sizes.is_empty()), "{most} bytes, {nulls} nulls");
    assert_eq!(bed.audit().live(), 0);
}

/// No backend leaves bytes behind in its count.
fn nothing_counts_in_an_empty_heap(bed: &'static Bed) {
    for size in sizes_under(bed, LIMIT) {
        Taken::none(bed).all(size);
    }
    (bed.set_limit)(0);
    (bed.purge)();
    let counted = (bed.counted)();
    assert_eq!(counted, (bed.superslabs)() as usize * (64 << 10), "only headers are left");
}

thread_local! {
    /// What the handler may free.
    static RESERVE: RefCell<Taken> = RefCell::new(Taken::none(apex()));
}
static CALLS: AtomicU32 = AtomicU32::new(0);
static INSIDE: AtomicU32 = AtomicU32::new(0);

/// Frees a part of the reserve, and asks for memory that there is not.
extern "C" fn handler(bytes: usize) -> bool {
    // ORDERING: relaxed; one thread counts.
    CALLS.fetch_add(1, Ordering::Relaxed);
    assert_eq!(INSIDE.fetch_add(1, Ordering::Relaxed), 0, "called in itself");
    assert!((600..=4 << 20).contains(&bytes), "{bytes} bytes");
    assert!(!Taken::none(apex()).one(4 << 20), "there is memory");
    let freed = RESERVE.with_borrow_mut(|reserve| {
        let left = reserve.blocks.len();
        reserve.free(left.saturating_sub(100));
        left > 0
    });
    // ORDERING: relaxed; one thread counts.
    INSIDE.fetch_sub(1, Ordering::Relaxed);
    freed
}

/// The child.
pub(crate) fn the_handler_makes_room_by_itself() {
    const BYTES: usize = 700;
    assert!(hakmem::set_limit(LIMIT) && hakmem::set_limit_handler(Some(handler)));
    RESERVE.with_borrow_mut(|reserve| {
        while (apex().counted)() < LIMIT / 2 {
            assert!(reserve.one(BYTES));
        }
    });
    let reserve = RESERVE.with_borrow(|reserve| reserve.blocks.len());
    let mut taken = Taken::none(apex());
    let bytes = taken.all(BYTES);
    assert!(bytes > LIMIT / 5 * 4, "{bytes} bytes");
    // ORDERING: relaxed; one thread counts.
    let calls = CALLS.load(Ordering::Relaxed) as usize;
    assert!(calls >= reserve / 100 && calls <= reserve / 100 + 2, "{calls} calls for {reserve}");
    // A single block that the handler frees serves.
    extern "C" fn frees(_: usize) -> bool {
        // ORDERING: relaxed; one thread counts.
        CALLS.fetch_add(1, Ordering::Relaxed);
        RESERVE.with_borrow_mut(|reserve| {
            reserve.free(0);
        });
        true
    }
    RESERVE.with_borrow_mut(|reserve| reserve.blocks.extend(taken.blocks.pop()));
    hakmem::set_limit_handler(Some(frees));
    assert!(taken.one(BYTES));
    assert_eq!(CALLS.load(Ordering::Relaxed) as usize, calls + 1);
    let calls = calls + 1;
    // One that says for ever that there is room, and one that is none.
    extern "C" fn again(_: usize) -> bool {
        // ORDERING: relaxed; one thread counts.
        CALLS.fetch_add(1, Ordering::Relaxed);
        true
    }
    hakmem::set_limit_handler(Some(again));
    assert!(!taken.one(2 << 20));
    assert_eq!(CALLS.load(Ordering::Relaxed) as usize, calls + 64);
    hakmem::set_limit_handler(None);
    assert!(!taken.one(2 << 20));
    assert_eq!(CALLS.load(Ordering::Relaxed) as usize, calls + 64);
    assert_eq!(Hakmem::ID, apex().id);
}

#[test]
fn the_handler_makes_room() {
    if Hakmem::ID == apex().id {
        child_succeeds(&["limit", "handler"]);
    }
}

for_each_bed!(
    up_to_the_limit,
    below_what_is_in_use,
    a_block_that_grows,
    a_block_that_moves,
    a_span_that_grows,
    threads_together,
    nothing_counts_in_an_empty_heap,
);
