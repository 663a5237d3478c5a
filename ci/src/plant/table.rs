//! The table of planted bugs: `ci/planted/*.toml`.

use crate::workspace::root;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::path::PathBuf;

/// A bug: a text of a file, and what takes its place.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bug {
    pub(crate) id: String,
    /// The invariants that it breaks; none if it breaks what only a test states.
    #[serde(default)]
    pub(crate) breaks: Vec<String>,
    /// What is wrong with it, in words.
    pub(crate) what: String,
    pub(crate) file: PathBuf,
    /// Occurs once in the file.
    pub(crate) find: String,
    pub(crate) replace: String,
    /// The check that must find it: its kind and its name.
    pub(crate) check: String,
    /// A text that the check must print. Without it, the check must name the test as failed.
    pub(crate) says: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bugs {
    bug: Vec<Bug>,
}

/// All bugs, by file and then in the order of the file.
pub(crate) fn read() -> Result<Vec<Bug>> {
    let folder = root().join("ci/planted");
    let entries = fs_err::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut files = entries.collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let mut bugs = Vec::new();
    for file in files {
        let text = fs_err::read_to_string(&file)?;
        let read: Bugs = toml::from_str(&text).with_context(|| file.display().to_string())?;
        bugs.extend(read.bug);
    }
    Ok(bugs)
}

impl Bug {
    /// The file's text with the bug in it.
    pub(crate) fn plant(&self, text: &str) -> Result<String> {
        let count = text.matches(&self.find).count();
        let file = self.file.display();
        ensure!(count == 1, "`find` occurs {count} times in {file}; it must occur once");
        ensure!(self.find != self.replace, "`replace` changes nothing");
        Ok(text.replace(&self.find, &self.replace))
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Check;
    use super::*;
    use itertools::Itertools;

    #[test]
    fn each_can_be_planted() {
        for bug in read().expect("the table") {
            let text = fs_err::read_to_string(root().join(&bug.file)).expect("a file");
            bug.plant(&text).unwrap_or_else(|error| panic!("{}: {error}", bug.id));
        }
    }

    #[test]
    fn each_has_a_name_of_its_own_and_a_check() {
        let bugs = read().expect("the table");
        assert!(bugs.iter().map(|bug| &bug.id).all_unique());
        for bug in &bugs {
            Check::of(bug).unwrap_or_else(|error| panic!("{}: {error}", bug.id));
        }
    }

    #[test]
    fn a_text_that_occurs_twice_or_not_at_all_is_refused() {
        let bug = |find: &str| Bug {
            id: String::new(),
            breaks: Vec::new(),
            what: String::new(),
            file: "a.rs".into(),
            find: find.into(),
            replace: "c".into(),
            check: String::new(),
            says: None,
        };
        assert_eq!(bug("a").plant("ab").expect("once"), "cb");
        for find in ["b", "x"] {
            assert!(bug(find).plant("abb").is_err());
        }
    }
}
