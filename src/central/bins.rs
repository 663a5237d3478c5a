//! A central list's slabs: in bins by fullness, and in a list of those that a purge is to visit.
//!
//! ```text
//!  bins[0] ──▶ slab ──▶ slab      three quarters of the blocks in use, or more
//!  bins[1] ──▶ slab               half, or more
//!  bins[2]                        a quarter, or more
//!  bins[3] ──▶ slab               less than a quarter
//! ```
//!
//! With `partial = "latest"` all slabs are in the first bin.
//!
//! N6  A slab is in the list `purgeable_slabs` exactly while it says that it is.
//!
//! Never: claims a slab, or retires one.

use super::{CentralList, ListId, Shared};
use crate::linked::LinkedList;
use crate::page_map::Kind;
use crate::slab::Slab;
use crate::stats::{Unsound, ensure};
use crate::sys::atomic::Ordering;
use crate::variant::{Partial, Variant};
use core::ptr;

/// Bins of slabs by fullness, the fullest first.
pub(super) const BINS: usize = 4;

impl CentralList {
    /// Blocks at home. The number is exact with the lock held. Another arena reads it without the lock, to see whether
    /// it could take a slab over.
    pub(super) fn free(&self) -> usize {
        // ORDERING: relaxed; a number that publishes nothing.
        self.free.load(Ordering::Relaxed)
    }

    pub(super) fn set_free(&self, blocks: usize) {
        self.lock.check_held();
        // ORDERING: relaxed, as in `free`.
        self.free.store(blocks, Ordering::Relaxed);
    }

    pub(super) fn first_slab(&self) -> Option<&'static Slab> {
        self.bins.iter().find_map(LinkedList::first)
    }

    /// The bin of a slab; `None` for a slab without blocks (N2).
    pub(super) fn bin_of<V: Variant>(slab: &Slab) -> Option<usize> {
        if !slab.has_blocks() {
            return None;
        }
        let (used, capacity) = (slab.used() as usize, slab.capacity() as usize);
        match V::PARTIAL {
            Partial::Latest => Some(0),
            // By quarters; the emptiest last. A division would take longer than three comparisons.
            Partial::Fullest => {
                let quarters = (1..BINS).filter(|part| used * BINS >= part * capacity).count();
                Some(BINS - 1 - quarters)
            }
        }
    }

    pub(super) fn relink<V: Variant>(&self, slab: &'static Slab) {
        self.lock.check_held();
        let bin = Self::bin_of::<V>(slab);
        if bin.map_or(0, |bin| bin as u8 + 1) == slab.bin.get() {
            return;
        }
        self.unlink(slab);
        if let Some(bin) = bin {
            self.bins[bin % BINS].push(slab);
            slab.bin.set(bin as u8 + 1);
            self.capacity.set(self.capacity.get() + slab.capacity() as usize);
        }
    }

    pub(super) fn unlink(&self, slab: &'static Slab) {
        self.lock.check_held();
        if let Some(bin) = usize::from(slab.bin.replace(0)).checked_sub(1) {
            self.bins[bin % BINS].remove(slab);
            self.capacity.set(self.capacity.get() - slab.capacity() as usize);
        }
    }

    /// The slabs that have blocks. The caller moves none of them while it iterates.
    pub(super) fn slabs(&self) -> impl Iterator<Item = &'static Slab> {
        self.bins.iter().flat_map(LinkedList::iter)
    }

    /// Notes that blocks came home to a slab, or that it was claimed dirty.
    pub(super) fn touch(&self, slab: &'static Slab, now: u64) {
        self.lock.check_held();
        if slab.touch(now) {
            self.put_purgeable(slab);
        }
    }

    /// Slabs that a purge has not visited since blocks came home to them.
    pub(crate) fn purgeable_count(&self) -> u32 {
        self.purgeable_count.get()
    }

    /// Takes the slab that a purge visits next out of the list. The caller purges it or puts it back.
    pub(super) fn next_purgeable(&self) -> Option<&'static Slab> {
        let slab = self.purgeable_slabs.first()?;
        self.remove_purgeable(slab);
        Some(slab)
    }

    /// Takes a slab out of the list.
    pub(super) fn remove_purgeable(&self, slab: &'static Slab) {
        self.lock.check_held();
        self.purgeable_slabs.remove(slab);
        self.purgeable_count.set(self.purgeable_count.get() - 1);
    }

    /// Puts a slab at the end of the list.
    pub(super) fn put_purgeable(&self, slab: &'static Slab) {
        self.lock.check_held();
        self.purgeable_slabs.push_last(slab);
        self.purgeable_count.set(self.purgeable_count.get() + 1);
    }

    /// An error unless the list's slabs are sound and counted. With the lock held, for audits.
    pub(super) fn check<V: Shared>(&self, id: ListId) -> Result<(), Unsound> {
        let place = ptr::from_ref(self).addr();
        let is_slab =
            |address| Slab::may_be_at(address) && V::page_map().has(address, Kind::Header);
        let is_linked = self.bins.iter().all(|bin| bin.is_linked(is_slab));
        ensure(is_linked, "O1, a bin of slabs", place)?;
        ensure(self.purgeable_slabs.is_linked(is_slab), "O1, slabs to be purged", place)?;
        let (mut capacity, mut used) = (0, 0);
        for slab in self.slabs() {
            let at = slab.page(0).addr().get();
            let is_of_class = slab.capacity() > 0 && slab.class() == id.class;
            ensure(is_of_class, "N2, a slab of another class", at)?;
            ensure(slab.home.get() == Some(id.arena), "HM1, a slab of another arena", at)?;
            ensure(slab.is_sound::<V>(), "Y1-Y4, a slab's blocks", at)?;
            let bin = Self::bin_of::<V>(slab).map_or(0, |bin| bin as u8 + 1);
            ensure(slab.bin.get() == bin && bin > 0, "N2, a slab's bin", at)?;
            let is_spare = self.spare.get().is_some_and(|spare| ptr::eq(spare, slab));
            ensure((slab.used() == 0) == is_spare, "N5, a slab without a block in use", at)?;
            let is_class = V::page_map().has(at, Kind::Class(id.class));
            ensure(is_class, "A1, a slab in the page map", at)?;
            capacity += slab.capacity() as usize;
            used += slab.used() as usize;
        }
        ensure(self.capacity.get() == capacity, "N4, room for blocks", place)?;
        ensure(self.free() == capacity - used, "N4, blocks at home", place)?;
        let purgeable = self.purgeable_slabs.iter().count();
        ensure(self.purgeable_count.get() as usize == purgeable, "N6, slabs to be purged", place)?;
        let purged = self.purgeable_slabs.iter().find(|slab| slab.is_purged());
        let at = purged.map_or(0, |slab| slab.page(0).addr().get());
        ensure(purged.is_none(), "N6, a slab that is purged", at)
    }
}
