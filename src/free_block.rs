//! A free block, as a value that only one owner has.
//!
//! FB1  The owner of a [`FreeBlock`] is the block's only owner: no program, slab, list or batch has it.
//! FB2  A block has at least 8 bytes, and is aligned to 8.
//!
//! With `links = "sealed"` the second 8 bytes of a node hold its *seal*: the sum of its link, eight times its address and
//! a constant. A pop compares it before the link is followed, and clears it. So it notices a program that wrote to a free
//! block, and a block that is in lists twice: the first pop cleared its seal. With `links = "keyed"` the seal depends on
//! the process's secret, too, so that an attacker cannot make one.
//!
//! With `freed = "sealed"` a block has a seal until a program gets it, on whatever way. Outside of lists it is that of no
//! link. So a free that finds a seal is the second one, whichever thread frees, and wherever the block is. But a program
//! may write any number, so `check.rs` looks once more.
//!
//! FB3  A node in a list has the seal of its link, unless a program wrote to it.
//! FB4  With `freed = "sealed"` a free block has a seal from its first free on, unless a program wrote to it, its page went
//!      back to the kernel, or it lies in an outbox. A block in use has none.
//!
//! A function that takes or returns a `FreeBlock` therefore needs no `unsafe`. Only [`FreeBlock::new`] demands a proof.
//! It is called where a program gives a block up, and where a slab hands one out.

use crate::sys::asm;
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::secret::{SPREAD, secret};
use crate::variant::{Freed, Links, Variant};
use core::ptr::{self, NonNull};

/// A free block of a size class. It can be moved, but not copied (FB1).
#[repr(transparent)]
pub(crate) struct FreeBlock(NonNull<Link>);

/// The first 8 bytes of a free block in a list: the next block, or null.
#[repr(C)]
pub(crate) struct Link {
    next: *mut Link,
}

impl FreeBlock {
    /// The free block at an address.
    ///
    /// # Safety
    /// A block of a class starts at `start` (FB2). It is free, and the caller is its only owner (FB1).
    #[inline(always)]
    pub(crate) const unsafe fn new(start: NonNull<u8>) -> Self {
        Self(start.cast())
    }

    /// The block's address.
    #[inline(always)]
    pub(crate) fn address(&self) -> usize {
        self.0.addr().get()
    }

    /// Gives the block's bytes to the caller.
    #[inline(always)]
    pub(crate) const fn into_start(self) -> NonNull<u8> {
        self.0.cast()
    }

    /// The address of the block's node, whose link may not be written yet.
    #[inline(always)]
    pub(crate) fn node(&self) -> *mut Link {
        self.0.as_ptr()
    }

    /// Writes the block's link and returns its node. The list that holds the node owns the block from now on.
    #[inline(always)]
    pub(crate) fn into_node<V: Variant>(self, next: *mut Link) -> *mut Link {
        self.link::<V>(next);
        self.0.as_ptr()
    }

    #[inline(always)]
    fn link<V: Variant>(&self, next: *mut Link) {
        debug_assert!(self.address().is_multiple_of(size_of::<Link>()), "FB2");
        if V::LINKS != Links::Bare {
            // SAFETY: this value is the block's only owner (FB1), and the block has 16 bytes where links are sealed.
            unsafe { seal_at(self.0).write(seal::<V>(self.0, next)) };
        }
        // SAFETY: this value is the block's only owner (FB1), and the block has 8 bytes, aligned to 8 (FB2).
        unsafe { self.0.write(Link { next }) };
    }

    /// Turns a node back into a block, and returns the node that followed it. `None` if its seal is broken (FB3).
    ///
    /// # Safety
    /// [`into_node`](Self::into_node) wrote the link. The caller owns the node, and removes it from its list.
    #[inline(always)]
    pub(crate) unsafe fn from_node<V: Variant>(node: NonNull<Link>) -> Option<(Self, *mut Link)> {
        // SAFETY: the link was written, and the caller owns the node, so no other code writes it (caller's conditions).
        let next = unsafe { node.as_ref() }.next;
        if V::LINKS != Links::Bare {
            // SAFETY: the caller owns the node (caller's condition), which has 16 bytes where links are sealed.
            if unsafe { !is_sealed::<V>(node, next) } {
                return None;
            }
            // SAFETY: the caller owns the node, and the seal lies in its 16 bytes.
            unsafe { seal_at(node).write(0) };
        }
        Some((Self(node), next))
    }

    /// Removes the seal of a block that comes from no list, since a program gets it (FB4).
    #[inline(always)]
    pub(crate) fn unseal<V: Variant>(self) -> Self {
        if V::FREED == Freed::Sealed {
            // SAFETY: this value is the block's only owner (FB1), and the block has 16 bytes where links are sealed.
            unsafe { seal_at(self.0).write(0) };
        }
        self
    }

    /// Seals a block that no list has, in a variant whose frees look for seals (FB4).
    #[inline]
    pub(crate) fn seal<V: Variant>(&self) {
        if V::FREED == Freed::Sealed {
            self.link::<V>(ptr::null_mut());
        }
    }

    /// True if a block that a program frees has a seal, in a variant that looks: it was free already (FB4).
    #[inline(always)]
    pub(crate) fn was_free<V: Variant>(&self) -> bool {
        if V::FREED == Freed::Home {
            return false;
        }
        // SAFETY: this value is the block's only owner (FB1), and the block has 8 bytes, aligned to 8 (FB2). Where a program
        // frees twice at once, it has broken the rule that makes it so.
        let next = unsafe { next_of(self.0) };
        // SAFETY: the block has 16 bytes where links are sealed, and the rest is as for its first 8.
        unsafe { is_sealed::<V>(self.0, next) }
    }
}

/// The place of a node's seal, 8 bytes behind its start.
#[inline(always)]
const fn seal_at(node: NonNull<Link>) -> *mut u64 {
    node.as_ptr().cast::<u64>().wrapping_add(1)
}

/// The constant in a seal. It is odd: so no seal is made of addresses alone, shifted or added.
const SEAL: i32 = 0x5EA1_ED01;

#[inline(always)]
fn seal<V: Variant>(node: NonNull<Link>, next: *mut Link) -> u64 {
    let sum = asm::sum_of::<SEAL>(next.addr(), node.addr().get()) as u64;
    if V::LINKS == Links::Keyed { (sum ^ secret()).wrapping_mul(SPREAD) } else { sum }
}

/// True if a node has the seal for this link.
///
/// # Safety
/// The node has 16 bytes, and no other thread writes them.
#[inline(always)]
unsafe fn is_sealed<V: Variant>(node: NonNull<Link>, next: *mut Link) -> bool {
    // SAFETY: the caller's condition.
    unsafe { seal_at(node).read() == seal::<V>(node, next) }
}

/// The link of a block that has a seal. The block may be in use, and other threads may write to it.
///
/// # Safety
/// A block of a class starts there.
pub(crate) unsafe fn sealed_link<V: Variant>(block: NonNull<u8>) -> Option<usize> {
    if V::LINKS == Links::Bare {
        return None;
    }
    let words = block.cast::<u64>().as_ptr();
    // SAFETY: the block has 16 bytes where links are sealed, and is aligned to 8 (FB2).
    let link = unsafe { AtomicU64::from_ptr(words) };
    // SAFETY: the second 8 of these 16 bytes.
    let seal_word = unsafe { AtomicU64::from_ptr(words.wrapping_add(1)) };
    // ORDERING: relaxed; the words are compared, and lead nowhere.
    let next = link.load(Ordering::Relaxed) as usize;
    // ORDERING: relaxed; the word is compared, and leads nowhere.
    let is_sealed = seal_word.load(Ordering::Relaxed)
        == seal::<V>(block.cast(), ptr::without_provenance_mut(next));
    is_sealed.then_some(next)
}

/// What a block's first 8 bytes hold: the node that follows, if the block is a node.
///
/// # Safety
/// The block has 8 bytes, aligned to 8, and no thread writes them now.
#[inline(always)]
pub(crate) unsafe fn next_of(node: NonNull<Link>) -> *mut Link {
    // SAFETY: the caller's condition.
    unsafe { node.as_ref() }.next
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Apex;

    #[test]
    fn a_seal_is_of_one_place_and_one_link() {
        let mut memory = [[0_u64; 2]; 3];
        let [one, other, third] =
            memory.each_mut().map(|block| NonNull::from(block).cast::<Link>());
        assert_ne!(seal::<Apex>(one, third.as_ptr()), seal::<Apex>(other, third.as_ptr()));
        assert_ne!(seal::<Apex>(one, third.as_ptr()), seal::<Apex>(one, ptr::null_mut()));
        // SAFETY: the second 8 bytes of a block, which only this test uses.
        unsafe { seal_at(one).write(seal::<Apex>(one, third.as_ptr())) };
        for (next, is_right) in [(third, true), (other, false)] {
            // SAFETY: the block has 16 bytes, which only this test uses.
            assert_eq!(unsafe { is_sealed::<Apex>(one, next.as_ptr()) }, is_right, "FB3");
        }
    }
}
