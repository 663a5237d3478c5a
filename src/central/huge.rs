//! Huge blocks: the largest blocks, whole pages each, from the map cache.
//!
//! | operation | the pages |
//! |---|---|
//! | allocate | come from the map cache, which puts a place together from what freed blocks left |
//! | free | go into the map cache (`map_cache.rs`) |
//! | grow | get those behind them, if they are free, else move to another place; no bytes are copied |
//! | shrink | give up the last of them, into the map cache |
//!
//! The layout gives the number of pages, so no header is needed. With `growth = "roomy"` a block has up to an eighth
//! more than the program asked for. A block that grows step by step thus mostly stays where it is.
//!
//! Never: keeps a header in a block.

use super::Shared;
use super::assembly::Place;
use crate::base::{PAGE_BYTES, SLICE_BYTES, round_up};
use crate::page_map::Kind;
use crate::variant::{Growth, Reclaim};
use core::alloc::Layout;
use core::ptr::NonNull;

/// The result of a change of a block's size.
pub(crate) enum Moved {
    /// The block has the new size, at this address.
    To(NonNull<u8>),
    /// The kernel refuses. The block is unchanged.
    No,
}

/// Bytes that no machine has.
pub(crate) const HOPELESS: usize = 1 << 46;

/// Bytes that are worth a call to give them back before others get memory.
const MUCH: usize = 256 << 10;

/// Sizes per doubling of a block that has room to grow.
const ROOMS: usize = 8;
/// Bytes of room that a block has at most.
const ROOM_MOST: usize = 256 << 10;

/// Bytes of the pages of a block of `size` bytes. A block that is recorded has at least the bytes of a slice (RC1).
pub(crate) fn mapping_bytes<V: Shared>(size: usize) -> usize {
    let unit = match V::GROWTH {
        Growth::Tight => PAGE_BYTES,
        // Addresses are cheap, and a page that no block has touched has no memory.
        Growth::Roomy => ((1 << (size | 1).ilog2()) / ROOMS).clamp(PAGE_BYTES, ROOM_MOST),
    };
    let bytes = round_up(size, unit);
    if V::RECORDS_HUGE { bytes.max(SLICE_BYTES) } else { bytes }
}

/// Dirty bytes that the map cache may always hold.
fn kept<V: Shared>() -> usize {
    if V::page_heap().tuning.keeps_mappings() { HOPELESS } else { V::KEEP_MIB << 20 }
}

/// Allocates a huge block. Returns its start, and true if it is zero. `None` when memory is exhausted.
pub(crate) fn huge_alloc<V: Shared>(layout: Layout) -> Option<(NonNull<u8>, bool)> {
    let bytes = mapping_bytes::<V>(layout.size());
    let page_heap = V::page_heap();
    let mut place = page_heap.place::<V>(bytes, layout.align().max(PAGE_BYTES))?;
    fill::<V>(&mut place, bytes)?;
    if V::RECORDS_HUGE && !V::huge_blocks().add(V::page_map(), place.pointer(), bytes, Kind::Huge) {
        page_heap.give_up_place(&place, bytes);
        return None;
    }
    grow_live::<V>(0, bytes);
    Some((place.pointer(), place.is_clean))
}

/// Moves pages to a place, of which `fresh` bytes are to get memory. Where it will get new memory, as much is given back
/// before. `None` if the kernel has lost the place.
fn fill<V: Shared>(place: &mut Place, fresh: usize) -> Option<()> {
    let page_heap = V::page_heap();
    let is_whole = page_heap.assemble(place);
    let is_much = place.over >= MUCH && place.over < HOPELESS;
    if V::RECLAIM == Reclaim::First && is_much && !page_heap.tuning.keeps_mappings() {
        page_heap.give_back(place.over);
    }
    if !is_whole {
        page_heap.lock.with(|| page_heap.limit.arrive(fresh));
    }
    is_whole.then_some(())
}

/// Notes that a block of `old` bytes, or none, has grown into a place.
fn grow_live<V: Shared>(old: usize, new: usize) {
    let page_heap = V::page_heap();
    page_heap.lock.with(|| {
        page_heap.map_cache.change_live(old, new);
        page_heap.limit.arrive(new - old);
    });
}

/// Frees a huge block.
///
/// # Safety
/// The block came from [`huge_alloc`] or [`huge_resize`] with this layout, and nothing refers to it.
pub(crate) unsafe fn huge_free<V: Shared>(start: NonNull<u8>, layout: Layout) {
    let bytes = mapping_bytes::<V>(layout.size());
    if V::RECORDS_HUGE {
        V::huge_blocks().remove(V::page_map(), start, bytes);
    }
    // SAFETY: the caller's condition.
    unsafe { give_up::<V>(start, bytes) };
}

/// # Safety
/// The range is whole pages of a huge block, and nothing refers to it.
unsafe fn give_up<V: Shared>(start: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller's condition.
    unsafe { V::page_heap().keep(start, bytes, kept::<V>()) };
}

/// Changes a huge block's size, by moving its pages where it must move.
///
/// # Safety
/// As for [`huge_free`]; `layout` is the block's.
pub(crate) unsafe fn huge_resize<V: Shared>(
    start: NonNull<u8>,
    layout: Layout,
    new: usize,
) -> Moved {
    let (old, new) = (mapping_bytes::<V>(layout.size()), mapping_bytes::<V>(new));
    if new == old {
        return Moved::To(start);
    }
    if new < old {
        // SAFETY: `new` is inside the block.
        let tail = unsafe { start.add(new) };
        record::<V>(start, old, new);
        // SAFETY: the block ends there from here on.
        unsafe { give_up::<V>(tail, old - new) };
        return Moved::To(start);
    }
    if grow_in_place::<V>(start, old, new) {
        record::<V>(start, old, new);
        grow_live::<V>(old, new);
        return Moved::To(start);
    }
    // SAFETY: the caller's condition.
    unsafe { grow_elsewhere::<V>(start, layout.align(), (old, new)) }.map_or(Moved::No, Moved::To)
}

/// Takes the addresses behind a block, and fills them. False if they are not free.
fn grow_in_place<V: Shared>(start: NonNull<u8>, old: usize, new: usize) -> bool {
    let behind = V::page_heap().place_behind::<V>(start.addr().get() + old, new - old);
    behind.is_some_and(|mut place| fill::<V>(&mut place, new - old).is_some())
}

/// Moves a block's pages to another place, where it has room to grow. `None`, and nothing changed, if that is
/// impossible.
///
/// # Safety
/// The conditions of [`huge_resize`]; the block has `old` bytes.
unsafe fn grow_elsewhere<V: Shared>(
    start: NonNull<u8>,
    align: usize,
    (old, new): (usize, usize),
) -> Option<NonNull<u8>> {
    let page_heap = V::page_heap();
    let from = start.expose_provenance().get();
    let (mut place, parts) = page_heap.other_place::<V>(from, (old, new), align.max(PAGE_BYTES))?;
    let at = place.pointer();
    fill::<V>(&mut place, new - old)?;
    if V::RECORDS_HUGE && !V::huge_blocks().reserve(V::page_map(), at) {
        page_heap.give_up_place(&place, new - old);
        return None;
    }
    if V::RECORDS_HUGE {
        V::huge_blocks().remove(V::page_map(), start, old);
    }
    // SAFETY: the caller's condition. The place has more bytes, and its first `old` ones were clean and stayed so.
    let has_moved = unsafe { page_heap.move_block(&place, parts) };
    if V::RECORDS_HUGE {
        let (now_at, bytes) = if has_moved { (at, new) } else { (start, old) };
        V::huge_blocks().add(V::page_map(), now_at, bytes, Kind::Huge);
    }
    if !has_moved {
        page_heap.lock.with(|| page_heap.limit.arrive(new - old));
        return None;
    }
    grow_live::<V>(old, new);
    Some(at)
}

/// Notes that a block changed its length where it is.
fn record<V: Shared>(start: NonNull<u8>, old: usize, new: usize) {
    if V::RECORDS_HUGE {
        V::huge_blocks().change_length(start, old, new);
    }
}
