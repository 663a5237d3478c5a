//! Mappings that were freed and wait to be used again, dirty: nothing is as dear as faulting pages in
//! that were there a moment ago.
//!
//! Extents of whole pages, none of which touches another: neighbours are joined, and one is cut where
//! less is wanted. So nobody need know how a mapping came about.
//!
//! Touched with the lock of the spans held. Never: holds more bytes than its bound, or a system call but
//! to give memory back.

use crate::sys::{clock, pages};
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// Extents that are kept, at most.
const PLACES: usize = 32;

#[derive(Clone, Copy)]
struct Extent {
    start: usize,
    bytes: usize,
    /// When it was freed, in milliseconds.
    freed_at: u32,
}

const NONE: Extent = Extent { start: 0, bytes: 0, freed_at: 0 };

pub(crate) struct Kept {
    extents: [Cell<Extent>; PLACES],
    bytes: Cell<usize>,
}

impl Kept {
    pub(super) const fn new() -> Self {
        Self { extents: [const { Cell::new(NONE) }; PLACES], bytes: Cell::new(0) }
    }

    /// Bytes that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Takes `bytes` out of what is kept: from the smallest extent that has them.
    pub(super) fn take(&self, bytes: usize) -> Option<NonNull<u8>> {
        let fits = self.extents.iter().filter(|extent| extent.get().bytes >= bytes);
        let extent = fits.min_by_key(|extent| extent.get().bytes)?;
        let Extent { start, bytes: all, freed_at } = extent.get();
        // From its end, so that what stays keeps its place.
        extent.set(if all == bytes {
            NONE
        } else {
            Extent { start, bytes: all - bytes, freed_at }
        });
        self.bytes.set(self.bytes.get() - bytes);
        NonNull::new(ptr::with_exposed_provenance_mut(start + all - bytes))
    }

    /// The largest extent, whole, if there is any: to be made larger.
    pub(super) fn take_largest(&self) -> Option<(NonNull<u8>, usize)> {
        let kept = self.extents.iter().filter(|extent| extent.get().bytes > 0);
        let extent = kept.max_by_key(|extent| extent.get().bytes)?;
        let Extent { start, bytes, .. } = extent.replace(NONE);
        self.bytes.set(self.bytes.get() - bytes);
        Some((NonNull::new(ptr::with_exposed_provenance_mut(start))?, bytes))
    }

    /// Keeps an extent of whole pages, and gives back what is then too much: the oldest first.
    ///
    /// # Safety
    /// The range is mapped by `sys::pages`, and nobody refers to it.
    pub(super) unsafe fn put(&self, start: NonNull<u8>, bytes: usize, now: u32, bound: usize) {
        if bytes > bound {
            // SAFETY: the caller's condition.
            return unsafe { pages::unmap(start, bytes) };
        }
        let mut joined = Extent { start: start.expose_provenance().get(), bytes, freed_at: now };
        self.bytes.set(self.bytes.get() + bytes);
        for extent in &self.extents {
            let other = extent.get();
            if other.bytes == 0 {
                continue;
            }
            if other.start + other.bytes == joined.start {
                joined = Extent { start: other.start, bytes: other.bytes + joined.bytes, ..joined };
                extent.set(NONE);
            } else if joined.start + joined.bytes == other.start {
                joined.bytes += other.bytes;
                extent.set(NONE);
            }
        }
        while self.bytes.get() > bound && joined.bytes < self.bytes.get() {
            self.drop_oldest(now);
        }
        if self.extents.iter().all(|extent| extent.get().bytes > 0) {
            self.drop_oldest(now);
        }
        if let Some(place) = self.extents.iter().find(|extent| extent.get().bytes == 0) {
            place.set(joined);
        }
        while self.bytes.get() > bound {
            self.drop_oldest(now);
        }
    }

    fn drop_oldest(&self, now: u32) {
        let kept = self.extents.iter().filter(|extent| extent.get().bytes > 0);
        let age = |extent: &&Cell<Extent>| clock::since(extent.get().freed_at, now);
        if let Some(oldest) = kept.max_by_key(age) {
            self.drop(oldest);
        }
    }

    /// Gives back what has been kept for longer than `delay` milliseconds.
    pub(super) fn drop_older(&self, now: u32, delay: u32) {
        for extent in &self.extents {
            if extent.get().bytes > 0 && clock::since(extent.get().freed_at, now) >= delay {
                self.drop(extent);
            }
        }
    }

    fn drop(&self, extent: &Cell<Extent>) {
        let Extent { start, bytes, .. } = extent.replace(NONE);
        self.bytes.set(self.bytes.get() - bytes);
        if let Some(start) = NonNull::new(ptr::with_exposed_provenance_mut(start)) {
            // SAFETY: whoever put it here gave it up, and it is taken out.
            unsafe { pages::unmap(start, bytes) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4096;
    const NO_BOUND: usize = 1 << 30;

    #[test]
    fn cut_and_joined() {
        let kept = Kept::new();
        let start = pages::map(8 * PAGE).expect("pages");
        // SAFETY: mapped above, and nobody refers to it.
        unsafe { kept.put(start, 8 * PAGE, 0, NO_BOUND) };
        let part = kept.take(3 * PAGE).expect("there are eight");
        assert_eq!(part.addr().get(), start.addr().get() + 5 * PAGE);
        assert!(kept.take(6 * PAGE).is_none());
        // SAFETY: taken above.
        unsafe { kept.put(part, 3 * PAGE, 5, NO_BOUND) };
        assert_eq!(kept.take(8 * PAGE), Some(start));
        assert_eq!(kept.bytes.get(), 0);
        // SAFETY: as above.
        unsafe { kept.put(start, 8 * PAGE, 7, NO_BOUND) };
        kept.drop_older(10, 5);
        assert_eq!(kept.bytes.get(), 8 * PAGE);
        kept.drop_older(12, 5);
        assert_eq!(kept.bytes.get(), 0);
    }

    #[test]
    fn never_more_than_the_bound() {
        let kept = Kept::new();
        for n in 0..100 {
            let start = pages::map((1 + n % 5) * PAGE).expect("pages");
            // SAFETY: mapped above, and nobody refers to it.
            unsafe { kept.put(start, (1 + n % 5) * PAGE, n as u32, 10 * PAGE) };
            assert!(kept.bytes.get() <= 10 * PAGE);
        }
        let start = pages::map(11 * PAGE).expect("pages");
        // SAFETY: as above.
        unsafe { kept.put(start, 11 * PAGE, 100, 10 * PAGE) };
        assert!(kept.bytes.get() <= 10 * PAGE);
        kept.drop_older(1000, 0);
    }
}
