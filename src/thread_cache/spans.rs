//! The span cache: a few free spans of a thread, by length. A request for as many slices takes one without a lock.
//!
//! ```text
//!            free a span │            ▲ allocate as many slices
//!              ┌─────────▼────────────┴───────────┐
//!              │ 1 slice: up to 16 spans, … 8     │   a sixteenth of the heap in all, `span_kib` at most
//!              └─────────┬────────────────────────┘
//!                 give   ▼   the next span has no room; the thread looks at the clock and much memory waits;
//!                 page heap  the thread did not use the cache for a turn of `drain_idle`, or ends
//! ```
//!
//! For the page heap such a span is in use. For the page map its first slice is free, so a second free is noticed.
//!
//! A thread uses the cache only for a fraction of a millisecond after it looked at the clock. So it looks at the clock
//! often enough, although this cache could serve it. While the clock is stopped, it looks at every 16th operation.
//!
//! SC1  The first `len` places of a length hold free spans of that many slices, which only this cache refers to.
//!
//! Never: locks, except to give spans back.

use super::{CacheOf, Cached, State, ThreadCache, shut};
use crate::base::SLICE_BYTES;
use crate::page_map::Kind;
use crate::slab::Segment;
use crate::sys::clock;
use crate::sys::fatal::fatal;
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// Slices of the longest span here.
const LONGEST: usize = 8;
/// Spans of one length.
const EACH: usize = 16;

/// A thread may keep one byte in so many of the heap.
const PART: usize = 16;
/// Operations between two looks at a clock that is stopped.
const LOOKS: u8 = 15;

/// A thread's free spans. [owner]
#[repr(C)]
pub(super) struct Spans {
    /// Slices of all spans here.
    slices: Cell<usize>,
    /// Operations until the thread looks at a clock that is stopped.
    until_look: Cell<u8>,
    /// True if the thread has used the cache since the last call of [`drain_idle`].
    is_active: Cell<bool>,
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
            lengths: [const { Length::new() }; LONGEST],
            slices: Cell::new(0),
            until_look: Cell::new(0),
            is_active: Cell::new(false),
        }
    }

    fn of(&self, slices: usize) -> Option<&Length> {
        self.lengths.get(slices.checked_sub(1)?)
    }

    /// Takes the newest span of so many slices.
    fn pop(&self, slices: usize) -> Option<NonNull<u8>> {
        let length = self.of(slices)?;
        let at = length.len.get().checked_sub(1)?;
        let start = NonNull::new(length.spans.get(at)?.get())?;
        length.len.set(at);
        self.slices.set(self.slices.get() - slices);
        Some(start)
    }
}

impl Length {
    const fn new() -> Self {
        Self { len: Cell::new(0), spans: [const { Cell::new(ptr::null_mut()) }; EACH] }
    }
}

/// Takes a free span of so many slices, if the thread has one.
pub(crate) fn take<V: Cached>(slices: usize) -> Option<NonNull<u8>> {
    let cache = usable::<V>()?;
    cache.spans.is_active.set(true);
    let start = cache.spans.pop(slices)?;
    V::page_map().note(start.addr().get(), Kind::Span);
    Some(start)
}

/// Keeps a free span. False if the caller is to give it to the page heap.
///
/// # Safety
/// `start` is a live span of so many slices, which the caller gives up if the result is true.
pub(crate) unsafe fn put<V: Cached>(start: NonNull<u8>, slices: usize) -> bool {
    let Some(cache) = usable::<V>() else { return false };
    let spans = &cache.spans;
    let Some(length) = spans.of(slices) else { return false };
    spans.is_active.set(true);
    let address = start.addr().get();
    // SAFETY: the caller's condition: a live span lies in a segment, which is mapped.
    let segment = unsafe { Segment::containing(address) };
    let noted = usize::from(segment.span[Segment::slice_at(address).index()].get());
    if !V::page_map().has(address, Kind::Span) || noted != slices {
        fatal("double free, or free with a layout of another size:", address);
    }
    if spans.slices.get() + slices > most::<V>() || length.len.get() == EACH {
        give_back::<V>(cache, slices);
    }
    let Some(place) = length.spans.get(length.len.get()) else { return false };
    V::page_map().note(address, Kind::Free);
    place.set(start.as_ptr());
    length.len.set(length.len.get() + 1);
    spans.slices.set(spans.slices.get() + slices);
    true
}

/// Slices that a thread may keep: a part of the heap.
fn most<V: Cached>() -> usize {
    let part = V::page_heap().bytes_in_use() / PART;
    part.min(V::SPAN_KIB * 1024) / SLICE_BYTES
}

/// This thread's cache, while the thread need not look at the clock.
fn usable<V: Cached>() -> Option<&'static CacheOf<V>> {
    if V::SPAN_KIB == 0 {
        return None;
    }
    let cache = V::cache();
    let is_usable = cache.state.get() == State::Open && !cache.is_shut();
    (is_usable && serves_at_once(cache)).then_some(cache)
}

/// True if an operation need not look at the clock.
pub(crate) fn serves_at_once<T>(cache: &ThreadCache<T>) -> bool {
    if clock::ticks().is_some() {
        return shut::serves_at_once(cache);
    }
    let left = cache.spans.until_look.get();
    cache.spans.until_look.set(left.checked_sub(1).unwrap_or(LOOKS));
    left > 0
}

/// Makes room for a span of so many slices: half of the spans of that length go back, or all others if they take up the
/// room.
fn give_back<V: Cached>(cache: &CacheOf<V>, slices: usize) {
    for length in (1..=LONGEST).rev() {
        let has = cache.spans.of(length).map_or(0, |length| length.len.get());
        let goes = if length == slices { has.div_ceil(2) } else { has };
        if cache.spans.slices.get() + slices > most::<V>() || length == slices && has == EACH {
            give::<V>(cache, length, goes);
        }
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

/// Gives all spans to the page heap.
pub(crate) fn flush<V: Cached>(cache: &CacheOf<V>) {
    if V::SPAN_KIB == 0 || cache.spans.slices.get() == 0 {
        return;
    }
    for slices in 1..=LONGEST {
        give::<V>(cache, slices, EACH);
    }
}

/// Gives all spans to the page heap if the thread has not used the cache since the last call.
pub(super) fn drain_idle<V: Cached>(cache: &CacheOf<V>) {
    if V::SPAN_KIB > 0 && !cache.spans.is_active.replace(false) {
        flush::<V>(cache);
    }
}
