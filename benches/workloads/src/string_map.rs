//! `string_map`: an ordered map of strings, in which keys come and go at random.
//!
//! About half of `ws` keys are present. An operation inserts an absent key with a value of 8 to 71 bytes that the key
//! determines, or removes a present one and checks it. Tree nodes live long, strings do not: two populations of blocks
//! in each other's way.

use crate::job::{Job, all_right};
use crate::xorshift::XorShift;
use crate::{Args, WrongAnswer};
use std::collections::BTreeMap;

const TAIL: &str = "----------------------------------------------------------------";

pub(crate) struct StringMap {
    args: Args,
    map: BTreeMap<String, String>,
    wrong: u64,
}

impl StringMap {
    pub(crate) fn new(args: Args) -> Self {
        Self { args, map: BTreeMap::new(), wrong: 0 }
    }
}

/// The value of a key: its number, and a tail whose length the number gives.
fn value(key: usize) -> String {
    let mut value = format!("{key:08}");
    value.push_str(&TAIL[..key % TAIL.len()]);
    value
}

impl Job for StringMap {
    fn run(&mut self) {
        let mut random = XorShift::new(self.args.seed);
        for _ in 0..self.args.cycles {
            let number = random.below(self.args.ws);
            let key = format!("key/{:04x}/{number}", number * 40_503 % 65_536);
            match self.map.remove(&key) {
                Some(found) => self.wrong += u64::from(found != value(number)),
                None => drop(self.map.insert(key, value(number))),
            }
        }
    }

    fn finish(self: Box<Self>) -> Result<(), WrongAnswer> {
        let is_right = |(key, found): (String, String)| {
            let number = key.rsplit('/').next().and_then(|number| number.parse().ok());
            number.map(value) == Some(found)
        };
        let wrong = self.map.into_iter().filter(|pair| !is_right(pair.clone())).count();
        all_right(self.wrong + wrong as u64)
    }
}
