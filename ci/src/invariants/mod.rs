//! `docs/invariants.md`: each invariant, the code that relies on it, the checks of it, and the planted bugs that break it.
//!
//! | a place that names an invariant | is |
//! |---|---|
//! | the header of a module: `//! X1  …` | its definition |
//! | a text in an assertion, an audit or a fatal error | a check |
//! | a test, a model, a comment `Checks X1`, a doc comment of a function for audits | a check |
//! | any other comment: `(X1)` | code that relies on it |
//!
//! The check that finds a planted bug checks the invariants that the bug breaks.

mod orderings;
mod scan;

use crate::plant::table::{self, Bug};
use crate::workspace::root;
use anyhow::Result;
use itertools::Itertools;
use scan::{Invariant, Place, Role};
use std::fmt::Write;
use std::path::Path;

/// The page's path.
pub(crate) const PAGE: &str = "docs/invariants.md";

const HEAD: &str = "# Invariants

<!-- Written by `cargo ci variants`; do not edit. -->

The header of a module defines its invariants, each with a letter and a number.
This page lists who relies on each, what checks it, and which planted bugs break it.
A *check* is a compile-time or debug assertion, a part of `audit()`, a model of the threads' interleavings, or a test.
`cargo ci plant` plants each bug in a copy of the source, and requires the named check to find it.
";

/// Invariants without a check, and why.
const UNCHECKED: [(&str, &str); 3] = [
    (
        "I3",
        "a thread reaches its lists by its own slot alone, and no other thread has a way to them.",
    ),
    ("ST1", "a read beyond would be a fault in the handler, which would end every report early."),
    ("WA1", "`cargo ci test instructions` counts what a hit takes without these features."),
];

const ORDERINGS: &str = "
## Orderings

Each atomic operation with an ordering that is stronger than relaxed has planted bugs that weaken it.
An `ORDERING` comment beside the operation names its partner.
All other atomic operations are relaxed: they publish nothing, or other synchronisation orders them, as their comments say.

| operation | orderings | weakened by | found by |
|---|---|---|---|
";

/// The page's text.
pub(crate) fn page() -> Result<String> {
    let (invariants, places) = scan::source(root())?;
    let bugs = table::read()?;
    let mut page = write(&invariants, &places, &bugs);
    page.push_str(ORDERINGS);
    for strong in orderings::all(root(), &bugs)? {
        let bugs = strong.weakened_by.iter().map(|(bug, _)| format!("`{bug}`")).join(", ");
        let mut checks = strong.weakened_by.iter().map(|(_, check)| check_shown(check)).unique();
        let (file, function) = (strong.file.display(), &strong.function);
        let orderings = &strong.orderings;
        let _ = writeln!(
            page,
            "| {file} `{function}` | {orderings} | {bugs} | {} |",
            checks.join(", ")
        );
    }
    Ok(page)
}

/// A check as the page names it.
fn check_shown(check: &str) -> String {
    let (kind, name) = check.split_once(' ').unwrap_or((check, ""));
    format!("{} `{name}`", kind.split(':').next().unwrap_or(kind))
}

fn write(invariants: &[Invariant], places: &[Place], bugs: &[Bug]) -> String {
    let mut page = HEAD.to_owned();
    for (file, of_file) in &invariants.iter().chunk_by(|invariant| &invariant.file) {
        let _ = write!(
            page,
            "\n## `{}`\n\n| | invariant | relied on in | checked by | planted bugs |\n|---|---|---|---|---|\n",
            file.display()
        );
        for invariant in of_file {
            let row = [
                invariant.name.clone(),
                invariant.text.replace('|', "\\|"),
                relied_on(invariant, places).join(", "),
                checks(invariant, places, bugs).join(", "),
                breaking(invariant, bugs).map(|bug| format!("`{}`", bug.id)).join(", "),
            ];
            let _ = writeln!(page, "| {} |", row.join(" | "));
        }
    }
    let unchecked = unchecked(invariants, places, bugs);
    page.push_str("\n## Checked by nothing\n\n");
    match unchecked[..] {
        [] => page.push_str("None.\n"),
        _ => unchecked.iter().for_each(|name| _ = writeln!(page, "- {name}{}", why(name))),
    }
    page
}

/// The reason why no check is needed, if there is one.
fn why(name: &str) -> String {
    let reason = UNCHECKED.iter().find(|(unchecked, _)| *unchecked == name);
    reason.map(|(_, reason)| format!(": {reason}")).unwrap_or_default()
}

fn breaking<'a>(invariant: &'a Invariant, bugs: &'a [Bug]) -> impl Iterator<Item = &'a Bug> {
    bugs.iter().filter(|bug| bug.breaks.contains(&invariant.name))
}

fn named<'a>(
    invariant: &'a Invariant,
    places: &'a [Place],
    role: Role,
) -> impl Iterator<Item = &'a Place> {
    places.iter().filter(move |place| place.name == invariant.name && place.role == role)
}

fn relied_on(invariant: &Invariant, places: &[Place]) -> Vec<String> {
    named(invariant, places, Role::Relies).map(Place::shown).unique().collect()
}

fn checks(invariant: &Invariant, places: &[Place], bugs: &[Bug]) -> Vec<String> {
    let of_bugs = breaking(invariant, bugs).map(|bug| check_shown(&bug.check));
    named(invariant, places, Role::Checks).map(Place::shown).chain(of_bugs).unique().collect()
}

fn unchecked<'a>(invariants: &'a [Invariant], places: &[Place], bugs: &[Bug]) -> Vec<&'a str> {
    let is_unchecked = |invariant: &&Invariant| checks(invariant, places, bugs).is_empty();
    invariants.iter().filter(is_unchecked).map(|invariant| &*invariant.name).collect()
}

/// The page, unless the file has it already.
pub(crate) fn stale() -> Result<Option<String>> {
    let page = page()?;
    let file = Path::new(root()).join(PAGE);
    Ok((fs_err::read_to_string(file).ok().as_ref() != Some(&page)).then_some(page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_invariant_is_checked() {
        let (invariants, places) = scan::source(root()).expect("the source");
        assert!(invariants.len() > 50, "{} invariants", invariants.len());
        let bugs = table::read().expect("the table");
        let known: Vec<&str> = UNCHECKED.iter().map(|(name, _)| *name).collect();
        assert_eq!(unchecked(&invariants, &places, &bugs), known);
    }

    #[test]
    fn each_strong_ordering_is_weakened_by_a_bug() {
        let all = orderings::all(root(), &table::read().expect("the table")).expect("the source");
        assert!(all.len() > 20, "{} orderings", all.len());
        let left = all.iter().filter(|strong| strong.weakened_by.is_empty());
        let left: Vec<_> = left.map(|strong| (&strong.file, &*strong.function)).collect();
        assert_eq!(left, [], "no bug in ci/planted weakens these");
    }

    #[test]
    fn a_bug_breaks_what_is_defined() {
        let (invariants, _) = scan::source(root()).expect("the source");
        for bug in table::read().expect("the table") {
            for name in &bug.breaks {
                let is_defined = invariants.iter().any(|invariant| invariant.name == *name);
                assert!(is_defined, "{}: {name} is defined nowhere", bug.id);
            }
        }
    }
}
