//! Audits of ranges: walks over a tree, and over a set.
//!
//! Never: changes anything.

use super::{Node, Order, Ranges, Tree};

impl<O: Order> Tree<O> {
    /// The nodes by their keys, lowest first. For audits.
    pub(in crate::central) fn iter(&self) -> impl Iterator<Item = &'static Node> {
        let mut key = Some((0, 0));
        core::iter::from_fn(move || {
            let node = self.at_least(key?)?;
            let (first, second) = O::key(node);
            // Sizes and addresses end long before the largest number.
            key = second.checked_add(1).map(|second| (first, second));
            Some(node)
        })
    }
}

impl Ranges {
    /// The ranges, by address. For audits.
    pub(in crate::central) fn iter(&self) -> impl Iterator<Item = &'static Node> {
        self.tree.iter()
    }

    /// Bytes of all ranges, if they are disjoint (RG3) and counted. For audits.
    pub(in crate::central) fn sum(&self) -> Option<usize> {
        let (mut bytes, mut count, mut end) = (0, 0, 0);
        for range in self.iter() {
            if range.start() < end || range.bytes() == 0 {
                return None;
            }
            (bytes, count, end) = (bytes + range.bytes(), count + 1, range.end());
        }
        (count == self.count()).then_some(bytes)
    }

    /// True if one range holds all these bytes.
    pub(in crate::central) fn contains(&self, start: usize, bytes: usize) -> bool {
        self.last_before(start + 1).is_some_and(|range| range.end() >= start + bytes)
    }
}
