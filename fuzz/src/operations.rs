//! The target `operations`: calls of `GlobalAlloc` by several threads, over several variants in one process.

use crate::shadow::{Block, Shadow, many};
use crate::sizes::{Align, Size};
use arbitrary::{Arbitrary, Result, Unstructured};
use hakmem::{Audit, ByAddress, Observe, Preload, Unsound};
use std::alloc::{GlobalAlloc, Layout};
use std::ptr::null_mut;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

/// Operations of an input at most.
const MOST: usize = 300;

/// One variant.
struct Bed {
    id: &'static str,
    allocator: &'static (dyn GlobalAlloc + Sync),
    purge: fn(),
    trim: fn() -> bool,
    audit: unsafe fn() -> std::result::Result<Audit, Unsound>,
}

impl Bed {
    const fn of<V: Observe>(allocator: &'static V) -> Self {
        Self { id: V::ID, allocator, purge: V::purge, trim: || false, audit: V::audit }
    }
}

/// The C face's operations, in the form of the others.
struct ByAddressAlone;

// SAFETY: the C face keeps the trait's promises, since it keeps those of `ByAddress`.
unsafe impl GlobalAlloc for ByAddressAlone {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = if layout.align() <= 16 { Preload::quick(layout.size()) } else { null_mut() };
        match (block.is_null(), layout.align() <= 16) {
            (false, _) => block,
            (true, true) => Preload::malloc(layout.size()),
            (true, false) => Preload::aligned(layout.size(), layout.align()),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= 16 {
            return Preload::zeroed(layout.size());
        }
        let block = Preload::aligned(layout.size(), layout.align());
        if !block.is_null() {
            // SAFETY: the block has that many bytes, and only this function has it.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's conditions: a live block.
        assert!(unsafe { Preload::usable_size(block) } >= layout.size());
        // SAFETY: the caller's conditions: a live block.
        unsafe { Preload::free(block) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() <= 16 {
            // SAFETY: the caller's conditions: a live block, and a size above 0.
            return unsafe { <Preload as ByAddress>::realloc(block, size) };
        }
        let moved = Preload::aligned(size, layout.align());
        if !moved.is_null() {
            // SAFETY: both blocks have that many bytes, and the new one overlaps no other.
            unsafe { moved.copy_from_nonoverlapping(block, layout.size().min(size)) };
            // SAFETY: the caller gave the block up.
            unsafe { Preload::free(block) };
        }
        moved
    }
}

/// The default variant and those whose code differs most from it.
static BEDS: [Bed; 10] = [
    Bed::of(&hakmem::Apex),
    Bed { allocator: &ByAddressAlone, trim: Preload::trim, ..Bed::of(&Preload) },
    Bed { trim: Preload::trim, ..Bed::of(&Preload) },
    Bed::of(&hakmem::Superslab),
    Bed::of(&hakmem::OptionAbd),
    Bed::of(&hakmem::OwnLarge),
    Bed::of(&hakmem::FreeByLayout),
    Bed::of(&hakmem::TransferCache),
    Bed::of(&hakmem::ParkedLists),
    Bed::of(&hakmem::Arenas),
];

/// A thread: the run's own, which is `None`, or one of three others.
#[derive(Clone, Copy, Debug)]
struct Hand(Option<usize>);

impl Arbitrary<'_> for Hand {
    fn arbitrary(input: &mut Unstructured<'_>) -> Result<Self> {
        // Half of the work is the run's own.
        Ok(Self((u8::arbitrary(input)? % 6).checked_sub(3).map(usize::from)))
    }
}

#[derive(Arbitrary, Debug)]
enum Operation {
    Alloc {
        by: Hand,
        size: Size,
        align: Align,
        zeroed: bool,
    },
    /// Blocks of one size, so that lists run empty and slabs full.
    AllocMany {
        by: Hand,
        size: Size,
        count: u8,
    },
    Free {
        by: Hand,
        block: u16,
    },
    /// Blocks one after the other from this one on.
    FreeMany {
        by: Hand,
        block: u16,
        count: u8,
    },
    Realloc {
        by: Hand,
        block: u16,
        size: Size,
    },
    Purge {
        by: Hand,
    },
    Trim {
        by: Hand,
    },
    End {
        thread: Hand,
    },
    /// The clock goes on by so many quarters of a second.
    Tick {
        quarters: u8,
    },
    Audit,
}

/// Work for a thread.
type Job = Box<dyn FnOnce() -> *mut u8 + Send>;

/// A thread that does one job at a time.
struct Worker {
    jobs: Sender<Job>,
    results: Receiver<usize>,
    thread: JoinHandle<()>,
}

impl Worker {
    fn start() -> Self {
        let (jobs, to_do) = channel::<Job>();
        let (done, results) = channel();
        let work = move || {
            for job in to_do {
                let result = job().expose_provenance();
                done.send(result).expect("the run waits for it");
            }
        };
        Self { jobs, results, thread: thread::spawn(work) }
    }

    fn run(&self, job: Job) -> *mut u8 {
        self.jobs.send(job).expect("it waits for jobs");
        std::ptr::with_exposed_provenance_mut(self.results.recv().expect("it does each job"))
    }

    fn end(self) {
        drop(self.jobs);
        self.thread.join().expect("no job panics");
    }
}

/// A run of one input.
struct Run {
    bed: &'static Bed,
    shadow: Shadow,
    workers: [Option<Worker>; 3],
}

/// Runs an input.
///
/// # Panics
/// At a fault of the variant.
pub fn run(input: &[u8]) {
    /// Time since the first input, which never goes back, in ms.
    static NOW: AtomicU64 = AtomicU64::new(0);
    static STOPPED: Once = Once::new();
    STOPPED.call_once(|| hakmem::Hakmem::set_clock(0));

    let mut input = Unstructured::new(input);
    let Ok(bed) = u8::arbitrary(&mut input) else { return };
    let bed = &BEDS[usize::from(bed) % BEDS.len()];
    let mut run = Run { bed, shadow: Shadow::default(), workers: [None, None, None] };
    for _ in 0..MOST {
        match Operation::arbitrary(&mut input) {
            Ok(Operation::Tick { quarters }) => {
                let ms = 250 * u64::from(quarters);
                // ORDERING: relaxed; one thread at a time runs inputs.
                let now = NOW.fetch_add(ms, Ordering::Relaxed) + ms;
                hakmem::Hakmem::set_clock(now);
            }
            Ok(operation) => run.play(operation),
            Err(_) => break,
        }
        if input.is_empty() {
            break;
        }
    }
    run.end();
}

impl Run {
    /// Has a thread do a job; returns its result.
    fn by(&mut self, hand: Hand, job: impl FnOnce() -> *mut u8 + Send + 'static) -> *mut u8 {
        match hand.0 {
            None => job(),
            Some(place) => self.workers[place].get_or_insert_with(Worker::start).run(Box::new(job)),
        }
    }

    fn play(&mut self, operation: Operation) {
        let bed = self.bed;
        match operation {
            Operation::Alloc { by, size, align, zeroed } => self.alloc(by, size.0, align.0, zeroed),
            Operation::AllocMany { by, size, count } => {
                (0..many(count, size.0)).for_each(|_| self.alloc(by, size.0, 8, false));
            }
            Operation::Free { by, block } => self.free(by, block.into()),
            Operation::FreeMany { by, block, count } => {
                let count = usize::from(count).min(self.shadow.len());
                (0..count).for_each(|_| self.free(by, block.into()));
            }
            Operation::Realloc { by, block, size } => self.realloc(by, block.into(), size.0),
            Operation::Purge { by } => drop(self.by(by, || {
                (bed.purge)();
                null_mut()
            })),
            Operation::Trim { by } => drop(self.by(by, || {
                (bed.trim)();
                null_mut()
            })),
            Operation::End { thread } => {
                if let Some(place) = thread.0
                    && let Some(worker) = self.workers[place].take()
                {
                    worker.end();
                }
            }
            Operation::Tick { .. } => unreachable!("`run` moves the clock"),
            Operation::Audit => drop(self.audit()),
        }
    }

    fn alloc(&mut self, by: Hand, size: usize, align: usize, zeroed: bool) {
        if !self.shadow.has_room_for(size.max(align)) {
            return;
        }
        let (allocator, layout) = (self.bed.allocator, layout(size, align));
        let start = self.by(by, move || {
            if zeroed {
                // SAFETY: the size is above 0.
                unsafe { allocator.alloc_zeroed(layout) }
            } else {
                // SAFETY: the size is above 0.
                unsafe { allocator.alloc(layout) }
            }
        });
        let block = Block::new(start, size, align);
        assert!(!start.is_null(), "{}: no block for {layout:?}", self.bed.id);
        if zeroed {
            block.check_all(0);
        }
        self.shadow.born(block);
    }

    fn free(&mut self, by: Hand, number: usize) {
        let Some(block) = self.shadow.gone(number) else { return };
        let allocator = self.bed.allocator;
        self.by(by, move || {
            let whole = block;
            // SAFETY: the block is live, was allocated with this layout, and the shadow forgot it.
            unsafe { allocator.dealloc(whole.start, layout(whole.size, whole.align)) };
            null_mut()
        });
    }

    fn realloc(&mut self, by: Hand, number: usize, size: usize) {
        if !self.shadow.has_room_for(size) {
            return;
        }
        let Some(block) = self.shadow.gone(number) else { return };
        let allocator = self.bed.allocator;
        let start = self.by(by, move || {
            let whole = block;
            // SAFETY: the block is live, was allocated with this layout, and the shadow forgot it; the size is above 0.
            unsafe { allocator.realloc(whole.start, layout(whole.size, whole.align), size) }
        });
        assert!(!start.is_null(), "{}: no block of {size} bytes for {block:?}", self.bed.id);
        Block { start, ..block }.check(size);
        self.shadow.born(Block::new(start, size, block.align));
    }

    fn audit(&self) -> Audit {
        // SAFETY: the other threads wait for jobs, and those that have ended were joined.
        let audit = unsafe { (self.bed.audit)() };
        audit.unwrap_or_else(|error| panic!("{}: {error}", self.bed.id))
    }

    /// Frees what is left, ends the threads, and audits.
    fn end(mut self) {
        while self.shadow.len() > 0 {
            self.free(Hand(None), 0);
        }
        self.workers.each_mut().into_iter().filter_map(Option::take).for_each(Worker::end);
        let audit = self.audit();
        assert_eq!(audit.live(), 0, "{}: blocks are lost: {audit:?}", self.bed.id);
    }
}

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("at most 4 MiB")
}
