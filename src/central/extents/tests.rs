//! Tests of the extents.

use super::*;
use proptest::prelude::*;

const BASE: usize = 0x7000_0000_0000;
const PAGES: usize = 96;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// Gives back what a block has of these pages.
    Put { page: usize, count: usize, state: State },
    /// Takes the best place.
    Take { count: usize, align_lg: u32, state: State },
}

fn op() -> impl Strategy<Value = Op> {
    let state = || prop_oneof![Just(State::Clean), Just(State::Dirty)];
    prop_oneof![
        (0..PAGES, 1..24_usize, state()).prop_map(|(page, count, state)| Op::Put {
            page,
            count,
            state
        }),
        (1..24_usize, 0..4_u32, state()).prop_map(|(count, align_lg, state)| Op::Take {
            count,
            align_lg,
            state
        }),
    ]
}

/// The runs of pages for which `wanted` is true.
fn runs(shadow: &[Option<State>], wanted: impl Fn(Option<State>) -> bool) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (page, _) in shadow.iter().enumerate().filter(|(_, state)| wanted(**state)) {
        match runs.last_mut() {
            Some((start, count)) if *start + *count == page => *count += 1,
            _ => runs.push((page, 1)),
        }
    }
    runs
}

fn page_of(address: usize) -> usize {
    (address - BASE) / PAGE_BYTES
}

/// All ranges of a set, in pages, by address; they are the same by size.
fn all(sorted: &Sorted) -> Vec<(usize, usize)> {
    let pages = |node: &Node| (page_of(node.start()), node.bytes() / PAGE_BYTES);
    let mut by_address = Vec::new();
    let mut at = sorted.by_address.at_least((0, 0));
    while let Some(node) = at {
        by_address.push(pages(node));
        at = sorted.by_address.at_least((node.start() + 1, 0));
    }
    let mut by_size = Vec::new();
    let mut at = sorted.by_size.at_least((0, 0));
    while let Some(node) = at {
        by_size.push(pages(node));
        at = sorted.by_size.at_least((node.bytes(), node.start() + 1));
    }
    assert!(by_size.is_sorted_by_key(|&(start, count)| (count, start)));
    by_size.sort_unstable();
    assert_eq!(by_address, by_size);
    assert_eq!(sorted.count.get(), by_address.len());
    assert_eq!(
        sorted.bytes.get(),
        by_address.iter().map(|(_, count)| count * PAGE_BYTES).sum::<usize>()
    );
    by_address
}

fn play(ops: &[Op]) {
    let (nodes, extents) = (Nodes::new(), Extents::new());
    let mut shadow: [Option<State>; PAGES] = [None; PAGES];
    for op in ops {
        assert!(nodes.prepare());
        match *op {
            Op::Put { page, count, state } => {
                let end = (page + count).min(PAGES);
                for page in (page..end).filter(|&page| shadow[page].is_none()) {
                    extents.put(&nodes, BASE + page * PAGE_BYTES, PAGE_BYTES, state);
                }
                shadow[page..end].iter_mut().for_each(|had| *had = had.or(Some(state)));
            }
            Op::Take { count, align_lg, state } => {
                let align = 1 << align_lg;
                let fits = |&&(start, all): &&(usize, usize)| {
                    start.next_multiple_of(align) + count <= start + all
                };
                let runs = runs(&shadow, |had| had == Some(state));
                let best = runs.iter().filter(fits).min_by_key(|&&(start, all)| (all, start));
                let found = extents.best(state, count * PAGE_BYTES, align * PAGE_BYTES);
                if let Some((node, at)) = found {
                    let page = page_of(at);
                    // For an aligned place the search skips some ranges.
                    assert!(align > 1 || Some(page) == best.map(|&(start, _)| start));
                    let had = &shadow[page..page + count];
                    assert!(page.is_multiple_of(align) && had.iter().all(|&h| h == Some(state)));
                    let bytes = count * PAGE_BYTES;
                    assert_eq!(extents.take(&nodes, node, at, bytes), state);
                    shadow[page..page + count].fill(None);
                } else {
                    assert!(align > 1 || best.is_none());
                }
            }
        }
        for state in [State::Clean, State::Dirty] {
            assert_eq!(all(extents.of(state)), runs(&shadow, |had| had == Some(state)));
        }
        assert_eq!(all(&extents.spaces), runs(&shadow, |had| had.is_some()));
        assert_eq!(extents.turns.iter().count(), extents.count(State::Dirty));
    }
    // SAFETY: the extents are used no more.
    unsafe { nodes.release() };
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn as_a_shadow_has_them(ops in prop::collection::vec(op(), 1..150)) {
        play(&ops);
    }
}
