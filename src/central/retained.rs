//! Retained ranges: addresses that were given up, but not unmapped. They have no memory, and serve later mappings.
//!
//! The kernel limits a process to some 65 000 mappings. Each hole between two blocks makes one mapping more. At the
//! limit the kernel refuses every new mapping, and every hole. So once huge blocks have made many mappings, a freed
//! block gives its memory back and keeps its addresses. A range that the kernel refuses to unmap is retained, too.
//!
//! ```text
//! bins[k] ──▶ node ──▶ node          a bin for each quarter of a doubling of a range's bytes
//!             start, bytes           nodes lie in a mapping of their own, made when there are some hundred holes
//! ```
//!
//! A call that takes a range looks at [`LOOKS`] nodes of each bin at most. The caller holds the lock of the page heap.
//!
//! HO1  A range is in one node, is mapped, has no memory, and nobody refers to it.
//!
//! Never: maps or unmaps a range, but when the program unloads the allocator.

use crate::base::{PAGE_BYTES, bytes_to_multiple};
use crate::sys::pages;
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// Ranges that can be retained: twice as many as there can be mappings.
const NODES: usize = 1 << 17;
/// Quarters of a doubling, from a page to all addresses.
const BINS: usize = 4 * 36;
/// Nodes of a bin that a call looks at.
const LOOKS: usize = 8;

/// A range, and the number of the next node of its bin plus one; 0 for none.
struct Node {
    start: Cell<usize>,
    bytes: Cell<usize>,
    next: Cell<u32>,
}

/// A set of retained ranges. All bytes zero is an empty one.
pub(super) struct Retained {
    nodes: Cell<Option<&'static [Node; NODES]>>,
    /// Nodes that were ever in use; the others come after them.
    begun: Cell<u32>,
    /// The first node that is free again, and the first node of each bin: numbers plus one.
    free: Cell<u32>,
    bins: [Cell<u32>; BINS],
}

const fn bin_of(bytes: usize) -> usize {
    let pages = bytes / PAGE_BYTES;
    if pages == 0 {
        return 0;
    }
    let lg = pages.ilog2() as usize;
    let quarter = if lg < 2 { 0 } else { (pages >> (lg - 2)) & 3 };
    let bin = 4 * lg + quarter;
    if bin < BINS { bin } else { BINS - 1 }
}

impl Retained {
    pub(super) const fn new() -> Self {
        Self {
            nodes: Cell::new(None),
            begun: Cell::new(0),
            free: Cell::new(0),
            bins: [const { Cell::new(0) }; BINS],
        }
    }

    /// Maps the nodes, while the kernel still maps something.
    pub(super) fn prepare(&self) {
        if self.nodes.get().is_some() {
            return;
        }
        let Some(fresh) = pages::map(size_of::<[Node; NODES]>()) else { return };
        // SAFETY: zeroed pages are valid nodes (numbers), aligned and large enough, and stay mapped while a node is in
        // use.
        self.nodes.set(Some(unsafe { fresh.cast().as_ref() }));
    }

    fn node(&self, link: u32) -> Option<&'static Node> {
        self.nodes.get()?.get((link as usize).checked_sub(1)?)
    }

    /// Retains a range. If there is no room, the addresses are lost.
    pub(super) fn put(&self, start: usize, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.prepare();
        let link = match self.node(self.free.get()) {
            Some(node) => self.free.replace(node.next.get()),
            None => self.begun.get() + 1,
        };
        let Some(node) = self.node(link) else { return };
        self.begun.set(self.begun.get().max(link));
        let bin = &self.bins[bin_of(bytes)];
        node.start.set(start);
        node.bytes.set(bytes);
        node.next.set(bin.replace(link));
    }

    /// Takes `bytes` at a multiple of `align`. The rest of the range stays.
    pub(super) fn take(&self, bytes: usize, align: usize) -> Option<NonNull<u8>> {
        self.nodes.get()?;
        let (start, all, at) = self.bins.iter().skip(bin_of(bytes)).find_map(|bin| {
            let mut link = bin;
            for _ in 0..LOOKS {
                let node = self.node(link.get())?;
                let (start, all) = (node.start.get(), node.bytes.get());
                let lead = bytes_to_multiple(start, align);
                if lead.checked_add(bytes).is_some_and(|needed| needed <= all) {
                    self.drop_node(link, node);
                    return Some((start, all, start + lead));
                }
                link = &node.next;
            }
            None
        })?;
        self.put(start, at - start);
        self.put(at + bytes, start + all - at - bytes);
        NonNull::new(ptr::with_exposed_provenance_mut(at))
    }

    /// Takes some range, whole.
    pub(super) fn take_any(&self) -> Option<(NonNull<u8>, usize)> {
        let (link, node) = self.bins.iter().find_map(|bin| Some((bin, self.node(bin.get())?)))?;
        let (start, bytes) = (node.start.get(), node.bytes.get());
        self.drop_node(link, node);
        Some((NonNull::new(ptr::with_exposed_provenance_mut(start))?, bytes))
    }

    /// Unmaps all ranges, and the nodes.
    ///
    /// # Safety
    /// Nobody asks for a range any more.
    pub(super) unsafe fn release(&self) {
        while let Some((start, bytes)) = self.take_any() {
            // SAFETY: nobody refers to it (HO1).
            unsafe { pages::unmap(start, bytes) };
        }
        if let Some(nodes) = self.nodes.take() {
            // SAFETY: mapped by `prepare`, and nobody looks at a node any more, by the caller's condition.
            unsafe { pages::unmap(NonNull::from(nodes).cast(), size_of::<[Node; NODES]>()) };
        }
    }

    /// Takes a node out of its bin. `link` is the link that leads to it.
    fn drop_node(&self, link: &Cell<u32>, node: &'static Node) {
        let number = link.replace(node.next.get());
        node.next.set(self.free.replace(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_and_found_again() {
        let retained = Retained::new();
        let address = |taken: Option<NonNull<u8>>| taken.map(|taken| taken.addr().get());
        assert_eq!(address(retained.take(PAGE_BYTES, PAGE_BYTES)), None);
        let base = 0x7000_0010_0000;
        retained.put(base, 150 * PAGE_BYTES);
        retained.put(base + (1 << 30), 600 * PAGE_BYTES);
        assert_eq!(address(retained.take(150 * PAGE_BYTES, PAGE_BYTES)), Some(base));
        let aligned = retained.take(200 * PAGE_BYTES, 1 << 21).map(|taken| taken.addr().get());
        assert_eq!(aligned, Some(base + (1 << 30) + (1 << 20)));
        // The rest lies before it and behind it.
        assert_eq!(address(retained.take(256 * PAGE_BYTES, PAGE_BYTES)), Some(base + (1 << 30)));
        let behind = base + (1 << 30) + 456 * PAGE_BYTES;
        assert_eq!(address(retained.take(100 * PAGE_BYTES, PAGE_BYTES)), Some(behind));
        assert!(retained.take(100 * PAGE_BYTES, PAGE_BYTES).is_none());
        assert_eq!(retained.take_any().map(|(_, bytes)| bytes), Some(44 * PAGE_BYTES));
        assert!(retained.take_any().is_none());
    }

    #[test]
    fn as_many_as_there_can_be() {
        let retained = Retained::new();
        for n in 0..NODES + 10 {
            retained.put((n + 1) << 24, PAGE_BYTES);
        }
        for _ in 0..NODES {
            assert!(retained.take_any().is_some());
        }
        assert!(retained.take_any().is_none());
        retained.put(1 << 24, PAGE_BYTES);
        assert!(retained.take_any().is_some());
    }
}
