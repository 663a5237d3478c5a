//! The check of all blocks with tails at once, of those in use and of those that were freed.
//!
//! A free checks its block, and a request checks what it gets. What a program did to the others is found here: at its
//! end, if only one thread is left, and by an audit of a heap at rest. Only blocks that are out of their slab are looked
//! at.
//!
//! Never: writes, or checks blocks of 16 bytes, whose tail may be a list's seal.

use crate::base::{MAX_SLICES, SLICE_BYTES, SliceIdx, slices_in};
use crate::page_map::Kind;
use crate::slab::{Segment, usable_slices};
use crate::stats::{Unsound, ensure};
use crate::sys::fatal::fatal;
use crate::sys::thread;
use crate::tail::Tailed;
use crate::thread_cache::Cached;
use crate::variant::Wipe;

/// Slices that are checked at a program's end, at most: they are 64 MiB.
const MOST: usize = 1024;

/// Checks blocks at the end of a program, and ends it with one line if one was misused. If there are other threads, they
/// are at work on theirs, and nothing is checked.
pub(crate) fn at_end<V: Cached>() {
    if V::WIPE == Wipe::Checked
        && thread::is_alone()
        && let Some(address) = misused::<V>(MOST)
    {
        fatal("a block was written to outside of its bounds, or after its free:", address);
    }
}

/// An error unless all blocks have sound tails (TL1, TL2). No other thread touches the heap.
pub(crate) fn check<V: Cached>() -> Result<(), Unsound> {
    let misused = if V::WIPE == Wipe::Checked { misused::<V>(usize::MAX) } else { None };
    ensure(misused.is_none(), "TL1 or TL2, a block's tail", misused.unwrap_or(0))
}

/// The address of a block that was misused, in so many slices at most.
fn misused<V: Cached>(most: usize) -> Option<usize> {
    let (mut left, mut found) = (most, None);
    V::page_heap().visit(|segment| {
        for slice in slices_in(usable_slices::<V>() & !segment.free.get()) {
            if left == 0 || found.is_some() {
                return;
            }
            left -= 1;
            found = misused_in::<V>(segment, slice);
        }
    });
    found
}

fn misused_in<V: Cached>(segment: &'static Segment, slice: SliceIdx) -> Option<usize> {
    let start = segment.slice_start(slice);
    let block = |at: usize, bytes: usize| {
        // SAFETY: inside the slab or the span.
        let start = unsafe { start.add(at) };
        // SAFETY: a block of that many bytes lies there, in memory that is mapped. No other thread is at work.
        let tailed = unsafe { Tailed::new(start, bytes) };
        (!tailed.is_sound()).then(|| start.addr().get())
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
