//! `parallel`: a work-stealing pool makes `ws` strings, sorts them, and groups them by their first two letters.
//!
//! Strings are born in one thread and mostly dropped in another. An operation is one string made, sorted, grouped and
//! dropped.

use crate::job::{Job, all_right};
use crate::xorshift::XorShift;
use crate::{Args, THREADS, WrongAnswer};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::collections::BTreeMap;

type Groups = BTreeMap<String, Vec<String>>;

pub(crate) struct Parallel {
    args: Args,
    /// `None` if the system has no thread left.
    pool: Option<ThreadPool>,
    wrong: u64,
}

impl Parallel {
    pub(crate) fn new(args: Args) -> Self {
        let pool = ThreadPoolBuilder::new().num_threads(THREADS as usize).build().ok();
        Self { args, pool, wrong: 0 }
    }
}

/// A word of 2 to 33 letters, which depends on its number alone.
fn word(number: u64, seed: u64) -> String {
    let mut random = XorShift::new(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let letters = 2 + random.below(32);
    (0..letters).map(|_| char::from(b'a' + random.below(26) as u8)).collect()
}

fn add(mut groups: Groups, word: String) -> Groups {
    groups.entry(word[..2].to_owned()).or_default().push(word);
    groups
}

fn join(mut all: Groups, more: Groups) -> Groups {
    for (letters, mut words) in more {
        all.entry(letters).or_default().append(&mut words);
    }
    all
}

/// Makes, sorts and groups so many words; returns how many went wrong.
fn round(words: usize, seed: u64) -> u64 {
    let mut all: Vec<String> = (0..words as u64).into_par_iter().map(|n| word(n, seed)).collect();
    all.par_sort_unstable();
    let groups = all.into_par_iter().fold(Groups::new, add).reduce(Groups::new, join);
    let right: usize = groups
        .par_iter()
        .map(|(letters, words)| words.iter().filter(|word| word.starts_with(letters)).count())
        .sum();
    (words - right) as u64
}

impl Job for Parallel {
    fn run(&mut self) {
        let Args { cycles, ws, seed } = self.args;
        let Some(pool) = &self.pool else {
            self.wrong += 1;
            return;
        };
        self.wrong += (0..cycles.div_ceil(ws as u64))
            .map(|number| pool.install(|| round(ws, seed.wrapping_add(number))))
            .sum::<u64>();
    }

    fn finish(self: Box<Self>) -> Result<(), WrongAnswer> {
        all_right(self.wrong)
    }
}
