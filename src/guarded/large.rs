//! Sizes above the classes, in variants whose blocks have tails.
//!
//! A span has a tail, as a block of a class has. A huge block has none: it lies between fences, or is as it is without
//! tails.

use super::check_blank;
use crate::base::SLICE_BYTES;
use crate::central::fenced;
use crate::large::{large, large_zeroed, place, span_most, span_slices, take_span, tick};
use crate::sys::secret;
use crate::tail::{TAIL_BYTES, Tailed};
use crate::thread_cache::Cached;
use crate::variant::{Growth, Large, Variant, Wipe};
use core::alloc::Layout;
use core::ptr::NonNull;

/// # Safety
/// The size is above 0. `tailed` is `layout` with a tail, and above the classes.
#[cold]
#[inline(never)]
pub(super) unsafe fn alloc_large<V: Cached>(
    layout: Layout,
    tailed: Layout,
    zeroed: bool,
) -> *mut u8 {
    let Some(slices) = span_slices::<V>(tailed) else {
        tick::<V>(true);
        if V::LARGE == Large::Fenced
            && let Some(start) = fenced::alloc::<V>(layout)
        {
            return start.as_ptr();
        }
        let untailed = untailed::<V>(layout);
        let (size, align) = (untailed.size(), untailed.align());
        // SAFETY: the caller's condition.
        let plain = || unsafe { large::<V>(size, align) };
        // SAFETY: the caller's condition.
        let zeros = || unsafe { large_zeroed::<V>(size, align) };
        return if zeroed { zeros() } else { plain() };
    };
    secret::choose();
    let bytes = slices * SLICE_BYTES;
    let wiped = V::WIPE == Wipe::Checked && tailed.align() <= SLICE_BYTES;
    if wiped && let Some(start) = take_span::<V>(tailed.size()) {
        // SAFETY: a span of so many slices, which the span cache gave to this function alone.
        let block = unsafe { Tailed::new(start, bytes) };
        check_blank(start, block);
        block.set_in_use(layout.size());
        return start.as_ptr();
    }
    let start = match zeroed || V::WIPE == Wipe::Checked {
        // SAFETY: the caller's condition; the tail adds to the size.
        true => unsafe { large_zeroed::<V>(tailed.size(), tailed.align()) },
        false => place::<V>(tailed, Growth::Tight),
    };
    if let Some(start) = NonNull::new(start) {
        // SAFETY: a span of so many slices, which the page heap gave to this function alone.
        let block = unsafe { Tailed::new(start, bytes) };
        if V::WIPE == Wipe::None {
            block.wipe_slack(layout.size());
        }
        block.set_in_use(layout.size());
    }
    start
}

/// The layout of a huge block without a tail. A size that is a span's without a tail, but not with one, becomes the least
/// of a huge block.
pub(crate) fn untailed<V: Variant>(layout: Layout) -> Layout {
    let size = match span_slices::<V>(layout) {
        Some(_) => span_most::<V>() + 1,
        None => layout.size(),
    };
    Layout::from_size_align(size, layout.align()).unwrap_or(layout)
}

/// True if a block of a layout has a tail.
pub(crate) fn has_tail<V: Variant>(layout: Layout) -> bool {
    let tailed = Layout::from_size_align(layout.size() + TAIL_BYTES, layout.align());
    tailed.is_ok_and(|tailed| span_slices::<V>(tailed).is_some())
}
