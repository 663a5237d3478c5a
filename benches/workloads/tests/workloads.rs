//! Every workload runs, and catches a faulty allocator.

use hakmem_workloads::{Args, Workload};
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The workloads that get their allocator.
fn given() -> impl Iterator<Item = Workload> {
    Workload::ALL.into_iter().filter(|workload| !workload.is_of_program())
}

/// Enough operations for every workload to free something.
fn args(workload: Workload) -> Args {
    Args { cycles: workload.scaled(400_000), ws: workload.default_ws(), seed: 3 }
}

/// The system's malloc, which counts, and spoils blocks on request.
#[derive(Default)]
struct Counting {
    allocated: AtomicU64,
    freed: AtomicU64,
    /// Spoils each block whose number is a multiple of this; 0 spoils none.
    spoil_every: u64,
}

impl Counting {
    fn count(&self, block: *mut u8, spoil: bool) -> *mut u8 {
        let n = self.allocated.fetch_add(1, Ordering::Relaxed) + 1;
        if spoil && self.spoil_every > 0 && n.is_multiple_of(self.spoil_every) {
            // What a workload has written before must not change by itself; a block that comes back
            // from `realloc`, or zeroed, has content.
            // SAFETY: the block has at least 8 bytes, which the caller has not been given yet.
            let byte = unsafe { &mut *block };
            *byte = !*byte;
        }
        block
    }
}

// SAFETY: each method is the system's malloc's; the spoiling stays inside of blocks.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's condition.
        self.count(unsafe { System.alloc(layout) }, false)
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's condition.
        self.count(unsafe { System.alloc_zeroed(layout) }, true)
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.freed.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's conditions.
        unsafe { System.dealloc(block, layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's conditions.
        let block = unsafe { System.realloc(block, layout, size) };
        if self.spoil_every > 0 { self.count(block, true) } else { block }
    }
}

#[test]
fn every_workload_runs_and_frees_all_it_allocates() {
    for workload in given() {
        let allocator = Counting::default();
        let mut prepared = workload.prepare(&allocator, args(workload));
        prepared.run();
        assert_eq!(prepared.finish(), Ok(()), "{workload}");
        let (allocated, freed) = (allocator.allocated.into_inner(), allocator.freed.into_inner());
        assert!(allocated > 0, "{workload}");
        assert_eq!(allocated, freed, "{workload}");
    }
}

/// Hands every block out a second time: one piece of memory in two places.
struct Twice(Mutex<Option<(usize, Layout)>>);

// SAFETY: broken on purpose: blocks overlap. Each is as large as any request, and none is ever freed.
unsafe impl GlobalAlloc for Twice {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        let mut last = self.0.lock().expect("nobody panics");
        if let Some((block, _)) = last.take() {
            return std::ptr::with_exposed_provenance_mut(block);
        }
        let layout = Layout::from_size_align(8 << 10, 16).expect("a layout");
        // SAFETY: the size is not 0.
        let block = unsafe { System.alloc(layout) };
        *last = Some((block.expose_provenance(), layout));
        block
    }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[test]
fn a_block_that_is_handed_out_twice_is_found_out() {
    for workload in [Workload::RandomMixed, Workload::PhaseShift, Workload::Lifo, Workload::Fifo] {
        let allocator = Twice(Mutex::new(None));
        let args = Args { cycles: 4000, ws: 64, seed: 3 };
        let mut prepared = workload.prepare(&allocator, args);
        prepared.run();
        assert!(prepared.finish().is_err(), "{workload}");
    }
}

/// Out of memory from the start.
struct Nothing;

// SAFETY: it hands nothing out, so nothing can come back.
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        std::ptr::null_mut()
    }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[test]
fn a_block_that_cannot_be_had_is_a_wrong_answer() {
    for workload in given() {
        let mut prepared = workload.prepare(&Nothing, args(workload));
        prepared.run();
        assert!(prepared.finish().is_err(), "{workload}");
    }
}

#[test]
fn content_that_is_not_kept_or_not_zero_is_found_out() {
    for workload in [Workload::ReallocGrow, Workload::Zeroed] {
        let allocator = Counting { spoil_every: 7, ..Counting::default() };
        let mut prepared = workload.prepare(&allocator, args(workload));
        prepared.run();
        assert!(prepared.finish().is_err(), "{workload}");
    }
}

/// The system's malloc, which changes the last byte of every live block once, at its `at`th call.
struct Scribbler {
    live: Mutex<HashMap<usize, usize>>,
    calls: AtomicU64,
    at: u64,
}

impl Scribbler {
    fn count(&self, live: &HashMap<usize, usize>) {
        if self.calls.fetch_add(1, Ordering::Relaxed) + 1 != self.at {
            return;
        }
        for (&block, &size) in live {
            let last = std::ptr::with_exposed_provenance_mut::<u8>(block + size - 1);
            // SAFETY: the block is live and has that many bytes; its holder is in this call.
            let byte = unsafe { &mut *last };
            *byte = !*byte;
        }
    }
}

// SAFETY: each method is the system's malloc's; the scribbling stays inside of live blocks, of a program of one thread.
unsafe impl GlobalAlloc for Scribbler {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut live = self.live.lock().expect("nobody panics");
        self.count(&live);
        // SAFETY: the caller's condition.
        let block = unsafe { System.alloc(layout) };
        live.insert(block.expose_provenance(), layout.size());
        block
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let mut live = self.live.lock().expect("nobody panics");
        live.remove(&block.expose_provenance());
        self.count(&live);
        // SAFETY: the caller's conditions.
        unsafe { System.dealloc(block, layout) }
    }
}

#[test]
fn a_survivor_of_a_peak_is_checked_to_its_last_byte() {
    // The last call of `idle` is the last free of the fall: 20 000 allocations, 1000 blocks replaced, 18 000 frees.
    let peaks = [
        (Workload::AfterPeakOldest, 400_000, 390_000),
        (Workload::AfterPeakRandom, 400_000, 390_000),
        (Workload::Idle, 40_000, 40_000),
    ];
    for (workload, cycles, at) in peaks {
        let finish = |at| {
            let allocator = Scribbler { live: Mutex::default(), calls: AtomicU64::new(0), at };
            let args = Args { cycles, ws: workload.default_ws(), seed: 3 };
            let mut prepared = workload.prepare(&allocator, args);
            prepared.run();
            prepared.finish()
        };
        assert!(finish(at).is_err(), "{workload}");
        assert_eq!(finish(u64::MAX), Ok(()), "{workload}");
    }
}

#[test]
fn real_code_has_the_right_answers() {
    for workload in Workload::ALL.into_iter().filter(|workload| workload.is_of_program()) {
        let mut prepared = workload.prepare(&System, args(workload));
        prepared.run();
        assert_eq!(prepared.finish(), Ok(()), "{workload}");
    }
}

#[test]
fn a_wrong_name_is_told_the_right_ones() {
    let error = "nonesuch".parse::<Workload>().expect_err("no workload");
    assert!(error.contains("`nonesuch`") && error.contains("thread_storm"), "{error}");
    for workload in Workload::ALL {
        assert_eq!(workload.name().parse(), Ok(workload));
    }
}
