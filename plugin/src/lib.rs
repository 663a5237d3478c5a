//! A shared library with hakmem as its allocator, which `host.c` opens, lets its threads use, and closes.

use hakmem::Hakmem;
use std::alloc::{GlobalAlloc, Layout};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Write;
use std::sync::mpsc;
use std::{mem, thread};

#[global_allocator]
static A: Hakmem = Hakmem;

/// Sizes of blocks: of classes of every variant, of spans, and one with a mapping of its own.
const SIZES: [usize; 7] = [1, 24, 100, 1000, 40 << 10, 300 << 10, 2100 << 10];
/// What is written.
const SIGN: u8 = 0x5A;
/// Where the spans begin.
const CLASSES: usize = 4;
/// Where mappings begin.
const OWN: usize = 6;

/// Allocates and frees `count` blocks of its own allocator; their bytes.
#[unsafe(no_mangle)]
pub extern "C" fn work(count: usize) -> usize {
    let blocks: Vec<Vec<u8>> = (0..count).map(|n| vec![n as u8; 16 + n % 2000]).collect();
    blocks.iter().map(Vec::len).sum()
}

/// Blocks of every variant of the build, side by side: each is whole, and each goes back.
#[unsafe(no_mangle)]
pub extern "C" fn beside(rounds: usize) -> bool {
    macro_rules! all {
        ($($variant:ident $id:literal,)*) => {
            [$(&hakmem::$variant as &dyn GlobalAlloc),*]
        };
    }
    let variants = hakmem::for_each_variant!(all);
    (0..rounds).all(|_| {
        let blocks = SIZES.map(|size| variants.map(|variant| Block::new(variant, size)));
        blocks.iter().flatten().all(Block::is_whole)
    })
}

/// Leaves blocks in use: of classes, by every variant of the build, and spans.
#[unsafe(no_mangle)]
pub extern "C" fn forget() {
    macro_rules! all {
        ($($variant:ident $id:literal,)*) => {
            [$(&hakmem::$variant as &dyn GlobalAlloc),*]
        };
    }
    hakmem::for_each_variant!(all).into_iter().for_each(|variant| {
        SIZES[..CLASSES].iter().for_each(|&size| mem::forget(Block::new(variant, size)));
    });
    // Those that leave such to the system's malloc do not know it when they go.
    SIZES[CLASSES..OWN].iter().for_each(|&size| mem::forget(Block::new(&A, size)));
}

/// What the standard library keeps for a thread, and for all: with destructors, which have the object stay until the
/// thread ends.
#[unsafe(no_mangle)]
pub extern "C" fn standard(count: usize) -> bool {
    thread_local! {
        static KEPT: RefCell<HashMap<usize, String>> = RefCell::default();
    }
    let (sender, receiver) = mpsc::channel();
    let other = thread::spawn(move || {
        KEPT.with_borrow_mut(|kept| kept.insert(0, "another thread's".to_owned()));
        (0..count).for_each(|n| sender.send(n.to_string()).expect("the receiver waits"));
    });
    KEPT.with_borrow_mut(|kept| {
        kept.extend(receiver.iter().enumerate());
        drop(thread::current());
        other.join().is_ok() && std::io::stdout().flush().is_ok() && kept.len() == count
    })
}

/// A block of a variant, with a byte written at each end.
struct Block<'a> {
    variant: &'a dyn GlobalAlloc,
    layout: Layout,
    start: *mut u8,
}

impl<'a> Block<'a> {
    fn new(variant: &'a dyn GlobalAlloc, size: usize) -> Self {
        let layout = Layout::from_size_align(size, 1).expect("a small size");
        // SAFETY: no size is 0.
        let start = unsafe { variant.alloc(layout) };
        if !start.is_null() {
            // SAFETY: the block's first byte.
            unsafe { start.write(SIGN) };
            // SAFETY: its last.
            unsafe { start.wrapping_add(size - 1).write(SIGN) };
        }
        Self { variant, layout, start }
    }

    fn is_whole(&self) -> bool {
        // SAFETY: a byte of the block, which was written.
        let has_sign = |at| unsafe { self.start.wrapping_add(at).read() } == SIGN;
        !self.start.is_null() && has_sign(0) && has_sign(self.layout.size() - 1)
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        if !self.start.is_null() {
            // SAFETY: allocated in `new` by this variant, with this layout.
            unsafe { self.variant.dealloc(self.start, self.layout) };
        }
    }
}
