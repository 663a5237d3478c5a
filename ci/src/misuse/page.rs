//! `docs/threat-model.md`: the tables between its markers; people write the rest.

use super::outcome::{By, Outcome};
use super::programs::{Case, size};
use super::{COLUMNS, Row, c_library};
use crate::bench::table::{align_right, markdown, or_dash};
use crate::workspace;
use anyhow::{Result, anyhow, ensure};
use itertools::Itertools;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/threat-model.md";
const NAME: &str = "misuse";
const BY: &str = "cargo ci misuse";

/// A line of the summary, and the outcomes that it counts.
type Sum = (&'static str, fn(&Outcome) -> bool);

const SUMS: [Sum; 7] = [
    ("detected at once", |it| matches!(it, Outcome::Detected { at_once: true, .. })),
    ("detected later, before any harm", |it| {
        matches!(it, Outcome::Detected { at_once: false, .. })
    }),
    ("contained", |it| matches!(it, Outcome::Contained)),
    ("undefined: harm, then detected", |it| matches!(it, Outcome::Undefined { then: Some(_), .. })),
    (
        "undefined: dies without a message",
        |it| matches!(it, Outcome::Undefined { harm, then: None } if harm.starts_with("dies")),
    ),
    (
        "undefined: harm, or another's content read",
        |it| matches!(it, Outcome::Undefined { harm, then: None } if !harm.starts_with("dies")),
    ),
    ("all", |it| !matches!(it, Outcome::Impossible)),
];

/// The messages of the libraries, which the tables name by letters.
#[derive(Default)]
struct Messages(Vec<String>);

impl Messages {
    /// The messages of a page, with its letters.
    fn of(page: &str) -> Self {
        let told = |line: &str| {
            let (_, told) = line.strip_prefix("- (")?.split_once(") `hakmem: fatal: ")?;
            Some(told.strip_suffix(" 0x<address>`")?.to_owned())
        };
        Self(page.lines().filter_map(told).collect())
    }

    /// A message's letter.
    fn letter(&mut self, message: &str) -> char {
        let place = self.0.iter().position(|it| it == message);
        let place = place.unwrap_or_else(|| {
            self.0.push(message.to_owned());
            self.0.len() - 1
        });
        ('a'..='z').nth(place).unwrap_or('?')
    }

    fn cell(&mut self, outcome: &Outcome) -> String {
        match outcome {
            Outcome::Detected { at_once, by } => {
                let when = if *at_once { "at once" } else { "later" };
                let by = match by {
                    By::Library(message) => format!(" ({})", self.letter(message)),
                    By::CLibrary => String::new(),
                    By::Fault => " by a fault".to_owned(),
                };
                format!("detected {when}{by}")
            }
            Outcome::Contained => "contained".to_owned(),
            Outcome::Undefined { harm, then: None } => format!("undefined: {harm}"),
            Outcome::Undefined { harm, then: Some(message) } => {
                format!("undefined: {harm}, then detected ({})", self.letter(message))
            }
            Outcome::Impossible => or_dash(None),
        }
    }
}

/// The text between the markers.
pub(super) fn text(rows: &[Row]) -> Result<String> {
    let mut messages = Messages::default();
    let mut table = markdown(["misuse", "block"].into_iter().chain(COLUMNS.map(|it| it.name)));
    for (title, rows) in &rows.iter().chunk_by(|row| &row.case.title) {
        // Sizes with the same results share a line, in the order of their first sizes.
        let mut lines: Vec<(Vec<String>, Vec<&Case>)> = Vec::new();
        for row in rows {
            let cells = row.outcomes.iter().map(|outcome| messages.cell(outcome)).collect_vec();
            match lines.iter_mut().find(|line| line.0 == cells) {
                Some(line) => line.1.push(&row.case),
                None => lines.push((cells, vec![&row.case])),
            }
        }
        for (cells, cases) in lines {
            let all = cases.len() > 1 && cases.iter().all(|case| case.sizes == cases.len());
            let sizes = cases.iter().map(|case| size(case.size)).join(", ");
            let sizes = if all { "all".to_owned() } else { sizes };
            table.add_row([title.clone(), sizes].into_iter().chain(cells));
        }
    }
    let letters = messages.0.len();
    ensure!(letters <= 26, "{letters} messages, more than letters");
    let told = ('a'..='z').zip(&messages.0);
    let told =
        told.map(|(letter, told)| format!("- ({letter}) `hakmem: fatal: {told} 0x<address>`"));
    Ok(format!(
        "C library {}.\n\n{}\n\n{table}\n\nThe messages:\n\n{}",
        c_library(),
        sums(rows),
        told.format("\n")
    ))
}

fn sums(rows: &[Row]) -> String {
    let mut table = markdown(["runs"].into_iter().chain(COLUMNS.map(|it| it.name)));
    align_right(&mut table, 1..COLUMNS.len() + 1);
    for (name, counts) in SUMS {
        let count = |column: usize| rows.iter().filter(|row| counts(&row.outcomes[column])).count();
        let cells = (0..COLUMNS.len()).map(|column| count(column).to_string());
        table.add_row([name.to_owned()].into_iter().chain(cells));
    }
    table.to_string()
}

fn file() -> PathBuf {
    workspace::root().join(PAGE)
}

/// The page with these tables.
fn filled(page: &str, text: &str) -> Result<String> {
    let text = format!("\n{}\n\n", text.trim());
    let filled = hakmem_tree::between_markers(Path::new(PAGE), page, NAME, BY, &text);
    filled.map_err(|message| anyhow!(message))
}

pub(super) fn write(text: &str) -> Result<()> {
    let page = fs_err::read_to_string(file())?;
    let now = filled(&page, text)?;
    if now != page {
        fs_err::write(file(), now)?;
        println!("written: {PAGE}");
    }
    Ok(())
}

/// Fails if the page has another outcome for a library of ours; for one that draws lots, if it is undefined and was not.
/// Other outcomes are only printed: another C library or kernel may change those of the C library's malloc.
pub(super) fn check(rows: &[Row]) -> Result<()> {
    let page = fs_err::read_to_string(file())?;
    let now = filled(&page, &text(rows)?)?;
    let (stale, others) = differences(rows, &page);
    others.iter().for_each(|line| println!("{line}; that is no failure"));
    stale.iter().for_each(|line| println!("{line}"));
    let is_stale = !stale.is_empty() || (others.is_empty() && now != page);
    ensure!(!is_stale, "{PAGE} is stale; `{BY}` writes it");
    Ok(())
}

/// A line for each outcome that the page does not have: those that fail the check, and those that chance or the C library
/// may have changed.
fn differences(rows: &[Row], page: &str) -> (Vec<String>, Vec<String>) {
    let table = page.lines().filter(|line| line.starts_with('|'));
    let cells = table.map(|line| line.trim_matches('|').split('|').map(str::trim).collect_vec());
    let lines = cells.collect_vec();
    let mut messages = Messages::of(page);
    let (mut stale, mut others) = (Vec::new(), Vec::new());
    for Row { case, outcomes } in rows {
        let size = size(case.size);
        let is_its = |line: &&Vec<&str>| {
            line.len() == 2 + COLUMNS.len()
                && line[0] == case.title
                && (line[1] == "all" || line[1].split(", ").contains(&&*size))
        };
        let line = lines.iter().find(is_its);
        for (place, (outcome, column)) in outcomes.iter().zip(&COLUMNS).enumerate() {
            let now = messages.cell(outcome);
            let then = line.map_or("nothing", |line| line[2 + place]);
            if now != then {
                let is_worse = now.starts_with("undefined") && !then.starts_with("undefined");
                let fails = column.variant.is_some() && (!column.is_random || is_worse);
                let list = if fails { &mut stale } else { &mut others };
                let name = column.name;
                list.push(format!("{case}, {name}: `{now}`, and {PAGE} has `{then}`"));
            }
        }
    }
    (stale, others)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(size: u64, ours: Outcome, theirs: Outcome) -> Row {
        let case = Case { title: "Double free".to_owned(), size, number: 0, sizes: 2 };
        Row { case, outcomes: vec![ours, Outcome::Contained, Outcome::Contained, theirs] }
    }

    fn rows() -> [Row; 2] {
        let by = || By::Library("double free:".to_owned());
        [24, 100].map(|size| {
            row(size, Outcome::Detected { at_once: true, by: by() }, Outcome::Contained)
        })
    }

    #[test]
    fn sizes_with_one_outcome_share_a_line() {
        let text = text(&rows()).expect("a text");
        let line = text.lines().find(|line| line.starts_with("| Double free")).expect("a line");
        let cells = line.split('|').map(str::trim).collect_vec();
        assert_eq!(cells[2..4], ["all", "detected at once (a)"]);
        assert!(cells[4..7].iter().all(|cell| *cell == "contained"));
        assert!(text.ends_with("- (a) `hakmem: fatal: double free: 0x<address>`"), "{text}");
    }

    #[test]
    fn only_our_outcomes_make_the_page_stale() {
        let page = text(&rows()).expect("a text");
        assert_eq!(differences(&rows(), &page), (vec![], vec![]));
        let (stale, others) =
            differences(&[row(100, Outcome::Contained, Outcome::Impossible)], &page);
        assert_eq!((stale.len(), others.len()), (1, 1));
        let (stale, _) = differences(&[row(1000, Outcome::Contained, Outcome::Contained)], "");
        assert!(stale[0].contains("`nothing`"), "{stale:?}");
    }
}
