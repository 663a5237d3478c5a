//! Extents: the free address ranges of huge blocks, each as large as it can be.
//!
//! ```text
//!  ──────────┬───────────────┬─────────┬──────────┬─────────────┬──────────
//!   a block  │ dirty extent  │ clean   │ a block  │ clean       │ a block
//!  ──────────┴───────────────┴─────────┴──────────┴─────────────┴──────────
//! ```
//!
//! An extent is whole pages, all dirty or all clean. A freed range is joined with its neighbours of the same state.
//! Extents that touch make up a *space*, from one block to the next. A block is cut from the start of the smallest
//! extent that has room for it, so the rest lies behind it and lets it grow.
//!
//! EX1  An extent is mapped, and nothing refers to it.
//! EX2  Extents are disjoint, and two that touch differ in their state.
//! EX3  A clean extent has no memory, and reads as zero.
//! EX4  A space is all extents that touch. Each address of it is in one extent.
//!
//! Each operation takes a number of steps that grows as the logarithm of the number of extents. The caller holds the
//! lock of the page heap, and has called [`Nodes::prepare`].
//!
//! Never: reads or writes an extent, or makes a system call.

use super::ranges::{ByAddress, BySize, Node, Nodes, State, Tree};
use crate::base::{PAGE_BYTES, bytes_to_multiple};
use crate::linked::LinkedList;
use crate::stats::{Unsound, ensure};
use core::cell::Cell;
use core::ptr;

/// Extents that a search for an aligned place looks at before it asks for one that has room for certain.
const LOOKS: usize = 8;

/// A set of extents.
pub(super) struct Extents {
    clean: Sorted,
    dirty: Sorted,
    spaces: Sorted,
    /// The dirty extents. The one that changed last is last.
    turns: LinkedList<Node>,
}

/// Disjoint ranges, by address and by size.
struct Sorted {
    by_address: Tree<ByAddress>,
    by_size: Tree<BySize>,
    bytes: Cell<usize>,
    count: Cell<usize>,
}

impl Sorted {
    const fn new() -> Self {
        Self {
            by_address: Tree::new(),
            by_size: Tree::new(),
            bytes: Cell::new(0),
            count: Cell::new(0),
        }
    }

    fn insert(&self, node: &'static Node) {
        self.by_address.insert(node);
        self.add(node);
    }

    fn remove(&self, node: &'static Node) {
        self.by_address.remove(node);
        self.subtract(node);
    }

    fn add(&self, node: &'static Node) {
        self.bytes.set(self.bytes.get() + node.bytes());
        self.count.set(self.count.get() + 1);
        self.by_size.insert(node);
    }

    fn subtract(&self, node: &'static Node) {
        self.bytes.set(self.bytes.get() - node.bytes());
        self.count.set(self.count.get() - 1);
        self.by_size.remove(node);
    }

    /// Changes the bounds of a range. Its place among the others stays, since they are disjoint (RG2).
    fn change(&self, node: &'static Node, start: usize, end: usize) {
        self.subtract(node);
        node.set(start, end - start, node.state());
        debug_assert!(self.at(start).is_some_and(|at| ptr::eq(at, node)), "RG2");
        self.add(node);
    }

    /// The range that ends at an address.
    fn before(&self, address: usize) -> Option<&'static Node> {
        self.by_address.below((address, 0)).filter(|node| node.end() == address)
    }

    /// The range that starts at an address.
    fn at(&self, address: usize) -> Option<&'static Node> {
        self.by_address.at_least((address, 0)).filter(|node| node.start() == address)
    }

    /// The range that an address lies in.
    fn containing(&self, address: usize) -> Option<&'static Node> {
        self.by_address.below((address + 1, 0)).filter(|node| node.end() > address)
    }

    /// Adds a range, and joins it with the neighbours that touch it. Returns the node of all together, and the node that
    /// became free. `None` if there is no node for the range.
    fn join(
        &self,
        nodes: &Nodes,
        (start, end): (usize, usize),
        state: State,
    ) -> Option<(&'static Node, Option<&'static Node>)> {
        match (self.before(start), self.at(end)) {
            (None, None) => {
                let node = nodes.take()?;
                node.set(start, end - start, state);
                self.insert(node);
                Some((node, None))
            }
            (Some(before), None) => {
                self.change(before, before.start(), end);
                Some((before, None))
            }
            (None, Some(behind)) => {
                self.change(behind, start, behind.end());
                Some((behind, None))
            }
            (Some(before), Some(behind)) => {
                self.remove(behind);
                self.change(before, before.start(), behind.end());
                Some((before, Some(behind)))
            }
        }
    }

    /// Cuts a range out of the one that it lies in. Returns true if nothing of that is left, and the node of what is
    /// left behind the range if something is left before it, too. Without a free node, that is lost.
    fn cut(
        &self,
        nodes: &Nodes,
        node: &'static Node,
        (start, end): (usize, usize),
    ) -> (bool, Option<&'static Node>) {
        let (from, to) = (node.start(), node.end());
        match (from < start, end < to) {
            (false, false) => self.remove(node),
            (true, false) => self.change(node, from, start),
            (false, true) => self.change(node, end, to),
            (true, true) => {
                self.change(node, from, start);
                let rest = nodes.take();
                if let Some(rest) = rest {
                    rest.set(end, to - end, node.state());
                    self.insert(rest);
                }
                return (false, rest);
            }
        }
        (from == start && to == end, None)
    }
}

/// The first multiple of `align` in a range from which it has `bytes`.
fn first_in(node: &Node, bytes: usize, align: usize) -> Option<usize> {
    let start = node.start();
    let at = start.checked_add(bytes_to_multiple(start, align))?;
    (at.checked_add(bytes)? <= node.end()).then_some(at)
}

/// The smallest range from a key on with `bytes` at a multiple of `align`, and the first such place in it.
fn best_of(
    sizes: &Tree<BySize>,
    mut key: (usize, usize),
    bytes: usize,
    align: usize,
) -> Option<(&'static Node, usize)> {
    for _ in 0..LOOKS {
        let node = sizes.at_least(key)?;
        if let Some(at) = first_in(node, bytes, align) {
            return Some((node, at));
        }
        key = (node.bytes(), node.start() + 1);
    }
    let certain = bytes.checked_add(align - PAGE_BYTES)?;
    let node = sizes.at_least(key.max((certain, 0)))?;
    Some((node, first_in(node, bytes, align)?))
}

impl Extents {
    pub(super) const fn new() -> Self {
        Self {
            clean: Sorted::new(),
            dirty: Sorted::new(),
            spaces: Sorted::new(),
            turns: LinkedList::new(),
        }
    }

    fn of(&self, state: State) -> &Sorted {
        match state {
            State::Clean => &self.clean,
            State::Dirty => &self.dirty,
        }
    }

    /// Bytes of all extents of a state.
    pub(super) fn bytes(&self, state: State) -> usize {
        self.of(state).bytes.get()
    }

    /// Extents of a state.
    pub(super) fn count(&self, state: State) -> usize {
        self.of(state).count.get()
    }

    /// Adds a range, and joins it with its neighbours of the same state. There are two free nodes, or it is lost.
    pub(super) fn put(&self, nodes: &Nodes, start: usize, bytes: usize, state: State) {
        let range = (start, start + bytes);
        debug_assert!((start | bytes).is_multiple_of(PAGE_BYTES) && bytes > 0, "EX1");
        let Some((extent, freed)) = self.of(state).join(nodes, range, state) else { return };
        if state == State::Dirty {
            if bytes < extent.bytes() {
                self.turns.remove(extent);
            }
            self.turns.push_last(extent);
        }
        if let Some(freed) = freed {
            if state == State::Dirty {
                self.turns.remove(freed);
            }
            nodes.give(freed);
        }
        if let Some((_, Some(freed))) = self.spaces.join(nodes, range, State::Clean) {
            nodes.give(freed);
        }
    }

    /// Takes a range out of the extent that it lies in. Returns the state of the range.
    pub(super) fn take(
        &self,
        nodes: &Nodes,
        extent: &'static Node,
        start: usize,
        bytes: usize,
    ) -> State {
        let (range, state) = ((start, start + bytes), extent.state());
        debug_assert!(extent.start() <= start && range.1 <= extent.end() && bytes > 0, "EX2");
        debug_assert!((start | bytes).is_multiple_of(PAGE_BYTES), "EX1");
        if let Some(space) = self.spaces.containing(start)
            && let (true, _) = self.spaces.cut(nodes, space, range)
        {
            nodes.give(space);
        }
        // The rest keeps its turn.
        let (is_gone, behind) = self.of(state).cut(nodes, extent, range);
        if state == State::Dirty {
            if is_gone {
                self.turns.remove(extent);
            }
            if let Some(behind) = behind {
                self.turns.push_last(behind);
            }
        }
        if is_gone {
            nodes.give(extent);
        }
        state
    }

    /// The smallest extent of a state with `bytes` at a multiple of `align`, and the first such place in it.
    pub(super) fn best(
        &self,
        state: State,
        bytes: usize,
        align: usize,
    ) -> Option<(&'static Node, usize)> {
        best_of(&self.of(state).by_size, (bytes, 0), bytes, align)
    }

    /// The spaces with `bytes` at a multiple of `align`, and the first such place in each; the smallest is first.
    pub(super) fn spaces(
        &self,
        bytes: usize,
        align: usize,
    ) -> impl Iterator<Item = (&'static Node, usize)> {
        let mut key = (bytes, 0);
        core::iter::from_fn(move || {
            let (node, at) = best_of(&self.spaces.by_size, key, bytes, align)?;
            key = (node.bytes(), node.start() + 1);
            Some((node, at))
        })
    }

    /// Forgets a space, and returns it. The extents of this set are then used no more.
    pub(super) fn pop_space(&self) -> Option<(usize, usize)> {
        let space = self.spaces.by_size.last()?;
        self.spaces.remove(space);
        Some((space.start(), space.bytes()))
    }

    /// The space that starts at an address.
    pub(super) fn space_at(&self, address: usize) -> Option<&'static Node> {
        self.spaces.at(address)
    }

    /// The largest extent of a state.
    pub(super) fn largest(&self, state: State) -> Option<&'static Node> {
        self.of(state).by_size.last()
    }

    /// The extents of a state, from the largest on.
    pub(super) fn largest_first(&self, state: State) -> impl Iterator<Item = &'static Node> {
        let mut key = (usize::MAX, usize::MAX);
        core::iter::from_fn(move || {
            let node = self.of(state).by_size.below(key)?;
            key = (node.bytes(), node.start());
            Some(node)
        })
    }

    /// The dirty extent that has not changed for longest.
    pub(super) fn oldest(&self) -> Option<&'static Node> {
        self.turns.first()
    }

    /// The extent that an address lies in.
    pub(super) fn containing(&self, address: usize) -> Option<&'static Node> {
        self.dirty.containing(address).or_else(|| self.clean.containing(address))
    }
}

impl Sorted {
    /// True if the trees hold the same ranges, and the sums are theirs (RG1, RG2). For audits.
    fn is_sound(&self) -> bool {
        let (mut count, mut bytes, mut end) = (0, 0, 0);
        for node in self.by_address.iter() {
            let is_whole = (node.start() | node.bytes()).is_multiple_of(PAGE_BYTES);
            if node.start() < end || node.bytes() == 0 || !is_whole {
                return false;
            }
            (count, bytes, end) = (count + 1, bytes + node.bytes(), node.end());
        }
        let (mut others, mut key) = (0, (0, 0));
        for node in self.by_size.iter() {
            if (node.bytes(), node.start()) < key {
                return false;
            }
            (others, key) = (others + 1, (node.bytes(), node.start()));
        }
        (count, bytes) == (self.count.get(), self.bytes.get()) && others == count
    }
}

impl Extents {
    /// The extents, by address. For audits.
    pub(super) fn iter(&self) -> impl Iterator<Item = &'static Node> {
        let (mut clean, mut dirty) = (self.clean.by_address.iter(), self.dirty.by_address.iter());
        let (mut first, mut second) = (clean.next(), dirty.next());
        core::iter::from_fn(move || match (first, second) {
            (Some(one), Some(other)) if one.start() < other.start() => {
                core::mem::replace(&mut first, clean.next())
            }
            (Some(_), None) => core::mem::replace(&mut first, clean.next()),
            _ => core::mem::replace(&mut second, dirty.next()),
        })
    }

    /// An error unless EX1, EX2 and EX4 hold. For audits.
    pub(super) fn check(&self) -> Result<(), Unsound> {
        for (sorted, state) in [(&self.clean, State::Clean), (&self.dirty, State::Dirty)] {
            ensure(sorted.is_sound(), "RG1, RG2 or EX1, the trees of extents", 0)?;
            let strange = sorted.by_address.iter().find(|extent| extent.state() != state);
            ensure(strange.is_none(), "EX2, an extent's state", strange.map_or(0, Node::start))?;
        }
        ensure(self.spaces.is_sound(), "RG1 or RG2, the trees of spaces", 0)?;
        ensure(
            self.turns.iter().count() == self.dirty.count.get(),
            "EX2, the turns of extents",
            0,
        )?;
        let mut spaces = self.spaces.by_address.iter();
        let (mut at, mut end, mut before) = (0, 0, None);
        for extent in self.iter() {
            let touches = extent.start() == at;
            let is_one = touches && before == Some(extent.state());
            ensure(extent.start() >= at && !is_one, "EX2, two extents", extent.start())?;
            if !touches {
                ensure(at == end, "EX4, a space's end", end)?;
                let space = spaces.next();
                let begins = space.is_some_and(|space| space.start() == extent.start());
                ensure(begins, "EX4, a space's start", extent.start())?;
                end = space.map_or(0, Node::end);
            }
            (at, before) = (extent.end(), Some(extent.state()));
        }
        ensure(at == end && spaces.next().is_none(), "EX4, the last space", end)
    }
}

#[cfg(test)]
mod tests;
