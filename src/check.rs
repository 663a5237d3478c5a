//! Checks: of the whole heap, for tests; of each freed block, in builds with debug assertions.

use crate::base::{ClassIdx, MAX_SLICES, SliceIdx, slices_in};
use crate::central::{self, ListId};
use crate::free_list::FreeList;
use crate::page_map::Kind;
use crate::slab::{ALL_SLICES, Segment};
use crate::stats::{Audit, Unsound};
use crate::sys::fatal::fatal;
use crate::thread_cache::lend::lender;
use crate::thread_cache::{CacheOf, Cached, State, flush, shut};
use crate::variant::least_limit;

/// Blocks of a list that a debug build compares with a freed block, to find a double free.
const LOOKS: u32 = 256;

/// In debug builds, ends the process unless the freed address is a block of this class that is in use.
#[inline(always)]
pub(crate) fn freed<V: Cached>(cache: &CacheOf<V>, class: ClassIdx, address: usize) {
    if cfg!(debug_assertions) {
        freed_cold::<V>(cache, class, address);
    }
}

#[cold]
#[inline(never)]
fn freed_cold<V: Cached>(cache: &CacheOf<V>, class: ClassIdx, address: usize) {
    if !V::page_map().is_ours(address) {
        fatal("free of a block that is not in use:", address);
    }
    // A block that was lent is of the lender's class.
    let found = V::page_map().class(address);
    let class = lender::<V>(class).filter(|lender| found == Some(*lender)).unwrap_or(class);
    // SAFETY: an address of this variant lies in a segment, which is mapped.
    let slab = unsafe { Segment::containing(address) }.slab(Segment::slice_at(address));
    // Under the lock, since other threads take blocks from the slab and bring them home.
    let what = central::with_slab::<V, _>(class, slab, || match () {
        () if slab.capacity() == 0 => Some("free of a block that is not in use:"),
        () if slab.class() != class => Some("free with a layout of another size class:"),
        () if !slab.is_start::<V>(address) => Some("free of an address inside a block:"),
        () if !slab.has_out::<V>(address) => Some("double free:"),
        () => None,
    });
    if let Some(what) = what {
        fatal(what, address);
    }
    if cache.outbox.has(address) || cache.list_limits(class).aside.has(address, LOOKS) {
        fatal("double free:", address);
    }
    let is_open = cache.state.get() == State::Open;
    if is_open
        && !cache.is_shut()
        && cache.list(class).has(address, LOOKS.max(least_limit::<V>(class)))
    {
        fatal("double free:", address);
    }
}

/// Checks every slab, this thread's lists, and the parked ones.
///
/// # Safety
/// No other thread touches this variant's heap.
pub(crate) unsafe fn audit<V: Cached>() -> Result<Audit, Unsound> {
    let cache = V::cache();
    if cache.state.get() == State::Open {
        shut::open::<V>(cache);
        flush::<V>(cache);
    }
    let mut sum = Audit::default();
    if !V::page_heap().sums_up() {
        return Err(Unsound::because("V2 or V3, slices and segments are counted"));
    }
    for segment in V::page_heap().all() {
        let mut taken = segment.free.get();
        if segment.dirty.get() & !taken != 0 {
            return Err(Unsound::because("X2, dirty slices are free"));
        }
        sum.unused += taken.count_ones() as usize;
        for slice in slices_in(ALL_SLICES & !segment.free.get()) {
            let span = usize::from(segment.span[slice.index()].get());
            if span > 0 {
                let slices = crate::base::bit_range(slice.index(), slice.index() + span);
                if taken & slices != 0 {
                    return Err(Unsound::because("X1, a slice is in one place"));
                }
                taken |= slices;
                sum.spans += 1;
            }
        }
        if !says_what_is_there::<V>(segment) {
            return Err(Unsound::because("A1 or A2, the page map"));
        }
        for slice in slices_in(ALL_SLICES & !taken) {
            let slab = segment.slab(slice);
            if slab.capacity() == 0 || !slab.is_sound::<V>() {
                return Err(Unsound::because("Y1-Y4, a slab's blocks"));
            }
            if (slab.bin.get() > 0) != slab.has_blocks() {
                return Err(Unsound::because("N2, a slab is listed while it has blocks"));
            }
            match slab.used() {
                0 => sum.empty += 1,
                used => {
                    sum.active += 1;
                    sum.used += used as usize;
                }
            }
        }
    }
    for (class, list) in V::parked().lists::<V>() {
        if !is_sound::<V>(class, list) {
            return Err(Unsound::because("Q2, a parked list"));
        }
        sum.waiting += list.len() as usize;
    }
    for class in ClassIdx::all(V::CLASSES.count()) {
        sum.waiting += V::transfer(class).len() as usize;
    }
    for arena in central::used::<V>() {
        for class in ClassIdx::all(V::CLASSES.count()) {
            let list = V::central(arena, class);
            let id = ListId { arena, class };
            if !list.counts_purgeable::<V>(id) {
                return Err(Unsound::because("what is to be purged is not looked for"));
            }
            if !list.sums_up() || !list.is_home::<V>(arena) {
                return Err(Unsound::because("N4 to N6, slabs are counted"));
            }
        }
    }
    for class in ClassIdx::all(V::CLASSES.count()) {
        if !is_sound::<V>(class, cache.list(class)) {
            return Err(Unsound::because("W1 or W2, a thread's list"));
        }
        if cache.state.get() == State::Open {
            sum.listed += cache.list(class).len() as usize;
        }
    }
    if sum.used < sum.listed + sum.waiting {
        return Err(Unsound::because("N1, more blocks are on their way home than have left"));
    }
    Ok(sum)
}

/// True if the page map has the right kind for each slice of a segment.
fn says_what_is_there<V: Cached>(segment: &'static Segment) -> bool {
    let mut rest_of_span = 0;
    (0..MAX_SLICES).map(SliceIdx::new).all(|slice| {
        let span = usize::from(segment.span[slice.index()].get());
        let expected = match () {
            () if slice == SliceIdx::FIRST => Kind::Header,
            () if rest_of_span > 0 => Kind::Body,
            () if span > 0 => Kind::Span,
            () if segment.free.get() & slice.bit() != 0 => Kind::Free,
            () => Kind::Class(segment.slab(slice).class()),
        };
        rest_of_span = if span > 0 { span - 1 } else { rest_of_span.saturating_sub(1) };
        let kind = V::page_map().kind(segment.slice_start(slice).addr().get());
        // A span that waits in some thread's span cache counts as free there.
        kind == expected || V::SPAN_KIB > 0 && expected == Kind::Span && kind == Kind::Free
    })
}

/// True if all blocks of a list are of its class, and are out of their slabs.
fn is_sound<V: Cached>(class: ClassIdx, list: &FreeList) -> bool {
    list.is_sound(|address| {
        V::page_map().class(address) == Some(class) && {
            // SAFETY: a slab lies in a segment, which is mapped.
            let segment = unsafe { Segment::containing(address) };
            let slab = segment.slab(Segment::slice_at(address));
            slab.capacity() > 0 && slab.class() == class && slab.has_out::<V>(address)
        }
    })
}
