//! `boxed_map`: a hash map of boxes is filled with `ws` entries and dropped, again and again.
//!
//! The boxes of a map have one size: 8, 32, 64 or 256 bytes, in turn. The map starts empty, so its table grows as the
//! boxes come; then all of it is dropped, in the table's order, which is not the order of birth. An operation is one
//! entry put in and dropped. Each box must hold its key.

use crate::job::{Job, all_right};
use crate::xorshift::XorShift;
use crate::{Args, WrongAnswer};
use std::collections::HashMap;

/// Maps of a round, one for each size of box.
pub(crate) const MAPS: u64 = 4;

pub(crate) struct BoxedMap {
    args: Args,
    wrong: u64,
}

impl BoxedMap {
    pub(crate) fn new(args: Args) -> Self {
        Self { args, wrong: 0 }
    }
}

/// Fills a map with boxes of `WORDS` words and drops it; returns how many boxes were not as written.
fn fill_and_drop<const WORDS: usize>(entries: usize, random: &mut XorShift) -> u64 {
    let mut map: HashMap<u64, Box<[u64; WORDS]>> = HashMap::new();
    for _ in 0..entries {
        let key = random.next();
        map.insert(key, Box::new([key; WORDS]));
    }
    let wrong = map.iter().filter(|(key, boxed)| boxed.iter().any(|word| word != *key)).count();
    // The keys are different, so an entry that is missing was lost.
    (wrong + (entries - map.len())) as u64
}

impl Job for BoxedMap {
    fn run(&mut self) {
        let Args { cycles, ws, seed } = self.args;
        let mut random = XorShift::new(seed);
        for _ in 0..cycles.div_ceil(MAPS * ws as u64) {
            self.wrong += fill_and_drop::<1>(ws, &mut random);
            self.wrong += fill_and_drop::<4>(ws, &mut random);
            self.wrong += fill_and_drop::<8>(ws, &mut random);
            self.wrong += fill_and_drop::<32>(ws, &mut random);
        }
    }

    fn finish(self: Box<Self>) -> Result<(), WrongAnswer> {
        all_right(self.wrong)
    }
}
