//! The span cache: a few free spans of a thread, by length. A request for as many slices takes one without a lock.
//!
//! ```text
//!            free a span │            ▲ allocate as many slices
//!              ┌─────────▼────────────┴───────────┐
//!              │ 1 slice: up to 16 spans, … 8     │   its share of an eighth of the heap, `span_kib` at most
//!              └─────────┬────────────────────────┘
//!                 give   ▼   the next span has no room; no span of the length was taken for a turn of
//!                 page heap  `drain_idle`; memory is exhausted; the thread ends
//! ```
//!
//! For the page heap such a span is in use. For the page map its first slice is free, so a second free is noticed.
//!
//! The cache serves [`SERVES`] operations after the thread has looked at the clock. Then the thread looks again, although
//! the cache could go on: purges depend on it. A cache that is not open serves none.
//!
//! SC1  The first `len` places of a length hold free spans of that many slices, which only this cache refers to.
//!
//! Never: locks, except to give spans back.

use super::{CacheOf, Cached, ThreadCache};
use crate::base::{SLICE_BYTES, quotient};
use crate::page_map::Kind;
use crate::slab::Segment;
use crate::stats::{Unsound, ensure};
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// Slices of the longest span here.
const LONGEST: usize = 8;
/// Spans of one length.
const EACH: usize = 16;

/// All threads together may keep one byte in so many of the heap.
const PART: usize = 8;
/// Bytes that a thread may keep of a small heap.
const LEAST: usize = 128 << 10;
/// Operations between two looks at the clock.
const SERVES: u32 = 32;

/// A thread's free spans. [owner]
#[repr(C)]
pub(super) struct Spans {
    /// Operations that the cache still serves.
    left: Cell<u32>,
    /// Slices that the cache may still take up.
    room: Cell<u32>,
    /// The lengths from which the thread has taken a span since the last call of [`drain_idle`], as bits.
    active: Cell<u32>,
    lengths: [Length; LONGEST],
}

/// The spans of one length.
struct Length {
    len: Cell<usize>,
    spans: [Cell<*mut u8>; EACH],
}

impl Spans {
    pub(super) const fn new() -> Self {
        Self {
            left: Cell::new(0),
            room: Cell::new(0),
            active: Cell::new(0),
            lengths: [const { Length::new() }; LONGEST],
        }
    }

    #[inline(always)]
    fn of(&self, slices: usize) -> Option<&Length> {
        self.lengths.get(slices.wrapping_sub(1))
    }

    /// Takes the newest span of so many slices.
    #[inline(always)]
    fn pop(&self, slices: usize) -> Option<NonNull<u8>> {
        let length = self.of(slices)?;
        let at = length.len.get().checked_sub(1)?;
        let start = NonNull::new(length.spans.get(at)?.get())?;
        length.len.set(at);
        self.room.set(self.room.get() + slices as u32);
        Some(start)
    }
}

impl Length {
    const fn new() -> Self {
        Self { len: Cell::new(0), spans: [const { Cell::new(ptr::null_mut()) }; EACH] }
    }
}

/// An error unless each span is one for the page heap, and free for the page map (SC1). For audits.
pub(crate) fn check<V: Cached>(cache: &CacheOf<V>) -> Result<(), Unsound> {
    for (slices, length) in (1..).zip(&cache.spans.lengths) {
        let spans = length.spans.get(..length.len.get());
        for address in spans.into_iter().flatten().map(|span| span.get().addr()) {
            let is_free = V::page_map().has(address, Kind::Free);
            ensure(is_free, "SC1, a free span in the page map", address)?;
            // SAFETY: the page map has a slice there, so it lies in a segment, which is mapped.
            let segment = unsafe { Segment::containing(address) };
            let noted = usize::from(segment.span[Segment::slice_at(address).index()].get());
            ensure(noted == slices, "SC1, a free span's slices", address)?;
        }
    }
    Ok(())
}

/// Takes a free span of so many slices, if the thread has one.
#[inline(always)]
pub(crate) fn take<V: Cached>(slices: usize) -> Option<NonNull<u8>> {
    let cache = V::cache();
    if !serves::<V>(cache) {
        return None;
    }
    let start = cache.spans.pop(slices)?;
    cache.spans.active.set(cache.spans.active.get() | bit(slices));
    V::page_map().note(start.addr().get(), Kind::Span);
    Some(start)
}

/// Keeps a free span. False if the caller is to give it to the page heap.
///
/// # Safety
/// `start` is a live span of so many slices, which the caller gives up if the result is true.
#[inline(always)]
pub(crate) unsafe fn put<V: Cached>(start: NonNull<u8>, slices: usize) -> bool {
    let cache = V::cache();
    if !serves::<V>(cache) {
        return false;
    }
    let spans = &cache.spans;
    let Some(length) = spans.of(slices) else { return false };
    let fits = || length.len.get() < EACH && spans.room.get() >= slices as u32;
    if !fits() {
        make_room::<V>(cache, slices);
        if !fits() {
            return false;
        }
    }
    let Some(place) = length.spans.get(length.len.get()) else { return false };
    V::page_map().note(start.addr().get(), Kind::Free);
    place.set(start.as_ptr());
    length.len.set(length.len.get() + 1);
    spans.room.set(spans.room.get() - slices as u32);
    true
}

/// True if the cache serves this operation, which it counts.
#[inline(always)]
fn serves<V: Cached>(cache: &CacheOf<V>) -> bool {
    let left = cache.spans.left.get();
    if V::SPAN_KIB == 0 || left == 0 {
        return false;
    }
    cache.spans.left.set(left - 1);
    true
}

/// True if the thread need not look at the clock for an operation on a large block, which it counts.
pub(crate) fn goes_on<T>(cache: &ThreadCache<T>) -> bool {
    let left = cache.spans.left.get();
    cache.spans.left.set(left.saturating_sub(1));
    left > 0
}

/// Lets the cache serve operations, after the thread looked at the clock. The cache is open.
pub(super) fn renew<V: Cached>(cache: &CacheOf<V>) {
    let spans = &cache.spans;
    // Nothing was served since the last time, as in most threads.
    if spans.left.get() == SERVES {
        return;
    }
    let kept: usize = (1..=LONGEST).map(|slices| slices * len(spans, slices)).sum();
    let threads = V::page_heap().users.threads();
    let part = quotient(V::page_heap().bytes_in_use(), PART * threads).max(LEAST);
    let most = part.min(V::SPAN_KIB * 1024) / SLICE_BYTES;
    spans.room.set(most.saturating_sub(kept) as u32);
    spans.left.set(SERVES);
}

fn len(spans: &Spans, slices: usize) -> usize {
    spans.of(slices).map_or(0, |length| length.len.get())
}

/// Makes room for a span of so many slices: half of the spans of that length go back if their places are taken, or else
/// spans of other lengths, the longest first.
#[cold]
#[inline(never)]
fn make_room<V: Cached>(cache: &CacheOf<V>, slices: usize) {
    let spans = &cache.spans;
    let own = len(spans, slices);
    if own < EACH {
        for other in (1..=LONGEST).rev().filter(|other| *other != slices) {
            while spans.room.get() < slices as u32 && len(spans, other) > 0 {
                give::<V>(cache, other, 1);
            }
        }
    }
    if own == EACH || spans.room.get() < slices as u32 {
        give::<V>(cache, slices, own.div_ceil(2));
    }
}

/// Gives up to `count` spans of a length to the page heap.
fn give<V: Cached>(cache: &CacheOf<V>, slices: usize, count: usize) {
    for _ in 0..count {
        let Some(start) = cache.spans.pop(slices) else { return };
        // SAFETY: a span of so many slices, for the page heap still live; it was popped, so only this thread has it
        // (SC1).
        unsafe { V::page_heap().give_span::<V>(start, slices) };
    }
}

/// Gives all spans to the page heap. The cache serves nothing until the thread has looked at the clock.
pub(crate) fn flush<V: Cached>(cache: &CacheOf<V>) {
    if V::SPAN_KIB == 0 {
        return;
    }
    for slices in 1..=LONGEST {
        give::<V>(cache, slices, EACH);
    }
    cache.spans.left.set(0);
    cache.spans.room.set(0);
}

/// Gives the spans of each length to the page heap from which the thread has taken none since the last call.
pub(super) fn drain_idle<V: Cached>(cache: &CacheOf<V>) {
    if V::SPAN_KIB == 0 {
        return;
    }
    let active = cache.spans.active.replace(0);
    for slices in (1..=LONGEST).filter(|slices| active & bit(*slices) == 0) {
        give::<V>(cache, slices, EACH);
    }
}

/// A length's bit in `active`.
#[inline(always)]
const fn bit(slices: usize) -> u32 {
    1 << (slices % u32::BITS as usize)
}
