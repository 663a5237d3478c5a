//! Ranges of addresses, in trees: by address and by size. Nothing of them lies in the ranges themselves.
//!
//! ```text
//!  Nodes    chunks of 64 KiB, cut into nodes; the free ones are linked
//!  Tree     nodes ordered by a key; a search takes a number of steps that grows as the logarithm of their number
//!  Ranges   a tree of disjoint ranges by address, from which any part can be cut
//! ```
//!
//! A tree is a treap (after Aragon and Seidel, 1989): a search tree in which no node has a greater weight than the node
//! above it. The weight is a hash of the node's address, so no order of operations makes the tree deep.
//!
//! RG1  A node is free, or in the trees of one set, once in each.
//! RG2  While a node is in a tree, its key changes only so that the order of the nodes stays.
//! RG3  The ranges of one set are disjoint.
//!
//! The caller holds the lock of the page heap. Never: reads or writes a range, or maps and unmaps one.

use crate::base::CACHE_LINE;
use crate::linked::{Linked, Links};
use crate::sys::pages;
use core::cell::Cell;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

const CHUNK_BYTES: usize = 64 << 10;
const CHUNK_NODES: usize = CHUNK_BYTES / size_of::<Node>();
/// Free nodes that [`Nodes::prepare`] provides: as many as one call of a user takes.
const SPARE: usize = 128;

type Link = Cell<Option<&'static Node>>;

/// A node's place in a tree. All bytes are zero in a tree of one node.
pub(super) struct Branches {
    below: Link,
    above: Link,
}

/// Whether a free range has memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It has none, and reads as zero.
    Clean = 0,
    /// It may have memory, with any content.
    Dirty = 1,
}

/// A range of whole pages, in one cache line. All bytes zero is a free node.
#[repr(C, align(64))]
pub(super) struct Node {
    start: Cell<usize>,
    /// The bytes, and the state as the lowest bit.
    bytes_and_state: Cell<usize>,
    by_address: Branches,
    by_size: Branches,
    turn: Links<Node>,
}

const _: () = assert!(size_of::<Node>() == CACHE_LINE);

impl Node {
    pub(super) fn start(&self) -> usize {
        self.start.get()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes_and_state.get() & !1
    }

    pub(super) fn end(&self) -> usize {
        self.start() + self.bytes()
    }

    pub(super) fn state(&self) -> State {
        if self.bytes_and_state.get() & 1 == 0 { State::Clean } else { State::Dirty }
    }

    pub(super) fn set(&self, start: usize, bytes: usize, state: State) {
        self.start.set(start);
        self.bytes_and_state.set(bytes | state as usize);
    }
}

impl Linked<0> for Node {
    fn links(&self) -> &Links<Self> {
        &self.turn
    }
}

/// The nodes that are free.
pub(super) struct Nodes {
    free: Link,
    /// Nodes of the last chunk that were never in use. They have no memory yet.
    fresh: Cell<&'static [Node]>,
    /// Nodes of both kinds.
    spare: Cell<usize>,
    /// The first node of each chunk, which is in no set. They are linked.
    chunks: Link,
}

impl Nodes {
    pub(super) const fn new() -> Self {
        Self {
            free: Cell::new(None),
            fresh: Cell::new(&[]),
            spare: Cell::new(0),
            chunks: Cell::new(None),
        }
    }

    /// Provides the nodes that a call of a user may take. False if the kernel has no memory for them.
    pub(super) fn prepare(&self) -> bool {
        if self.spare.get() >= SPARE {
            return true;
        }
        let Some(fresh) = pages::map(CHUNK_BYTES) else { return false };
        // SAFETY: zeroed pages are valid nodes (numbers and `None`s), aligned and large enough. They stay mapped until
        // `release`, after which no code looks at a node.
        let chunk: &'static [Node; CHUNK_NODES] = unsafe { fresh.cast().as_ref() };
        let [first, nodes @ ..] = chunk;
        first.by_address.above.set(self.chunks.replace(Some(first)));
        for node in self.fresh.replace(nodes) {
            self.link(node);
        }
        self.spare.set(self.spare.get() + nodes.len());
        true
    }

    /// True if there are the nodes that one range takes: for its extent, and for its space.
    pub(super) fn has_two(&self) -> bool {
        self.spare.get() >= 2
    }

    pub(super) fn take(&self) -> Option<&'static Node> {
        let node = match self.free.get() {
            Some(node) => {
                self.free.set(node.by_address.above.take());
                node
            }
            None => {
                let (node, rest) = self.fresh.get().split_first()?;
                self.fresh.set(rest);
                node
            }
        };
        self.spare.set(self.spare.get() - 1);
        Some(node)
    }

    /// Takes back a node that is in no set.
    pub(super) fn give(&self, node: &'static Node) {
        self.link(node);
        self.spare.set(self.spare.get() + 1);
    }

    fn link(&self, node: &'static Node) {
        node.by_address.above.set(self.free.replace(Some(node)));
    }

    /// Unmaps all nodes.
    ///
    /// # Safety
    /// No code uses a set of these nodes any more.
    pub(super) unsafe fn release(&self) {
        self.free.set(None);
        self.fresh.set(&[]);
        self.spare.set(0);
        while let Some(first) = self.chunks.get() {
            self.chunks.set(first.by_address.above.get());
            // SAFETY: `prepare` mapped the chunk, which starts with this node. By the caller's condition no code looks
            // at its nodes.
            unsafe { pages::unmap(NonNull::from(first).cast(), CHUNK_BYTES) };
        }
    }
}

/// An order of nodes.
pub(super) trait Order {
    fn key(node: &Node) -> (usize, usize);
    fn branches(node: &Node) -> &Branches;
}

/// By address.
pub(super) enum ByAddress {}

/// By size, and by address among equals.
pub(super) enum BySize {}

impl Order for ByAddress {
    fn key(node: &Node) -> (usize, usize) {
        (node.start(), 0)
    }

    fn branches(node: &Node) -> &Branches {
        &node.by_address
    }
}

impl Order for BySize {
    fn key(node: &Node) -> (usize, usize) {
        (node.bytes(), node.start())
    }

    fn branches(node: &Node) -> &Branches {
        &node.by_size
    }
}

/// A search tree of nodes with different keys.
pub(super) struct Tree<O: Order> {
    root: Link,
    order: PhantomData<fn() -> O>,
}

fn weight(node: &Node) -> usize {
    ptr::from_ref(node).addr().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20
}

impl<O: Order> Tree<O> {
    pub(super) const fn new() -> Self {
        Self { root: Cell::new(None), order: PhantomData }
    }

    /// Adds a node, which is in no tree of this order.
    pub(super) fn insert(&self, node: &'static Node) {
        let key = O::key(node);
        let mut link = &self.root;
        while let Some(at) = link.get()
            && weight(at) >= weight(node)
        {
            let Branches { below, above } = O::branches(at);
            link = if O::key(at) < key { above } else { below };
        }
        // The node takes this place. What is there is split: lower keys go below the node, the others above.
        let mut rest = link.replace(Some(node));
        let (mut low, mut high) = (&O::branches(node).below, &O::branches(node).above);
        while let Some(at) = rest {
            let Branches { below, above } = O::branches(at);
            if O::key(at) < key {
                low.set(rest);
                low = above;
                rest = above.get();
            } else {
                high.set(rest);
                high = below;
                rest = below.get();
            }
        }
        low.set(None);
        high.set(None);
    }

    /// Removes a node, which is in this tree.
    pub(super) fn remove(&self, node: &'static Node) {
        let key = O::key(node);
        let mut link = &self.root;
        while let Some(at) = link.get()
            && !ptr::eq(at, node)
        {
            let Branches { below, above } = O::branches(at);
            link = if O::key(at) < key { above } else { below };
        }
        debug_assert!(link.get().is_some(), "RG1");
        // The two branches are merged: the heavier node comes first.
        let mut low = O::branches(node).below.take();
        let mut high = O::branches(node).above.take();
        while let (Some(below), Some(above)) = (low, high) {
            if weight(below) >= weight(above) {
                link.set(low);
                link = &O::branches(below).above;
                low = link.get();
            } else {
                link.set(high);
                link = &O::branches(above).below;
                high = link.get();
            }
        }
        link.set(low.or(high));
    }

    /// The node with the lowest key that is not below `key`.
    pub(super) fn at_least(&self, key: (usize, usize)) -> Option<&'static Node> {
        let (mut found, mut rest) = (None, self.root.get());
        while let Some(at) = rest {
            let Branches { below, above } = O::branches(at);
            if O::key(at) < key {
                rest = above.get();
            } else {
                found = rest;
                rest = below.get();
            }
        }
        found
    }

    /// The node with the highest key below `key`.
    pub(super) fn below(&self, key: (usize, usize)) -> Option<&'static Node> {
        let (mut found, mut rest) = (None, self.root.get());
        while let Some(at) = rest {
            let Branches { below, above } = O::branches(at);
            if O::key(at) < key {
                found = rest;
                rest = above.get();
            } else {
                rest = below.get();
            }
        }
        found
    }

    /// The node with the highest key.
    pub(super) fn last(&self) -> Option<&'static Node> {
        self.below((usize::MAX, usize::MAX))
    }
}

/// A set of disjoint ranges.
pub(super) struct Ranges {
    tree: Tree<ByAddress>,
    count: Cell<usize>,
}

impl Ranges {
    pub(super) const fn new() -> Self {
        Self { tree: Tree::new(), count: Cell::new(0) }
    }

    pub(super) fn count(&self) -> usize {
        self.count.get()
    }

    /// Adds a range, of which no part is in the set. Without a free node it is lost.
    pub(super) fn add(&self, nodes: &Nodes, start: usize, bytes: usize) {
        debug_assert!(!self.overlaps(start, bytes), "RG3");
        let Some(node) = nodes.take() else { return };
        node.set(start, bytes, State::Clean);
        self.tree.insert(node);
        self.count.set(self.count.get() + 1);
    }

    /// Adds a range, of which no part is in the set, and joins it with its neighbours.
    pub(super) fn join(&self, nodes: &Nodes, start: usize, bytes: usize) {
        let (mut from, mut to) = (start, start + bytes);
        if let Some(before) = self.last_before(start)
            && before.end() == start
        {
            from = before.start();
            self.drop(nodes, before);
        }
        if let Some(behind) = self.tree.at_least((to, 0))
            && behind.start() == to
        {
            to = behind.end();
            self.drop(nodes, behind);
        }
        self.add(nodes, from, to - from);
    }

    /// Cuts a range out of the set, as far as it is there.
    pub(super) fn cut(&self, nodes: &Nodes, start: usize, bytes: usize) {
        let end = start + bytes;
        while let Some(node) = self.last_before(end)
            && node.end() > start
        {
            let (from, to) = (node.start(), node.end());
            if from < start {
                node.set(from, start - from, State::Clean);
            } else {
                self.drop(nodes, node);
            }
            if to > end {
                self.add(nodes, end, to - end);
            }
        }
    }

    /// The last range that starts before an address.
    pub(super) fn last_before(&self, address: usize) -> Option<&'static Node> {
        self.tree.below((address, 0))
    }

    /// The first range that starts at an address or behind it.
    pub(super) fn first_from(&self, address: usize) -> Option<&'static Node> {
        self.tree.at_least((address, 0))
    }

    pub(super) fn overlaps(&self, start: usize, bytes: usize) -> bool {
        self.last_before(start + bytes).is_some_and(|node| node.end() > start)
    }

    fn drop(&self, nodes: &Nodes, node: &'static Node) {
        self.tree.remove(node);
        self.count.set(self.count.get() - 1);
        nodes.give(node);
    }
}

mod audit;
#[cfg(test)]
mod tests;
