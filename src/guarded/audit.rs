//! The check of all blocks with tails at once.
//!
//! A free checks its block, and a request checks what it gets. What a program did to the others is found here: at its
//! end, if it never had another thread, and by an audit of a heap at rest. Only blocks that are out of their slab are
//! looked at, and of these only such as have a tail. An operation that a signal or a fork interrupted leaves its block
//! without one (TL5).
//!
//! Never: writes, waits, or checks blocks of 16 bytes, whose tail may be a list's seal.

use crate::base::{MAX_SLICES, PAGE_BYTES, SLICE_BYTES, SliceIdx, slices_in};
use crate::page_map::Kind;
use crate::slab::{Segment, usable_slices};
use crate::stats::{Unsound, ensure};
use crate::sys::fatal::fatal;
use crate::sys::{kernel, thread};
use crate::tail::{Compared, TAIL_BYTES, Tailed, Told};
use crate::thread_cache::Cached;
use crate::variant::Wipe;

/// Slices that are checked at a program's end, at most: they are 64 MiB.
const MOST: usize = 1024;

/// Checks blocks at the end of a program, and ends it with one line if one was misused. If there are other threads, they
/// are at work on theirs, and nothing is checked; nor is it if the program ends in the middle of an operation that holds
/// the lock.
pub(crate) fn at_end<V: Cached>() {
    let lock = &V::page_heap().lock;
    if V::WIPE == Wipe::Checked && thread::is_alone() && lock.try_lock() {
        let found = misused::<V>(MOST);
        lock.unlock();
        if let Some(address) = found {
            fatal("a block was written to outside of its bounds:", address);
        }
    }
}

/// An error unless all blocks with tails have sound ones (TL1). No other thread touches the heap.
pub(crate) fn check<V: Cached>() -> Result<(), Unsound> {
    let find = || V::page_heap().lock.with(|| misused::<V>(usize::MAX));
    let misused = if V::WIPE == Wipe::Checked { find() } else { None };
    ensure(misused.is_none(), "TL1, a block's tail", misused.unwrap_or(0))
}

/// The address of a block that was misused, in so many slices at most. With the lock of the page heap held.
fn misused<V: Cached>(most: usize) -> Option<usize> {
    let slices = V::page_heap().all().flat_map(|segment| {
        let slices = slices_in(usable_slices::<V>() & !segment.free.get());
        slices.map(move |slice| (segment, slice))
    });
    slices.take(most).find_map(|(segment, slice)| misused_in::<V>(segment, slice))
}

fn misused_in<V: Cached>(segment: &'static Segment, slice: SliceIdx) -> Option<usize> {
    let start = segment.slice_start(slice);
    let block = |at: usize, bytes: usize| {
        // SAFETY: inside the slab or the span.
        let start = unsafe { start.add(at) };
        let address = start.addr().get();
        // A program may have taken the access to pages of a block that has whole ones.
        if bytes >= PAGE_BYTES && !kernel::is_readable(address + bytes - TAIL_BYTES) {
            return None;
        }
        // SAFETY: a block of that many bytes lies there, in memory that is mapped. No other thread is at work.
        let tailed = unsafe { Tailed::new(start, bytes) };
        let is_wrong = matches!(tailed.told(Compared::Much), Told::Overflown | Told::Unknown);
        is_wrong.then_some(address)
    };
    match V::page_map().kind(start.addr().get()) {
        Kind::Class(class) => {
            let bytes = V::CLASSES.block_bytes(class);
            let count = if bytes <= 16 { 0 } else { SLICE_BYTES / bytes };
            // A block at home may have no memory, and a look at it would give it some.
            let slab = segment.slab(slice);
            let is_out = |at: &usize| slab.has_out::<V>(start.addr().get() + at);
            let mut starts = (0..count).map(|number| number * bytes).filter(is_out);
            starts.find_map(|at| block(at, bytes))
        }
        Kind::Span => {
            let slices = usize::from(segment.span[slice.index()].get()).min(MAX_SLICES);
            if slices == 0 { None } else { block(0, slices * SLICE_BYTES) }
        }
        _ => None,
    }
}
