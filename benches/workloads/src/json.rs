//! `json`: a document of `ws` records (half a megabyte at 2000) is parsed into a tree and printed again.
//!
//! Servers and tools do this all day: a burst of small strings, maps and vectors that live together and die together,
//! and a buffer that grows. An operation is one record parsed and printed. The printed text must be the parsed one.

use crate::job::{Job, all_right};
use crate::xorshift::XorShift;
use crate::{Args, WrongAnswer};
use serde_json::{Value, json};

pub(crate) struct Json {
    args: Args,
    text: String,
    wrong: u64,
}

impl Json {
    pub(crate) fn new(args: Args) -> Self {
        let mut random = XorShift::new(args.seed);
        let records: Vec<Value> = (0..args.ws).map(|id| record(id, &mut random)).collect();
        Self { args, text: Value::Array(records).to_string(), wrong: 0 }
    }
}

/// About 250 bytes, of every kind of value.
fn record(id: usize, random: &mut XorShift) -> Value {
    let word = |random: &mut XorShift| -> String {
        let len = 3 + random.below(12);
        (0..len).map(|_| char::from(b'a' + random.below(26) as u8)).collect()
    };
    let tags: Vec<String> = (0..random.below(8)).map(|_| word(random)).collect();
    json!({
        "active": random.below(2) == 0,
        "id": id,
        "name": format!("{} {}", word(random), word(random)),
        "note": if random.below(3) == 0 { Value::Null } else { Value::String(word(random).repeat(4)) },
        "position": { "x": random.below(1000), "y": random.below(1000) },
        "tags": tags,
    })
}

impl Job for Json {
    fn run(&mut self) {
        for _ in 0..self.args.cycles.div_ceil(self.args.ws as u64) {
            let document: Result<Value, _> = serde_json::from_str(&self.text);
            let printed = document.map(|document| document.to_string());
            self.wrong += u64::from(printed.ok().as_ref() != Some(&self.text));
        }
    }

    fn finish(self: Box<Self>) -> Result<(), WrongAnswer> {
        all_right(self.wrong)
    }
}
