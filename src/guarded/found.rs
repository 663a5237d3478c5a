//! What starts at an address, in variants whose blocks have tails.
//!
//! Never: changes anything.

use crate::base::{ClassIdx, SLICE_BYTES};
use crate::central::{self, fenced};
use crate::page_map::Kind;
use crate::slab::Segment;
use crate::sys::fatal::fatal;
use crate::tail::{Compared, Tailed, Told};
use crate::thread_cache::Cached;
use crate::variant::{Large, Variant, Wipe};
use core::alloc::Layout;
use core::ptr::NonNull;

/// What starts at an address, as far as tails and fences guard it.
#[derive(Clone, Copy)]
pub(super) enum Guarded {
    /// A block of a class.
    Block(ClassIdx, Tailed),
    /// A span of so many slices.
    Span(usize, Tailed),
    /// A huge block between fences, with its bytes.
    Huge(usize),
    /// An address without access, for 0 bytes.
    Empty,
    /// A sampled block, which has the size of a class.
    Sampled(Tailed),
}

/// The size that a block was allocated with; `None` for a block that neither tails nor fences guard.
pub(crate) fn size_of<V: Cached>(block: NonNull<u8>) -> Option<usize> {
    find::<V>(block).map(|found| size_of_found::<V>(block, found, None))
}

/// What starts at an address. `None` for what neither tails nor fences guard.
///
/// An address in this variant's memory at which nothing starts is misuse, and ends the process.
#[inline]
pub(super) fn find<V: Cached>(block: NonNull<u8>) -> Option<Guarded> {
    let address = block.addr().get();
    let tailed = |bytes| {
        // SAFETY: a block of so many bytes starts there, in memory that is mapped. If a program breaks the rules and it
        // is not in use, other code may write there. The tail is read then, and mostly ends the process.
        unsafe { Tailed::new(block, bytes) }
    };
    match V::page_map().kind(address) {
        Kind::Class(class) => {
            let (offset, bytes) = (address % SLICE_BYTES, V::CLASSES.block_bytes(class));
            if !V::CLASSES.is_start(class, address) || offset + bytes > SLICE_BYTES {
                fatal("free of an address inside a block:", address);
            }
            return Some(Guarded::Block(class, tailed(bytes)));
        }
        Kind::Span if address.is_multiple_of(SLICE_BYTES) => {
            // SAFETY: a span lies in a segment, which is mapped while the span is out.
            let segment = unsafe { Segment::containing(address) };
            let slices = usize::from(segment.span[Segment::slice_at(address).index()].get());
            if slices > 0 {
                return Some(Guarded::Span(slices, tailed(slices * SLICE_BYTES)));
            }
        }
        Kind::Fenced => {
            if let Some(bytes) = V::huge_blocks().bytes_at(address) {
                return Some(Guarded::Huge(bytes));
            }
        }
        Kind::Empty => {
            central::empty::check::<V>(address);
            return Some(Guarded::Empty);
        }
        Kind::Sampled => {
            let (bytes, _) = V::page_heap().sampled.layout(address);
            return Some(Guarded::Sampled(tailed(bytes)));
        }
        Kind::Foreign if V::LARGE == Large::Fenced => {
            fenced::check_freed::<V>(address);
            return None;
        }
        Kind::Foreign | Kind::Huge => return None,
        Kind::Free | Kind::Header | Kind::Span | Kind::Body | Kind::SuperSlab => {}
    }
    fatal("free of what is no block:", address)
}

/// The size of a block in use. A block that is not, or was written past its end, or has another layout than it is said
/// to have, ends the process.
#[inline]
pub(super) fn size_of_found<V: Cached>(
    block: NonNull<u8>,
    found: Guarded,
    told: Option<Layout>,
) -> usize {
    let size = match found {
        Guarded::Block(_, tailed) | Guarded::Span(_, tailed) | Guarded::Sampled(tailed) => {
            match tailed.told(compared::<V>()) {
                Told::InUse(size) => size,
                wrong => misused_cold(block, wrong),
            }
        }
        Guarded::Huge(bytes) => bytes,
        Guarded::Empty => 0,
    };
    if let Some(layout) = told
        && (layout.size() != size || !block.addr().get().is_multiple_of(layout.align()))
    {
        fatal("free with another size or alignment:", block.addr().get());
    }
    size
}

#[cold]
#[inline(never)]
pub(super) fn misused_cold(block: NonNull<u8>, wrong: Told) -> ! {
    let what = match wrong {
        Told::Freed => "double free, or use of a freed block:",
        Told::Overflown => "a block was written past its end:",
        Told::InUse(_) | Told::Unknown => "a block is not in use, or was written past its end:",
    };
    fatal(what, block.addr().get())
}

/// How much of a slack is compared, of what `prepare` has seen to be zero.
pub(super) const fn compared<V: Variant>() -> Compared {
    match V::WIPE {
        Wipe::Checked => Compared::Much,
        Wipe::None => Compared::First,
    }
}
