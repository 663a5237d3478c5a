//! What the integration tests share.

#![allow(dead_code, unused_macros, missing_docs, reason = "each test file uses some of it")]

use hakmem::{Audit, Observe};
use std::alloc::{GlobalAlloc, Layout};
use std::panic::resume_unwind;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};

/// Runs a test while no other test of its file runs: a variant's heap is one per process, and an audit
/// reads it while nobody else may be writing.
///
/// The test has a thread of its own, which is gone, its heap given up, before the next one starts. The
/// thread that the test harness starts is not: it would end at its leisure.
pub(crate) fn alone<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    // A test that failed has poisoned it; the next one can run all the same.
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    thread::scope(|scope| scope.spawn(test).join()).unwrap_or_else(|panic| resume_unwind(panic))
}

/// For `hakmem::for_each_variant!(stamp_tests, (name, …))`: a module per variant with a test
/// `name` that calls `name::<Variant>()`.
#[macro_export]
macro_rules! stamp_tests {
    ($names:tt; $($variant:ident $id:literal,)*) => {
        $($crate::stamp_tests_of! { $variant $names })*
    };
}

#[macro_export]
macro_rules! stamp_tests_of {
    ($variant:ident ($($name:ident),* $(,)?)) => {
        paste::paste! {
            mod [<$variant:snake>] {
                $(#[test]
                fn $name() {
                    super::common::alone(super::$name::<hakmem::$variant>);
                })*
            }
        }
    };
}

/// A block that fills itself with a pattern and checks it when it goes.
pub(crate) struct Filled<A: GlobalAlloc + Default> {
    pub(crate) block: *mut u8,
    pub(crate) layout: Layout,
    pattern: u8,
    allocator: A,
}

// SAFETY: the block is this value's alone, and every allocator under test frees from any thread.
unsafe impl<A: GlobalAlloc + Default + Send> Send for Filled<A> {}

impl<A: GlobalAlloc + Default> Filled<A> {
    pub(crate) fn new(size: usize, align: usize, pattern: u8) -> Self {
        let layout = Layout::from_size_align(size, align).expect("a test's layout");
        let allocator = A::default();
        // SAFETY: no test asks for size 0.
        let block = unsafe { allocator.alloc(layout) };
        assert!(!block.is_null(), "{layout:?}");
        assert!(block.addr().is_multiple_of(align), "{layout:?}");
        // SAFETY: the block has `size` bytes and is ours.
        unsafe { block.write_bytes(pattern, size) };
        Self { block, layout, pattern, allocator }
    }

    pub(crate) fn check(&self) {
        // SAFETY: the block has that many bytes, and `new` wrote them all.
        let bytes = unsafe { std::slice::from_raw_parts(self.block, self.layout.size()) };
        assert!(bytes.iter().all(|&byte| byte == self.pattern), "content of {:?}", self.layout);
    }

    /// Changes the size; the content up to the smaller one must have come along.
    pub(crate) fn realloc(&mut self, size: usize) {
        // SAFETY: the block is live and came from this allocator with this layout.
        let block = unsafe { self.allocator.realloc(self.block, self.layout, size) };
        assert!(!block.is_null(), "{size}");
        let kept = size.min(self.layout.size());
        self.block = block;
        self.layout = Layout::from_size_align(kept, self.layout.align()).expect("as before");
        self.check();
        self.layout = Layout::from_size_align(size, self.layout.align()).expect("a test's layout");
        // SAFETY: the block has `size` bytes and is ours.
        unsafe { block.write_bytes(self.pattern, size) };
    }
}

impl<A: GlobalAlloc + Default> Drop for Filled<A> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check();
        }
        // SAFETY: the block is live, came from this allocator with this layout, and goes with us.
        unsafe { self.allocator.dealloc(self.block, self.layout) };
    }
}

/// Audits a variant's heap, which must be sound, with every test thread joined.
pub(crate) fn audit<V: Observe>() -> Audit {
    // SAFETY: the tests of a file run one at a time (`alone`), and join the threads they start.
    unsafe { V::audit() }.unwrap_or_else(|error| panic!("{}: {error}", V::ID))
}

/// Waits for threads to be gone, their thread-local state included. A scope's end does not: it waits
/// for their closures only, and an audit would meet a heap that is just being given up.
pub(crate) fn join_all<'a>(threads: impl IntoIterator<Item = ScopedJoinHandle<'a, ()>>) {
    let threads: Vec<_> = threads.into_iter().collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
}

/// Runs this test program again with only the test `as_child`, which does what `CASE` says; `None`
/// in the child is what tells the two apart.
pub(crate) fn child(case: &str) -> Output {
    let program = std::env::current_exe().expect("the test's own path");
    let mut command = Command::new(program);
    command.args(["as_child", "--exact", "--nocapture", "--test-threads=1"]).env("CASE", case);
    command.output().expect("the child starts")
}

/// What the parent asked this process to do, if it is a child.
pub(crate) fn case() -> Option<String> {
    std::env::var("CASE").ok()
}
