//! The map cache: mappings of freed huge blocks, kept for reuse. They are dirty, so reuse saves the page faults.
//!
//! ```text
//!  extents   [start, bytes, freed_at]  [start, bytes, freed_at]  …     up to `PLACES`, in any order
//! ```
//!
//! An extent is a range of whole pages. Neighbours are joined, and an extent is cut where a block wants less. So no
//! caller needs to know how a mapping came about. A range that goes back leaves a hole between mappings. Once there are
//! many holes, only its memory goes back, and its addresses stay (`retained.rs`).
//!
//! Each operation looks at [`PLACES`] extents. The caller holds the lock of the page heap.
//!
//! Never: holds more bytes than its bound, or makes a system call but to give memory back or to prepare `retained`.

use super::retained::Retained;
use crate::sys::{clock, pages};
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// Extents that the cache holds at most.
const PLACES: usize = 32;

#[derive(Clone, Copy)]
struct Extent {
    start: usize,
    bytes: usize,
    /// The time when it was freed, in milliseconds.
    freed_at: u64,
}

impl Extent {
    /// The last multiple of `align` from which the extent has `bytes`.
    fn last_of(self, bytes: usize, align: usize) -> Option<usize> {
        let at = (self.start + self.bytes).checked_sub(bytes)? & !(align - 1);
        (at >= self.start && self.bytes > 0).then_some(at)
    }
}

const NONE: Extent = Extent { start: 0, bytes: 0, freed_at: 0 };

/// The map cache of one variant.
pub(crate) struct MapCache {
    extents: [Cell<Extent>; PLACES],
    bytes: Cell<usize>,
    /// Huge blocks in use: each has a mapping of its own.
    live: Cell<usize>,
    /// Times that a mapping may have been cut in two, or may have come to lie alone. The smaller of `live`
    /// and `cuts` bounds the number of mappings that huge blocks have.
    cuts: Cell<usize>,
    /// Ranges that went back without their addresses.
    pub(super) retained: Retained,
}

/// Cuts at which the nodes for retained ranges are mapped.
const SOME_CUTS: usize = 256;
/// Mappings at which ranges are retained instead of unmapped. The number is well below the kernel's limit, since a
/// program has other mappings, too.
const MANY_MAPPINGS: usize = 24_000;

impl MapCache {
    pub(super) const fn new() -> Self {
        Self {
            extents: [const { Cell::new(NONE) }; PLACES],
            bytes: Cell::new(0),
            live: Cell::new(0),
            cuts: Cell::new(0),
            retained: Retained::new(),
        }
    }

    /// Notes one huge block more. If it lies alone, that is one mapping more.
    pub(super) fn add_live(&self, alone: bool) {
        self.live.set(self.live.get() + 1);
        if alone {
            self.add_cut();
        }
    }

    /// Notes one huge block fewer.
    pub(super) fn remove_live(&self) {
        self.live.set(self.live.get() - 1);
    }

    /// Notes that a mapping was cut.
    pub(super) fn add_cut(&self) {
        self.cuts.set(self.cuts.get() + 1);
        if self.cuts.get() == SOME_CUTS {
            self.retained.prepare();
        }
    }

    /// True if there may be so many mappings that the allocator makes no more holes.
    pub(super) fn is_crowded(&self) -> bool {
        self.live.get().min(self.cuts.get()) >= MANY_MAPPINGS
    }

    /// Unmaps a range, or retains its addresses if there are many mappings.
    ///
    /// # Safety
    /// The range is whole pages, mapped by `sys::pages`, and nobody refers to it.
    pub(super) unsafe fn let_go(&self, start: NonNull<u8>, bytes: usize) {
        if !self.is_crowded() {
            self.add_cut();
            // SAFETY: the caller's condition.
            if unsafe { pages::unmap(start, bytes) } {
                return;
            }
        }
        // SAFETY: the caller's condition.
        unsafe { self.retain(start, bytes) };
    }

    /// Gives a range's memory back, and retains its addresses.
    ///
    /// # Safety
    /// As for [`let_go`](Self::let_go).
    pub(super) unsafe fn retain(&self, start: NonNull<u8>, bytes: usize) {
        // SAFETY: the caller's condition. If the program has locked the pages, the kernel keeps their memory. The range
        // then cannot be taken for zero, and is lost.
        if unsafe { pages::purge(start, bytes) } {
            self.retained.put(start.expose_provenance().get(), bytes);
        }
    }

    /// Unmaps up to `most` retained ranges, unless there are many mappings. Returns how many.
    pub(super) fn unmap_retained(&self, most: usize) -> usize {
        let unmap_one = || {
            let (start, bytes) = if self.is_crowded() { None } else { self.retained.take_any() }?;
            // SAFETY: taken out of the retained ranges, so nobody refers to it (HO1).
            let unmapped = unsafe { pages::unmap(start, bytes) };
            if unmapped {
                self.add_cut();
            } else {
                self.retained.put(start.addr().get(), bytes);
            }
            unmapped.then_some(())
        };
        core::iter::from_fn(unmap_one).take(most).count()
    }

    /// Bytes in the cache.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Extents in the cache.
    pub(super) fn extents(&self) -> usize {
        self.extents.iter().filter(|extent| extent.get().bytes > 0).count()
    }

    /// Takes `bytes` at a multiple of `align`, from the end of the smallest extent that has them. The rest of the
    /// extent keeps its place.
    pub(super) fn take(&self, bytes: usize, align: usize) -> Option<NonNull<u8>> {
        let fits = |extent: &&Cell<Extent>| extent.get().last_of(bytes, align).is_some();
        let extent = self.extents.iter().filter(fits).min_by_key(|extent| extent.get().bytes)?;
        let at = extent.get().last_of(bytes, align)?;
        let Extent { start, bytes: all, freed_at } = extent.get();
        self.cut(extent, start + all - at);
        let behind = Extent { start: at + bytes, bytes: start + all - at - bytes, freed_at };
        if behind.bytes > 0 {
            self.bytes.set(self.bytes.get() + behind.bytes);
            match self.extents.iter().find(|extent| extent.get().bytes == 0) {
                Some(place) => place.set(behind),
                None => self.drop(&Cell::new(behind)),
            }
        }
        NonNull::new(ptr::with_exposed_provenance_mut(at))
    }

    /// Takes the `bytes` that begin at an address. Returns false if the cache does not have them.
    pub(super) fn take_at(&self, address: usize, bytes: usize) -> bool {
        let begins = |extent: &&Cell<Extent>| {
            let Extent { start, bytes: all, .. } = extent.get();
            start == address && all >= bytes
        };
        let Some(extent) = self.extents.iter().find(begins) else { return false };
        let Extent { start, bytes: all, freed_at } = extent.get();
        extent.set(Extent { start: start + bytes, bytes: all - bytes, freed_at });
        self.bytes.set(self.bytes.get() - bytes);
        true
    }

    /// Takes the largest extent whole, to be made larger.
    pub(super) fn take_largest(&self) -> Option<(NonNull<u8>, usize)> {
        let kept = self.extents.iter().filter(|extent| extent.get().bytes > 0);
        let extent = kept.max_by_key(|extent| extent.get().bytes)?;
        let Extent { start, bytes, .. } = extent.replace(NONE);
        self.bytes.set(self.bytes.get() - bytes);
        Some((NonNull::new(ptr::with_exposed_provenance_mut(start))?, bytes))
    }

    /// Puts an extent of whole pages into the cache. The oldest extents go back until the cache has no more bytes than
    /// `bound`.
    ///
    /// # Safety
    /// The range is mapped by `sys::pages`, and nobody refers to it.
    pub(super) unsafe fn put(&self, start: NonNull<u8>, bytes: usize, now: u64, bound: usize) {
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

    /// Gives back the oldest `bytes`, or all there are.
    pub(super) fn give_back(&self, bytes: usize, now: u64) {
        let mut left = bytes;
        while left > 0
            && let Some(oldest) = self.oldest(now)
        {
            let part = oldest.get().bytes.min(left);
            self.drop_tail(oldest, part);
            left -= part;
        }
    }

    fn drop_oldest(&self, now: u64) {
        if let Some(oldest) = self.oldest(now) {
            self.drop(oldest);
        }
    }

    fn oldest(&self, now: u64) -> Option<&Cell<Extent>> {
        let kept = self.extents.iter().filter(|extent| extent.get().bytes > 0);
        kept.max_by_key(|extent| clock::since(extent.get().freed_at, now))
    }

    /// Gives back up to `most` bytes of one extent that has been here for `delay` milliseconds. Returns how many.
    pub(super) fn drop_older(&self, now: u64, delay: u64, most: usize) -> usize {
        let is_old = |extent: &&Cell<Extent>| {
            extent.get().bytes > 0 && clock::since(extent.get().freed_at, now) >= delay
        };
        let Some(extent) = self.extents.iter().find(is_old) else { return 0 };
        let bytes = extent.get().bytes.min(most);
        self.drop_tail(extent, bytes);
        bytes
    }

    fn drop(&self, extent: &Cell<Extent>) {
        self.drop_tail(extent, extent.get().bytes);
    }

    /// Gives back the last `bytes` of an extent.
    fn drop_tail(&self, extent: &Cell<Extent>, bytes: usize) {
        if let Some(tail) = self.cut(extent, bytes) {
            // SAFETY: its owner gave it up when it called `put`, and `cut` has taken it out.
            unsafe { self.let_go(tail, bytes) };
        }
    }

    /// Takes the last `bytes` out of an extent, which has at least as many. The rest keeps its place.
    fn cut(&self, extent: &Cell<Extent>, bytes: usize) -> Option<NonNull<u8>> {
        let Extent { start, bytes: all, freed_at } = extent.get();
        let left = all - bytes;
        extent.set(if left == 0 { NONE } else { Extent { start, bytes: left, freed_at } });
        self.bytes.set(self.bytes.get() - bytes);
        NonNull::new(ptr::with_exposed_provenance_mut(start + left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4096;
    const NO_BOUND: usize = 1 << 30;

    #[test]
    fn cut_and_joined() {
        let cache = MapCache::new();
        let start = pages::map(8 * PAGE).expect("pages");
        // SAFETY: mapped above, and nobody refers to it.
        unsafe { cache.put(start, 8 * PAGE, 0, NO_BOUND) };
        let part = cache.take(3 * PAGE, PAGE).expect("there are eight");
        assert_eq!(part.addr().get(), start.addr().get() + 5 * PAGE);
        assert!(cache.take(6 * PAGE, PAGE).is_none());
        // SAFETY: taken above.
        unsafe { cache.put(part, 3 * PAGE, 5, NO_BOUND) };
        assert_eq!(cache.take(8 * PAGE, PAGE), Some(start));
        assert_eq!(cache.bytes.get(), 0);
        // SAFETY: taken above.
        unsafe { cache.put(start, 8 * PAGE, 7, NO_BOUND) };
        cache.drop_older(10, 5, NO_BOUND);
        assert_eq!(cache.bytes.get(), 8 * PAGE);
        cache.drop_older(12, 5, NO_BOUND);
        assert_eq!(cache.bytes.get(), 0);
    }

    #[test]
    fn aligned_out_of_the_middle() {
        let cache = MapCache::new();
        let start = pages::map_aligned(8 * PAGE, 8 * PAGE).expect("pages");
        // SAFETY: mapped above, and nobody refers to it.
        unsafe { cache.put(start, 8 * PAGE, 1, NO_BOUND) };
        let at = |page| start.addr().get() + page * PAGE;
        let address = |taken: Option<NonNull<u8>>| taken.map(|taken| taken.addr().get());
        assert_eq!(address(cache.take(PAGE, 4 * PAGE)), Some(at(4)));
        assert!(cache.take(4 * PAGE, 8 * PAGE).is_some_and(|taken| taken == start));
        assert_eq!(cache.bytes(), 3 * PAGE);
        assert!(!cache.take_at(at(4), PAGE) && !cache.take_at(at(5), 4 * PAGE));
        assert!(cache.take_at(at(5), PAGE) && cache.take_at(at(6), 2 * PAGE));
        assert_eq!(cache.bytes(), 0);
        // SAFETY: mapped above.
        unsafe { pages::unmap(start, 8 * PAGE) };
    }

    #[test]
    fn the_oldest_goes_first() {
        let cache = MapCache::new();
        let [old, new] = [1, 2].map(|_| pages::map(4 * PAGE).expect("pages"));
        for (start, now) in [(old, 1), (new, 2)] {
            // SAFETY: mapped above, and nobody refers to it. The fourth page stays out, so that the two ranges do not
            // touch.
            unsafe { cache.put(start, 3 * PAGE, now, NO_BOUND) };
        }
        cache.give_back(2 * PAGE, 3);
        assert_eq!(cache.bytes(), 4 * PAGE);
        cache.give_back(2 * PAGE, 3);
        assert_eq!(cache.take(2 * PAGE, PAGE), Some(new));
        cache.give_back(2 * PAGE, 3);
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn never_more_than_the_bound() {
        let cache = MapCache::new();
        for n in 0..100 {
            let start = pages::map((1 + n % 5) * PAGE).expect("pages");
            // SAFETY: mapped above, and nobody refers to it.
            unsafe { cache.put(start, (1 + n % 5) * PAGE, n as u64, 10 * PAGE) };
            assert!(cache.bytes.get() <= 10 * PAGE);
        }
        let start = pages::map(11 * PAGE).expect("pages");
        // SAFETY: mapped above, and nobody refers to it.
        unsafe { cache.put(start, 11 * PAGE, 100, 10 * PAGE) };
        assert!(cache.bytes.get() <= 10 * PAGE);
        while cache.drop_older(1000, 0, 2 * PAGE) > 0 {}
    }
}
