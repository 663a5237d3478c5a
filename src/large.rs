//! Sizes above the classes: spans, huge blocks, or the system's malloc.
//!
//! | bytes | alignment | served by |
//! |---|---|---|
//! | up to 512 KiB | up to 1 MiB | a span |
//! | more | more | whole pages of the map cache: a huge block |
//!
//! With `growth = "roomy"` a span may grow in place past 512 KiB, up to the end of its segment. A lookup in the page
//! map then tells such a span from a huge block.

use crate::alloc::{lookup, span_layout};
use crate::base::{
    ClassIdx, MAX_SLICES, PAGE_BYTES, SEGMENT_BYTES, SLICE_BYTES, quotient, round_up,
};
use crate::central::{self, huge_alloc, huge_free, mapping_bytes};
use crate::page_map::Kind;
use crate::slab::Segment;
use crate::sys::fatal::fatal;
use crate::sys::{pages, system};
use crate::thread_cache::drain::drain_idle;
use crate::thread_cache::lifecycle::open;
use crate::thread_cache::short::again_cold;
use crate::thread_cache::{Cached, State, fill, sample, shut, spans};
use crate::variant::{Fresh, Growth, Large, Variant, Wipe, Zeroing};
use core::alloc::Layout;
use core::ptr::{self, NonNull};

/// Bytes of the largest span, unless it has grown.
const SPAN_MOST: usize = 512 << 10;
/// Where huge blocks lie between fences, the largest span has these bytes.
const FENCED_FROM: usize = 128 << 10;
/// The largest alignment of a span. A larger one has no place in a segment, whose first slice is its header.
const ALIGN_MOST: usize = SEGMENT_BYTES / 2;
/// Bytes that a span can grow to: all slices but the header's.
const GROWN_MOST: usize = (MAX_SLICES - 1) * SLICE_BYTES;

/// Bytes of the largest span of a variant, unless it has grown.
pub(crate) const fn span_most<V: Variant>() -> usize {
    match V::LARGE {
        Large::Fenced => FENCED_FROM,
        Large::Own | Large::System => SPAN_MOST,
    }
}

/// Slices of a span for a layout; `None` if the layout gets a huge block.
pub(crate) const fn span_slices<V: Variant>(layout: Layout) -> Option<usize> {
    slices_within(layout, span_most::<V>())
}

/// Slices of a live block's span; `None` if the block is huge.
pub(crate) fn slices_of<V: Cached>(block: *mut u8, layout: Layout) -> Option<usize> {
    span_slices::<V>(layout).or_else(|| {
        let slices = grown_slices::<V>(layout)?;
        lookup::<V>().has(block.addr(), Kind::Span).then_some(slices)
    })
}

/// Slices of a span that has grown to a layout; `None` if no span can.
pub(crate) fn grown_slices<V: Cached>(layout: Layout) -> Option<usize> {
    match V::GROWTH {
        Growth::Tight => span_slices::<V>(layout),
        Growth::Roomy => slices_within(layout, GROWN_MOST),
    }
}

const fn slices_within(layout: Layout, most: usize) -> Option<usize> {
    if layout.size() > most || layout.align() > ALIGN_MOST {
        return None;
    }
    Some(layout.size().div_ceil(SLICE_BYTES))
}

/// A block for a layout above the classes, or null.
///
/// Size and alignment come apart, in the order of `GlobalAlloc`'s callers. So a hit moves no register for this call.
///
/// # Safety
/// `size` and `align` are those of a layout, and the size is above 0.
#[inline(never)]
pub(crate) unsafe fn large<V: Cached>(size: usize, align: usize) -> *mut u8 {
    // SAFETY: the caller's condition.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    match V::LARGE {
        Large::System => {
            // SAFETY: the caller's condition.
            let alloc = || unsafe { system::alloc(V::BY_ADDRESS, layout) };
            after_purge::<V>(layout, alloc)
        }
        // Fenced blocks are no spans, so they do not come here.
        Large::Own | Large::Fenced => place::<V>(layout, Growth::Tight),
    }
}

/// A span or a huge block for a layout above the classes, or null.
pub(crate) fn place<V: Cached>(layout: Layout, growth: Growth) -> *mut u8 {
    allocate::<V>(layout, growth).map_or(ptr::null_mut(), |found| found.start.as_ptr())
}

/// A block for a layout above the classes that is all zero, or null. In the C face it is zero to the block's end, which
/// is past the end of the layout.
///
/// # Safety
/// The conditions of [`large`].
#[inline(never)]
pub(crate) unsafe fn large_zeroed<V: Cached>(size: usize, align: usize) -> *mut u8 {
    // SAFETY: the caller's condition.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    if V::LARGE == Large::System {
        // SAFETY: the caller's condition.
        let alloc = || unsafe { system::alloc_zeroed(V::BY_ADDRESS, layout) };
        return after_purge::<V>(layout, alloc);
    }
    let Some(found) = allocate::<V>(layout, Growth::Tight) else { return ptr::null_mut() };
    let Found { start, zero, slices } = found;
    // What lies behind a sampled block must stay.
    if zero && (V::FRESH == Fresh::Known || V::page_heap().sampled.has(start.addr().get())) {
        return start.as_ptr();
    }
    let (asked, whole) = match slices {
        // Slack must be zero, where blocks are wiped.
        _ if !V::BY_ADDRESS && V::WIPE == Wipe::None => (layout.size(), layout.size()),
        Some(slices) => (round_up(layout.size(), PAGE_BYTES), slices * SLICE_BYTES),
        None => (round_up(layout.size(), PAGE_BYTES), mapping_bytes::<V>(layout.size())),
    };
    let written = match V::ZEROING {
        // All of a span is written: spans are small, and mostly have memory.
        Zeroing::Dirty if slices.is_none() => 0,
        Zeroing::Dirty | Zeroing::All => asked,
    };
    // SAFETY: the block has that many bytes, and only this thread has it.
    unsafe { start.write_bytes(0, written) };
    if written < whole {
        // SAFETY: `written` is below `whole`, so the result is inside the block.
        let rest = unsafe { start.add(written) };
        // SAFETY: the rest starts with a page, since `written` is 0 or a multiple of a page here. To the end of its
        // last page it lies in slices or in a mapping that `sys::pages` mapped, and only this thread has them.
        unsafe { pages::zero(rest, whole - written) };
    }
    start.as_ptr()
}

/// A block of the system's malloc. If it has no memory, this purges the variant's unused memory and tries again.
fn after_purge<V: Cached>(layout: Layout, alloc: impl Fn() -> *mut u8) -> *mut u8 {
    let block = alloc();
    if !block.is_null() {
        return block;
    }
    let again = || NonNull::new(alloc());
    again_cold::<V, _>(layout.size(), again).map_or(ptr::null_mut(), NonNull::as_ptr)
}

/// A large block that was just allocated.
struct Found {
    start: NonNull<u8>,
    /// True if the block is known to be zero.
    zero: bool,
    /// The block's slices, if it is a span.
    slices: Option<usize>,
}

/// A free span that the thread has, for a size above the classes. It is aligned to a slice.
#[inline(always)]
pub(crate) fn take_span<V: Cached>(size: usize) -> Option<NonNull<u8>> {
    let is_span = size > V::CLASS_TABLE.reach() && size <= span_most::<V>();
    is_span.then(|| spans::take::<V>(size.div_ceil(SLICE_BYTES))).flatten()
}

fn allocate<V: Cached>(layout: Layout, growth: Growth) -> Option<Found> {
    try_thread::<V>(layout, growth).or_else(|| allocate_cold::<V>(layout, growth))
}

#[inline]
fn try_thread<V: Cached>(layout: Layout, growth: Growth) -> Option<Found> {
    if layout.align() > SLICE_BYTES || growth != Growth::Tight {
        return None;
    }
    let slices = span_slices::<V>(layout)?;
    let start = spans::take::<V>(slices)?;
    Some(Found { start, zero: false, slices: Some(slices) })
}

#[cold]
#[inline(never)]
fn allocate_cold<V: Cached>(layout: Layout, growth: Growth) -> Option<Found> {
    if tick::<V>(true)
        && let Some(found) = try_thread::<V>(layout, growth)
    {
        return Some(found);
    }
    if V::cache().state.get() == State::Sampling
        && let Some(start) = sample_large::<V>(layout)
    {
        // The caller need not know more of a block whose bytes are zero.
        return Some(Found { start, zero: true, slices: None });
    }
    let align = quotient(layout.align(), SLICE_BYTES).max(1);
    let instead = || {
        let keeps = V::GROWTH == Growth::Roomy && V::page_heap().tuning.keeps_mappings();
        // Slice 0 is the header, so the first aligned slice is number `align`.
        let fits = |slices: &usize| {
            V::BY_ADDRESS && !V::HAS_TAILS && keeps && align + slices <= MAX_SLICES
        };
        slices_within(layout, GROWN_MOST).filter(fits)
    };
    let slices = span_slices::<V>(layout).or_else(instead);
    let allocate = || {
        let (start, zero) = match slices {
            Some(count) => V::page_heap().claim_span::<V>(count, align, growth)?,
            None => huge_alloc::<V>(layout)?,
        };
        Some(Found { start, zero, slices })
    };
    // If the kernel has no more memory, the variant's unused memory may be enough.
    allocate().or_else(|| again_cold::<V, _>(layout.size(), allocate))
}

/// A sampled block, if it is time for one. A large block counts as one block.
#[cold]
#[inline(never)]
fn sample_large<V: Cached>(layout: Layout) -> Option<NonNull<u8>> {
    // A tail is found by the slices of its span.
    if V::HAS_TAILS {
        return None;
    }
    // A free takes a block of any other layout for a huge one.
    span_slices::<V>(layout)?;
    // A program without layouts wants 16, whatever its old block had.
    let align = if V::BY_ADDRESS { layout.align().max(16) } else { layout.align() };
    let block = sample::due::<V>(V::cache(), layout.size(), align);
    if block.is_none() {
        sample::count::<V>(V::cache(), 1);
    }
    block
}

/// Gives a block above the classes back.
///
/// # Safety
/// `block` is live, and this variant allocated it with a layout of this size and alignment.
#[inline(never)]
pub(crate) unsafe fn large_free<V: Cached>(block: *mut u8, size: usize, align: usize) {
    // SAFETY: the caller's condition.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    if V::LARGE == Large::System {
        // SAFETY: here the system's malloc serves every block above the classes; the rest is the caller's condition.
        return unsafe { system::free(V::BY_ADDRESS, block, layout) };
    }
    // SAFETY: a live block is not null.
    let start = unsafe { NonNull::new_unchecked(block) };
    let slices = slices_of::<V>(block, layout);
    if let Some(slices) = slices {
        if !is_span::<V>(start, slices) {
            return V::page_heap().sampled.free(start.addr().get());
        }
        // SAFETY: a live span, by the caller's condition, which also gives it up.
        if unsafe { spans::put::<V>(start, slices) } {
            return;
        }
    }
    // SAFETY: the caller's condition; if it is a span, it has so many slices.
    unsafe { large_free_cold::<V>(start, layout, slices) };
}

/// Gives a block above the classes to the threads' common memory. The clock comes last, so that the thread sees if much
/// memory waits now.
///
/// # Safety
/// The conditions of [`large_free`]. `slices` are the slices of the block's span, if it is one.
#[cold]
#[inline(never)]
unsafe fn large_free_cold<V: Cached>(start: NonNull<u8>, layout: Layout, slices: Option<usize>) {
    match slices {
        Some(count) => {
            // SAFETY: the block has that many bytes, and the caller gave it up.
            unsafe { fill::wipe::<V>(start, layout.size()) };
            // SAFETY: a live span, by the caller's condition.
            unsafe { V::page_heap().give_span::<V>(start, count) };
        }
        // SAFETY: the caller's condition.
        None => unsafe { huge_free::<V>(start, layout) },
    }
    tick::<V>(!V::BY_ADDRESS);
    central::start_if_wanted::<V>();
}

/// Gives a span of so many slices back, which the page map and its segment know.
///
/// # Safety
/// The span is live, and the caller gives it up.
#[inline]
pub(crate) unsafe fn give_span<V: Cached>(start: NonNull<u8>, slices: usize) {
    // SAFETY: the caller's condition.
    if unsafe { !spans::put::<V>(start, slices) } {
        // SAFETY: the caller's condition; the span has this layout.
        unsafe { large_free_cold::<V>(start, span_layout(slices), Some(slices)) };
    }
}

/// True if a span of so many slices starts there, and false if the address is in the pool of sampled blocks. Any other
/// address ends the process.
fn is_span<V: Cached>(start: NonNull<u8>, slices: usize) -> bool {
    let address = start.addr().get();
    if V::page_map().has(address, Kind::Span) {
        // SAFETY: a span lies in a segment, which is mapped.
        let segment = unsafe { Segment::containing(address) };
        if usize::from(segment.span[Segment::slice_at(address).index()].get()) == slices {
            return true;
        }
    }
    if !V::page_heap().sampled.has(address) {
        fatal("double free, or free with a layout of another size:", address);
    }
    false
}

/// Gives a huge block back.
///
/// # Safety
/// `start` is a live huge block, whose mapping has the layout's size.
#[inline(never)]
pub(crate) unsafe fn give_huge<V: Cached>(start: NonNull<u8>, layout: Layout) {
    // SAFETY: the caller's condition.
    unsafe { huge_free::<V>(start, layout) };
    tick::<V>(!V::BY_ADDRESS);
    central::start_if_wanted::<V>();
}

/// True if a block of this many bytes is huge at any alignment.
pub(crate) const fn is_huge<V: Variant>(bytes: usize) -> bool {
    bytes > span_most::<V>()
}

/// Looks at the clock from time to time, so that purges go on in a program that uses only large blocks. True if it did.
///
/// A thread whose first operation is on a large block gets its cache here, if it `may_open`.
pub(crate) fn tick<V: Cached>(may_open: bool) -> bool {
    let cache = V::cache();
    let open = match cache.state.get() {
        State::Open | State::Sampling => Some(cache),
        State::Uninit if may_open => open::<V>(),
        State::Uninit | State::Dead => None,
    };
    match open {
        // A clock that was just read says nothing new.
        Some(cache) if shut::has_just_looked(cache) && spans::goes_on(cache) => false,
        Some(cache) => {
            shut::maintain::<V>(cache);
            drain_idle::<V>(cache, ClassIdx::new(0));
            true
        }
        None => {
            central::tick_alone::<V>();
            true
        }
    }
}
