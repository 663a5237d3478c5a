//! The variants in the tests' form: a row of functions for each, so that a test's body is compiled once, for all.

use hakmem::{Audit, Events, Observe, Unsound};
use std::alloc::{GlobalAlloc, Layout};
use std::fs::OpenOptions;
use std::io::Write;
use std::panic::resume_unwind;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

/// One variant.
pub(crate) struct Bed {
    pub(crate) id: &'static str,
    parent: Option<&'static str>,
    pub(crate) allocator: &'static (dyn GlobalAlloc + Sync),
    /// Size classes; 0 for the system's malloc.
    pub(crate) classes: usize,
    pub(crate) purge: fn(),
    pub(crate) sample: fn(u32) -> bool,
    pub(crate) superslabs: fn() -> u32,
    pub(crate) map_superslabs: fn(u32) -> u32,
    pub(crate) visit_superslabs: fn(&mut dyn FnMut(*const u8)),
    pub(crate) lookup: fn(*const u8) -> bool,
    pub(crate) owns: fn(*const u8) -> bool,
    pub(crate) events: fn() -> Option<Events>,
    pub(crate) set_limit: fn(usize) -> bool,
    pub(crate) counted: fn() -> usize,
    audit: unsafe fn() -> Result<Audit, Unsound>,
    /// Held while a test of this variant runs; variants share no state.
    lock: Mutex<()>,
}

/// Stops time for every variant of this process, which is a child's own.
pub(crate) fn set_clock(ms: u64) {
    hakmem::Hakmem::set_clock(ms);
}

impl Bed {
    pub(crate) const fn of<V: Observe>(allocator: &'static V) -> Self {
        Self::through::<V>(V::ID, allocator)
    }

    /// A variant whose blocks come and go by other calls.
    pub(crate) const fn through<V: Observe>(
        id: &'static str,
        allocator: &'static (dyn GlobalAlloc + Sync),
    ) -> Self {
        Self {
            id,
            parent: V::PARENT,
            allocator,
            classes: V::CLASSES,
            purge: V::purge,
            sample: V::sample,
            superslabs: V::superslabs,
            map_superslabs: V::map_superslabs,
            visit_superslabs: |visit| V::visit_superslabs(visit),
            lookup: V::lookup,
            owns: V::owns,
            events: V::events,
            set_limit: V::set_limit,
            counted: V::counted,
            audit: V::audit,
            lock: Mutex::new(()),
        }
    }

    /// True if this is the variant with that id, or one below it. A variant that the build leaves out ends the way.
    pub(crate) fn descends_from(&self, id: &str) -> bool {
        let parent = |parent: &&str| BEDS.iter().find(|bed| bed.id == *parent);
        self.id == id
            || self.parent == Some(id)
            || self.parent.as_ref().and_then(parent).is_some_and(|bed| bed.descends_from(id))
    }

    /// Runs a test while no other test of this variant runs. A variant has one heap per process, and an audit reads it
    /// while no other thread may write.
    ///
    /// The test has a thread of its own, which gives its heap up and ends before the next test starts. The thread of
    /// the test harness might end later.
    pub(crate) fn alone<T: Send>(&self, test: impl FnOnce() -> T + Send) -> T {
        // A failed test has poisoned the lock; the next test can run nevertheless.
        let _one = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let _timed = Timed(Instant::now());
        thread::scope(|scope| scope.spawn(test).join()).unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Audits the heap, which must be sound, with every test thread joined.
    pub(crate) fn audit(&self) -> Audit {
        // SAFETY: the tests of a variant run one at a time (`alone`), and join the threads they start.
        unsafe { (self.audit)() }.unwrap_or_else(|error| panic!("{}: {error}", self.id))
    }
}

macro_rules! beds {
    ($($variant:ident $id:literal,)*) => {
        /// Every variant of this build.
        static BEDS: [Bed; [$($id),*].len()] = [$(Bed::of(&hakmem::$variant)),*];
    };
}
hakmem::for_each_variant!(beds);

/// The variant with this id.
pub(crate) fn bed(id: &str) -> &'static Bed {
    BEDS.iter().find(|bed| bed.id == id).unwrap_or_else(|| panic!("no variant {id}"))
}

/// The hardened variants, in the order of the tree: each has all the checks of those before.
pub(crate) const HARDENED: [&str; 9] = [
    "block-tails",
    "wiped-blocks",
    "quarantine",
    "random-order",
    "keyed-links",
    "fenced-large",
    "fenced-headers",
    "unreadable-empty",
    "guard",
];

/// The default variant, which every build has.
pub(crate) fn apex() -> &'static Bed {
    bed("apex")
}

/// A test per variant, `name::the_variant`, which calls `name` with its bed; for functions in this module.
macro_rules! for_each_bed {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            use crate::testbed::each_bed;
            hakmem::for_each_variant!(each_bed, $name);
        })*
    };
}
pub(crate) use for_each_bed;

macro_rules! each_bed {
    ($name:ident; $($variant:ident $id:literal,)*) => {
        paste::paste! {
            $(#[test]
            fn [<$variant:snake>]() {
                let bed = crate::testbed::bed($id);
                bed.alone(|| super::$name(bed));
            })*
        }
    };
}
pub(crate) use each_bed;

/// A block that fills itself with a pattern, and checks the pattern when it is dropped.
pub(crate) struct Filled {
    pub(crate) block: *mut u8,
    pub(crate) layout: Layout,
    pattern: u8,
    bed: &'static Bed,
}

// SAFETY: the block is this value's alone, and every allocator under test frees from any thread.
unsafe impl Send for Filled {}

impl Filled {
    pub(crate) fn new(bed: &'static Bed, size: usize, align: usize, pattern: u8) -> Self {
        let layout = Layout::from_size_align(size, align).expect("a test's layout");
        // SAFETY: no test asks for size 0.
        let block = unsafe { bed.allocator.alloc(layout) };
        assert!(!block.is_null(), "{layout:?}");
        assert!(block.addr().is_multiple_of(align), "{layout:?}");
        // SAFETY: the block has `size` bytes and is ours.
        unsafe { block.write_bytes(pattern, size) };
        Self { block, layout, pattern, bed }
    }

    pub(crate) fn check(&self) {
        // SAFETY: the block has that many bytes, and `new` wrote them all.
        let bytes = unsafe { std::slice::from_raw_parts(self.block, self.layout.size()) };
        assert!(bytes.iter().all(|&byte| byte == self.pattern), "content of {:?}", self.layout);
    }

    /// Changes the size, and checks that the content up to the smaller size is kept.
    pub(crate) fn realloc(&mut self, size: usize) {
        // SAFETY: the block is live and came from this allocator with this layout.
        let block = unsafe { self.bed.allocator.realloc(self.block, self.layout, size) };
        assert!(!block.is_null(), "{size}");
        assert!(block.addr().is_multiple_of(self.layout.align()), "{size}, {:?}", self.layout);
        let kept = size.min(self.layout.size());
        self.block = block;
        self.layout = Layout::from_size_align(kept, self.layout.align()).expect("as before");
        self.check();
        self.layout = Layout::from_size_align(size, self.layout.align()).expect("a test's layout");
        // SAFETY: the block has `size` bytes and is ours.
        unsafe { block.write_bytes(self.pattern, size) };
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.check();
        }
        // SAFETY: the block is live, came from this allocator with this layout, and is dropped with this value.
        unsafe { self.bed.allocator.dealloc(self.block, self.layout) };
    }
}

/// Writes, when it is dropped, the time of this thread's test to the file that `HAKMEM_TEST_TIMES` names.
struct Timed(Instant);

impl Drop for Timed {
    fn drop(&mut self) {
        let Some(file) = std::env::var_os("HAKMEM_TEST_TIMES") else { return };
        let thread = thread::current();
        let test = thread.name().unwrap_or("a test");
        let line = format!("{:.1} {test}\n", self.0.elapsed().as_secs_f64());
        let file = OpenOptions::new().append(true).open(file);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the file of test times");
    }
}

/// Waits until threads are gone, their thread-local state included. The end of a scope waits only for their closures,
/// and an audit would meet a heap that a thread is just giving up.
pub(crate) fn join_all<'a>(threads: impl IntoIterator<Item = ScopedJoinHandle<'a, ()>>) {
    let threads: Vec<_> = threads.into_iter().collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
}

/// Runs this test program again with only the test `as_child`, which runs the case of these words.
pub(crate) fn child(words: &[&str]) -> Output {
    let program = std::env::current_exe().expect("the test's own path");
    let mut command = Command::new(program);
    command.args(["as_child", "--exact", "--nocapture", "--test-threads=1"]);
    let output = command.env("CASE", words.join(" ")).output().expect("the child starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() || said.contains(" 1 passed;"), "no test ran: {said}");
    output
}

/// Runs a child that must succeed; its output goes where this program's goes, which `--nocapture` shows.
pub(crate) fn child_succeeds(words: &[&str]) {
    let _timed = Timed(Instant::now());
    let output = child(words);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {stderr}");
    print!("{}", String::from_utf8_lossy(&output.stdout));
}
