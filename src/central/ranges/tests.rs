//! Tests of the ranges.

use super::*;

#[test]
fn a_tree_stays_shallow_and_ordered() {
    let (nodes, ranges) = (Nodes::new(), Ranges::new());
    for n in 0..20_000 {
        assert!(nodes.prepare());
        // In rising order, in which a plain search tree would become a list.
        ranges.add(&nodes, n << 13, 1 << 12);
    }
    assert_eq!(ranges.count(), 20_000);
    assert_eq!(ranges.last_before(5 << 13).map(Node::start), Some(4 << 13));
    assert_eq!(ranges.first_from((5 << 13) + 1).map(Node::start), Some(6 << 13));
    // Twice the logarithm would be 29.
    assert!(depth(ranges.tree.root.get()) < 60);
    ranges.cut(&nodes, 0, 20_000 << 13);
    assert_eq!(ranges.count(), 0);
    // SAFETY: the ranges are used no more.
    unsafe { nodes.release() };
}

fn depth(node: Option<&'static Node>) -> usize {
    node.map_or(0, |node| {
        let Branches { below, above } = ByAddress::branches(node);
        1 + depth(below.get()).max(depth(above.get()))
    })
}

#[test]
fn any_part_is_cut_and_neighbours_are_joined() {
    let (nodes, ranges) = (Nodes::new(), Ranges::new());
    assert!(nodes.prepare());
    ranges.join(&nodes, 0x1000, 0x1000);
    ranges.join(&nodes, 0x3000, 0x1000);
    assert_eq!(ranges.count(), 2);
    ranges.join(&nodes, 0x2000, 0x1000);
    assert_eq!(ranges.count(), 1);
    ranges.cut(&nodes, 0x2000, 0x1000);
    assert!(ranges.overlaps(0x1000, 0x1000) && ranges.overlaps(0x3000, 0x1000));
    assert!(!ranges.overlaps(0x2000, 0x1000));
    ranges.cut(&nodes, 0, 0x1_0000);
    assert_eq!((ranges.count(), nodes.spare.get()), (0, CHUNK_NODES - 1));
    // SAFETY: the ranges are used no more.
    unsafe { nodes.release() };
}
