//! Huge blocks: the largest blocks, each with a mapping of its own.
//!
//! | operation | the mapping |
//! |---|---|
//! | allocate | comes from the map cache, else from the retained ranges, else from the kernel |
//! | free | goes into the map cache (`map_cache.rs`) |
//! | grow | takes the range behind it from the map cache, else moves its pages; no bytes are copied |
//! | shrink | gives up its tail, into the map cache |
//!
//! The layout gives the length of the mapping in whole pages, so no header is needed. With `growth = "roomy"` a mapping
//! has up to an eighth more than the program asked for. A block that grows step by step thus mostly stays where it is.
//!
//! Never: keeps a header in a mapping.

use super::Shared;
use crate::base::{PAGE_BYTES, SLICE_BYTES, round_up};
use crate::sys::pages;
use crate::variant::{Growth, Reclaim};
use core::alloc::Layout;
use core::ptr::NonNull;

/// The result of a change of a block's size.
pub(crate) enum Moved {
    /// The block has the new size, at this address.
    To(NonNull<u8>),
    /// The kernel refuses, or cannot keep the alignment. The block is unchanged.
    No,
}

/// Bytes that no machine has.
pub(crate) const HOPELESS: usize = 1 << 46;

/// Sizes per doubling of a mapping that has room to grow.
const ROOMS: usize = 8;
/// Bytes of room that a mapping has at most.
const ROOM_MOST: usize = 4 << 20;

/// Bytes of the mapping of a block of `size` bytes. A mapping that is recorded has at least the bytes of a slice (RC1).
pub(crate) fn mapping_bytes<V: Shared>(size: usize) -> usize {
    let unit = match V::GROWTH {
        Growth::Tight => PAGE_BYTES,
        // Addresses are cheap, and a page that nobody has touched has no memory.
        Growth::Roomy => ((1 << (size | 1).ilog2()) / ROOMS).clamp(PAGE_BYTES, ROOM_MOST),
    };
    let bytes = round_up(size, unit);
    if V::BY_ADDRESS { bytes.max(SLICE_BYTES) } else { bytes }
}

/// Bytes that the map cache may hold.
fn bound<V: Shared>() -> usize {
    if V::page_heap().tuning.keeps_mappings() { HOPELESS } else { V::KEEP_MIB << 20 }
}

/// Allocates a huge block. Returns its start, and true if it is zero. `None` when memory is exhausted.
pub(crate) fn huge_alloc<V: Shared>(layout: Layout) -> Option<(NonNull<u8>, bool)> {
    let (start, zero) = allocate::<V>(layout)?;
    let bytes = mapping_bytes::<V>(layout.size());
    if V::BY_ADDRESS && !V::huge_blocks().add(V::page_map(), start, bytes) {
        // SAFETY: taken or mapped by `allocate` above, and nobody knows of it.
        unsafe { V::page_heap().let_go(start, bytes) };
        return None;
    }
    let page_heap = V::page_heap();
    page_heap.lock.with(|| {
        page_heap.map_cache.add_live(zero && layout.align() > PAGE_BYTES);
        page_heap.reserve();
    });
    Some((start, zero))
}

fn allocate<V: Shared>(layout: Layout) -> Option<(NonNull<u8>, bool)> {
    let bytes = mapping_bytes::<V>(layout.size());
    let is_aligned = layout.align() > PAGE_BYTES;
    let page_heap = V::page_heap();
    if V::KEEP_MIB > 0 && bytes <= bound::<V>() {
        let (found, largest) =
            page_heap.lock.with(|| match page_heap.map_cache.take(bytes, layout.align()) {
                None if !is_aligned => {
                    let largest = page_heap.map_cache.take_largest();
                    make_way::<V>(bytes - largest.map_or(0, |(_, kept)| kept.min(bytes)));
                    (None, largest)
                }
                found => (found, None),
            });
        if let Some(start) = found {
            return Some((start, false));
        }
        if let Some((start, kept)) = largest {
            // Its pages are in memory already. The missing ones come with it.
            // SAFETY: taken out of the map cache, so nobody refers to it.
            if let Some(start) = unsafe { pages::resize(start, kept, bytes) } {
                return Some((start, false));
            }
            // SAFETY: taken out of the map cache, so nobody refers to it. The refused call left it as it was.
            unsafe { page_heap.let_go(start, kept) };
        }
    } else {
        page_heap.lock.with(|| make_way::<V>(bytes));
    }
    let retained = page_heap.lock.with(|| page_heap.map_cache.retained.take(bytes, layout.align()));
    let start = retained.or_else(|| match is_aligned {
        true => pages::map_aligned(bytes, layout.align()),
        false => pages::map(bytes),
    });
    Some((start?, true))
}

/// Gives back as much of the map cache as is about to be mapped, unless no machine has so much. With the lock of the
/// page heap held.
fn make_way<V: Shared>(more: usize) {
    let keeps = V::page_heap().tuning.keeps_mappings();
    if V::RECLAIM == Reclaim::First && more < HOPELESS && !keeps {
        V::page_heap().map_cache.give_back(more, V::page_heap().now());
    }
}

/// Frees a huge block.
///
/// # Safety
/// The block came from [`huge_alloc`] or [`huge_resize`] with this layout, and nobody refers to it.
pub(crate) unsafe fn huge_free<V: Shared>(start: NonNull<u8>, layout: Layout) {
    let bytes = mapping_bytes::<V>(layout.size());
    if V::BY_ADDRESS {
        V::huge_blocks().remove(V::page_map(), start, bytes);
    }
    V::page_heap().lock.with(|| V::page_heap().map_cache.remove_live());
    // SAFETY: the caller's condition.
    unsafe { give_up::<V>(start, bytes) };
}

/// # Safety
/// The range is whole pages of mappings, and nobody refers to it.
unsafe fn give_up<V: Shared>(start: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller's condition.
    unsafe { V::page_heap().keep(start, bytes, bound::<V>()) };
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
        // SAFETY: `new` is inside the mapping.
        let tail = unsafe { start.add(new) };
        record::<V>(start, old, new);
        // SAFETY: the block ends there from here on.
        unsafe { give_up::<V>(tail, old - new) };
        return Moved::To(start);
    }
    // The range behind the block may be the tail that it gave up.
    let takes_back = || V::page_heap().map_cache.take_at(start.addr().get() + old, new - old);
    if V::KEEP_MIB > 0 && V::page_heap().lock.with(takes_back) {
        record::<V>(start, old, new);
        return Moved::To(start);
    }
    if layout.align() > PAGE_BYTES {
        return Moved::No;
    }
    V::page_heap().lock.with(|| make_way::<V>(new - old));
    // SAFETY: the caller's condition: nobody else refers to the block.
    let resize = || unsafe { pages::resize(start, old, new) };
    let moved = if V::BY_ADDRESS {
        V::huge_blocks().change(V::page_map(), start, (old, new), resize)
    } else {
        resize()
    };
    let Some(at) = moved else { return Moved::No };
    if at != start {
        V::page_heap().lock.with(|| V::page_heap().map_cache.add_cut());
    }
    Moved::To(at)
}

/// Notes that a mapping changed its length where it is.
fn record<V: Shared>(start: NonNull<u8>, old: usize, new: usize) {
    if V::BY_ADDRESS {
        V::huge_blocks().change_length(start, old, new);
    }
}
