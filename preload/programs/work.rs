// As many instances of generic functions as `calls.rs` has calls.
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag<const N: usize>([u8; N]);

pub trait Summed {
    fn sum(&self) -> usize;
}

impl<const N: usize> Summed for Tag<N> {
    fn sum(&self) -> usize {
        self.0.iter().map(|&byte| byte as usize).sum()
    }
}

fn collected<K: Ord + Clone + Debug, V: Summed + Clone>(given: &[(K, V)]) -> String {
    let mut ordered: BTreeMap<K, Vec<V>> = BTreeMap::new();
    for (key, value) in given {
        ordered.entry(key.clone()).or_default().push(value.clone());
    }
    let parts = ordered.iter().map(|(key, values)| {
        format!("{key:?}={}", values.iter().map(Summed::sum).sum::<usize>())
    });
    parts.collect::<Vec<_>>().join(",")
}

fn work<const N: usize>(seed: usize) -> usize {
    let tags: Vec<Tag<N>> = (0..seed).map(|n| Tag([n as u8; N])).collect();
    let mut places: HashMap<Tag<N>, usize> = HashMap::new();
    for (place, tag) in tags.iter().enumerate() {
        *places.entry(tag.clone()).or_insert(0) += place;
    }
    let mut pairs: Vec<(Tag<N>, Tag<N>)> = tags.iter().cloned().zip(tags.iter().rev().cloned()).collect();
    pairs.sort_by(|a, b| b.cmp(a));
    collected(&pairs).len() + places.values().sum::<usize>()
}

pub fn all(seed: usize) -> usize {
    let mut total = 0;
    include!("calls.rs");
    total
}
