//! `littered`: a heap is littered by churn, then a list is built into its gaps and walked ten times.
//!
//! A round replaces as many random blocks as there are slots, and frees every other one. The nodes of the list go where
//! the allocator has room. If neighbours in the list are neighbours in memory, the walk is fast. An operation is one
//! node: built, visited ten times, and dropped.

use crate::job::{Job, all_right};
use crate::xorshift::XorShift;
use crate::{Args, WrongAnswer};

/// Walks along each list.
const WALKS: u64 = 10;
/// Bytes of a block of the litter: from 16 to as many as this.
const MOST: usize = 512;

pub(crate) struct Littered {
    args: Args,
    litter: Vec<Option<Box<[u8]>>>,
    wrong: u64,
}

struct Node {
    next: Option<Box<Node>>,
    number: u64,
    // With the link and the number 48 bytes, a common size of a node.
    _value: [u64; 4],
}

impl Littered {
    pub(crate) fn new(args: Args) -> Self {
        Self { args, litter: vec![None; args.ws], wrong: 0 }
    }

    fn churn(&mut self, random: &mut XorShift) {
        let mut block = || {
            let size = 16 + random.below(MOST - 15);
            (random.below(self.args.ws), vec![1; size].into_boxed_slice())
        };
        for _ in 0..self.args.ws {
            let (slot, block) = block();
            self.litter[slot] = Some(block);
        }
        self.litter.iter_mut().step_by(2).for_each(|block| *block = None);
    }
}

/// Builds a list of so many nodes; returns how many visits of its walks went wrong.
fn build_and_walk(nodes: u64) -> u64 {
    let mut first = None;
    for number in 0..nodes {
        first = Some(Box::new(Node { next: first, number, _value: [number; 4] }));
    }
    let mut sum = 0;
    for _ in 0..WALKS {
        let mut node = &first;
        while let Some(here) = node {
            sum += here.number;
            node = &here.next;
        }
    }
    // One by one, since the drop of the first node would call itself for each.
    while let Some(mut node) = first {
        first = node.next.take();
    }
    sum.abs_diff(WALKS * (nodes * nodes.saturating_sub(1) / 2))
}

impl Job for Littered {
    fn run(&mut self) {
        let Args { cycles, ws, seed } = self.args;
        let mut random = XorShift::new(seed);
        for _ in 0..cycles.div_ceil(ws as u64) {
            self.churn(&mut random);
            self.wrong += build_and_walk(ws as u64);
        }
    }

    fn finish(self: Box<Self>) -> Result<(), WrongAnswer> {
        all_right(self.wrong)
    }
}
