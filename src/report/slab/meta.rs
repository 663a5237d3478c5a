//! A slab: the metadata of one slot.
//!
//! B1  Every block of a carved slab is in exactly one place: this slab's `free`, its `remote`, a
//!     thread's list, or the program's hands.
//! B2  `used`, the blocks that have left the slab, is `capacity` less those in `free`. A block in a
//!     thread's list, or in `remote`, counts as used until a drain brings it home.
//! B3  An EMPTY slab has all its blocks in `free`.

use super::state::State;
use super::superslab::SuperSlab;
use crate::base::{CACHE_LINE, ClassIdx, SLICE_BYTES, SliceIdx};
use crate::linked::{Linked, Links};
use crate::report::list::Block;
use crate::report::list::{LocalList, RemoteList, Taken};
use crate::sys::atomic::{AtomicU8, AtomicU32, Ordering};
use crate::sys::fatal::fatal;
use crate::sys::watcher;
use crate::variant::Variant;
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// The metadata of one slot. All bytes of an UNUSED slab are zero.
#[repr(C, align(64))]
pub(crate) struct Slab {
    /// Blocks that other threads freed, and the slab's owner. [shared]
    pub(crate) remote: RemoteList,
    /// Blocks that are home. [owner]
    free: LocalList,
    /// Neighbours in the owner's list of its slabs of this class. [owner]
    owned: Links<Slab>,
    /// Blocks that were carved; 0 before the first time. [owner]
    capacity: Cell<u32>,
    /// Link in the pool's freelist. [shared]
    next_empty: AtomicU32,
    /// [shared]
    state: AtomicU8,
    /// Class of the blocks; written only while none is in use. [owner] writes, and a thread that
    /// holds a block of the slab may read
    class: Cell<u8>,
}

const _: () = assert!(size_of::<Slab>() == CACHE_LINE);

// SAFETY: `remote`, `next_empty` and `state` are atomic; the other fields are touched only by the
// thread that has the slab in its hands (L2), and it changes hands only through operations that
// synchronise: `remote.abandon`/`adopt`, the pool's freelist, the claim masks. `class` is also read by
// a thread that frees a block it holds: it got the block after the class was written, and the class is
// written again only after that block has come home, by the push that follows the read.
unsafe impl Sync for Slab {}

impl Linked<0> for Slab {
    #[inline(always)]
    fn links(&self) -> &Links<Self> {
        &self.owned
    }
}

impl Slab {
    // ---- where it is -------------------------------------------------------------------------

    #[inline(always)]
    fn address(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    #[inline(always)]
    pub(crate) fn superslab<V: Variant>(&self) -> &'static SuperSlab {
        // SAFETY: a slab's metadata lies in its SuperSlab.
        unsafe { SuperSlab::containing::<V>(self.address()) }
    }

    #[inline(always)]
    pub(crate) fn slot<V: Variant>(&self) -> SliceIdx {
        let offset = self.address() & (V::SUPERSLAB_BYTES - 1);
        SliceIdx::new((offset - size_of::<SuperSlab>()) / size_of::<Self>())
    }

    /// The slab that a block of this variant belongs to.
    ///
    /// # Safety
    /// The block lies in a SuperSlab of this variant.
    #[inline(always)]
    pub(crate) unsafe fn of_block<V: Variant>(block: NonNull<Block>) -> &'static Self {
        let address = block.addr().get();
        // SAFETY: the caller's condition.
        unsafe { SuperSlab::containing::<V>(address) }.slab_at::<V>(address)
    }

    /// A number for this slab, from 1, that [`with_id`](Self::with_id)'s caller turns back.
    pub(crate) fn id<V: Variant>(&self) -> u32 {
        self.superslab::<V>().index() * V::SLICES as u32 + self.slot::<V>().index() as u32 + 1
    }

    /// Directory place and slot of a slab's number.
    pub(crate) fn place_of_id<V: Variant>(id: u32) -> (u32, SliceIdx) {
        let place = id - 1;
        (place / V::SLICES as u32, SliceIdx::new(place as usize % V::SLICES))
    }

    /// Address of the slot's first byte.
    fn slot_address<V: Variant>(&self) -> usize {
        self.superslab::<V>().address() + self.slot::<V>().index() * SLICE_BYTES
    }

    /// Number of the block in its slot.
    fn index_of<V: Variant>(&self, block: NonNull<Block>) -> u16 {
        let offset = block.addr().get() % SLICE_BYTES;
        (offset / V::CLASSES.block_bytes(self.class())) as u16
    }

    fn block_at<V: Variant>(&self, index: u16) -> NonNull<Block> {
        let offset = usize::from(index) * V::CLASSES.block_bytes(self.class());
        let block = ptr::with_exposed_provenance_mut(self.slot_address::<V>() + offset);
        NonNull::new(block).unwrap_or(NonNull::dangling())
    }

    /// Number of the first block: behind the header in slot 0, else 0.
    fn first_index<V: Variant>(&self, class: ClassIdx) -> u16 {
        let bytes = V::CLASSES.block_bytes(class);
        if self.slot::<V>() == SliceIdx::FIRST {
            (SuperSlab::header_bytes::<V>(bytes) / bytes) as u16
        } else {
            0
        }
    }

    /// True if a block of this slab starts at an address.
    pub(crate) fn has_block_at<V: Variant>(&self, address: usize) -> bool {
        let bytes = V::CLASSES.block_bytes(self.class());
        let offset = address.wrapping_sub(self.slot_address::<V>());
        let first = usize::from(self.first_index::<V>(self.class()));
        offset < SLICE_BYTES && offset.is_multiple_of(bytes) && offset / bytes >= first
    }

    // ---- state -------------------------------------------------------------------------------

    pub(crate) fn state(&self) -> State {
        // ORDERING: relaxed; a snapshot for audits, or read by the thread that holds the slab (L2).
        State::from_byte(self.state.load(Ordering::Relaxed))
    }

    /// Goes from one state to the next; false if it is not in the first one, which means that two
    /// threads have the slab in their hands.
    pub(crate) fn enter(&self, from: State, to: State) -> bool {
        debug_assert!(from.may_become(to));
        // ORDERING: relaxed; the slab's hands change by the freelist or a mask, which synchronise.
        // This is the guard against a second activation, and publishes nothing.
        self.state
            .compare_exchange(from as u8, to as u8, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// The freelist's link; see [`crate::report::list::TaggedStack`].
    pub(crate) fn empty_link(&self) -> &AtomicU32 {
        &self.next_empty
    }

    // ---- blocks: for the thread that has the slab in its hands -----------------------------------

    pub(crate) fn class(&self) -> ClassIdx {
        ClassIdx::from_table(self.class.get())
    }

    /// Blocks that have left the slab and not come home.
    #[inline]
    pub(crate) fn used(&self) -> u32 {
        self.capacity.get() - self.free.len()
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.capacity.get()
    }

    /// True if a refill would find a block here.
    #[inline]
    pub(crate) fn has_free(&self) -> bool {
        self.free.len() > 0
    }

    /// Makes the slot's memory blocks of a class, all of them home. Not needed, and skipped, where
    /// it is just that already.
    pub(crate) fn carve<V: Variant>(&self, class: ClassIdx) {
        debug_assert_eq!(self.used(), 0, "blocks are out");
        if self.capacity.get() > 0 && self.class() == class {
            return;
        }
        while self.free.pop().is_some() {}
        self.class.set(class.index() as u8);
        let first = self.first_index::<V>(class);
        let end = (SLICE_BYTES / V::CLASSES.block_bytes(class)) as u16;
        for index in (first..end).rev() {
            watcher::show(self.block_at::<V>(index).as_ptr().cast(), V::CLASSES.block_bytes(class));
            // SAFETY: the block lies in this slot, behind the header. No block is in use and the
            // free list is empty, so the block is free and in no list; each index comes once.
            unsafe { self.free.push(self.block_at::<V>(index)) };
        }
        self.capacity.set(self.free.len());
    }

    /// Moves up to `count` free blocks to a thread's empty list.
    pub(crate) fn give(&self, list: &LocalList, count: u32) -> u32 {
        self.free.split_into(list, count)
    }

    /// Brings a block home. More blocks than have left is misuse that has gone too far to contain:
    /// some block was freed twice, and the slab must not pass for EMPTY while one is in use.
    ///
    /// # Safety
    /// The block is of this slab, free, in the caller's hands alone and in no list.
    #[inline]
    pub(crate) unsafe fn take_home(&self, block: NonNull<Block>) {
        if self.used() == 0 {
            fatal("double free:", block.addr().get());
        }
        // SAFETY: the caller's condition.
        unsafe { self.free.push(block) };
    }

    /// Brings home the blocks that other threads have freed, and returns their number.
    pub(crate) fn drain_remote<V: Variant>(&self) -> u32 {
        let Taken { head, count } = self.remote.take();
        let mut next = head;
        for _ in 0..count {
            let Some(index) = next else { break };
            let block = self.block_at::<V>(index);
            // SAFETY: the block was pushed by `free_remote`, which wrote its link; the chain was
            // taken, so it is in this thread's hands alone.
            next = unsafe { block.cast::<RemoteLink>().read() }.index();
            // SAFETY: the block is free, of this slab, and in this thread's hands alone; a chain holds each block once
            // (R1).
            unsafe { self.take_home(block) };
        }
        count
    }

    /// Frees a block from a thread that does not own the slab. It returns the owner, if the owner must be told.
    ///
    /// # Safety
    /// The block is of this slab, in use, and the caller's to free.
    pub(crate) unsafe fn free_remote<V: Variant>(&self, block: NonNull<Block>) -> Option<u32> {
        let link = block.cast::<RemoteLink>();
        let pushed = self.remote.push(self.index_of::<V>(block), |next| {
            // SAFETY: the block is the caller's alone until the push succeeds, by the caller's
            // condition; it has 8 bytes, aligned to 8 (C1, C3).
            unsafe { link.write(RemoteLink::to(next)) };
        });
        pushed.first.then_some(pushed.owner)
    }

    /// True if every block is home, and each block is a different one. A block freed twice must not make a slab count
    /// as empty while another block of it is in use.
    pub(crate) fn is_all_home<V: Variant>(&self) -> bool {
        let slot = self.slot_address::<V>();
        self.used() == 0
            && self.free.is_sound(|block| block.addr().get().wrapping_sub(slot) < SLICE_BYTES)
    }

    /// Checks B1 to B3 as far as this slab can see; for audits, when no thread is at work.
    pub(crate) fn is_sound<V: Variant>(&self) -> bool {
        self.free.is_sound(|block| self.has_block_at::<V>(block.addr().get()))
            && self.free.len() <= self.capacity()
            && self.remote.count() <= self.used()
            && (self.state() != State::Empty || self.used() == 0)
    }
}

/// The link of a block in a remote list: the number of the next one, plus one.
#[derive(Clone, Copy)]
#[repr(C)]
struct RemoteLink(u64);

impl RemoteLink {
    fn to(next: Option<u16>) -> Self {
        Self(next.map_or(0, |index| u64::from(index) + 1))
    }

    fn index(self) -> Option<u16> {
        u16::try_from(self.0.checked_sub(1)?).ok()
    }
}
