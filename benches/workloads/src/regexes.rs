//! `regexes`: regular expressions are compiled, used once, and dropped.
//!
//! It is a compiler in small: trees, tables that grow by pushing, caches made on first use. An operation is one
//! expression compiled and matched; it must match the right text and not the wrong one.

use crate::job::{Job, all_right};
use crate::{Args, WrongAnswer};
use regex::Regex;

/// An expression, a text that it matches, and one that it does not.
const CASES: [(&str, &str, &str); 6] = [
    (r"^\d{4}-\d{2}-\d{2}$", "2024-02-29", "2024-2-29"),
    (r"(?i)^(get|put|post|delete)\s+/[\w/.-]*\s+http/1\.[01]$", "GET /a/b.c HTTP/1.1", "GET a"),
    (r"^[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,6}$", "who@where.test", "who@where"),
    (
        r"\b(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}\b",
        "at 10.0.0.1",
        "10.0",
    ),
    (r"^(?P<key>\w+)\s*=\s*(?P<value>.*?)\s*(?:#.*)?$", "limit = 3 # of them", "= 3"),
    (r"^(a|ab|abc|abcd)*(e|ef|efg)+$", "abcabeefg", "abcx"),
];

pub(crate) struct Regexes {
    args: Args,
    wrong: u64,
}

impl Regexes {
    pub(crate) fn new(args: Args) -> Self {
        Self { args, wrong: 0 }
    }
}

impl Job for Regexes {
    fn run(&mut self) {
        for (expression, yes, no) in CASES.iter().cycle().take(self.args.cycles as usize) {
            let right = Regex::new(expression).is_ok_and(|re| re.is_match(yes) && !re.is_match(no));
            self.wrong += u64::from(!right);
        }
    }

    fn finish(self: Box<Self>) -> Result<(), WrongAnswer> {
        all_right(self.wrong)
    }
}
