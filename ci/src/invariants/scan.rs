//! Reads the source for definitions of invariants, and for the places that name them.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// An invariant, as its module defines it.
pub(super) struct Invariant {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) file: PathBuf,
}

/// What a place has to do with the invariant that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Relies,
    Checks,
}

/// A place that names an invariant.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) role: Role,
    file: PathBuf,
    /// The function, or another named thing; none at the top of a file.
    item: Option<String>,
}

impl Place {
    pub(super) fn shown(&self) -> String {
        let item = self.item.as_ref().map(|item| format!(" `{item}`")).unwrap_or_default();
        format!("{}{item}", self.file.display())
    }
}

/// Folders whose files may check an invariant, and do not rely on one.
const CHECKING: [&str; 5] =
    ["models/src/models", "tests/suite", "preload/tests", "plugin", "examples"];

/// All invariants, by file, and all places that name one.
pub(super) fn source(root: &Path) -> Result<(Vec<Invariant>, Vec<Place>)> {
    let (mut invariants, mut texts) = (Vec::new(), Vec::new());
    for folder in ["src"].into_iter().chain(CHECKING) {
        for file in files(&root.join(folder))? {
            let text = fs_err::read_to_string(&file)?;
            let file = file.strip_prefix(root).context("a file outside")?.to_owned();
            if folder == "src" {
                invariants.extend(defined(&text, &file));
            }
            texts.push((file, text));
        }
    }
    let is_defined = |name: &str| invariants.iter().any(|invariant| invariant.name == name);
    let places = texts.iter().flat_map(|(file, text)| {
        let places = places(text, file);
        places.into_iter().filter(|place| is_defined(&place.name)).collect::<Vec<_>>()
    });
    let places = places.collect();
    Ok((invariants, places))
}

pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs_err::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut entries = entries.collect::<Result<Vec<_>>>()?;
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        if entry.is_dir() {
            found.extend(files(&entry)?);
        } else if entry.extension().is_some_and(|extension| extension == "rs" || extension == "c") {
            found.push(entry);
        }
    }
    Ok(found)
}

/// The name and the text behind it, if a header's line defines an invariant.
fn definition(line: &str) -> Option<(&str, &str)> {
    let (name, text) = line.strip_prefix("//! ")?.split_once("  ")?;
    (is_name(name) && !text.trim().is_empty()).then(|| (name, text.trim()))
}

fn is_name(word: &str) -> bool {
    let digits = word.trim_start_matches(|c: char| c.is_ascii_uppercase());
    let letters = word.len() - digits.len();
    let is_number = digits.chars().all(|c| c.is_ascii_digit());
    (1..=2).contains(&letters) && (1..=2).contains(&digits.len()) && is_number
}

fn defined(text: &str, file: &Path) -> Vec<Invariant> {
    let mut found: Vec<Invariant> = Vec::new();
    let mut is_open = false;
    for line in text.lines() {
        if let Some((name, text)) = definition(line) {
            let (name, text, file) = (name.to_owned(), text.to_owned(), file.to_owned());
            found.push(Invariant { name, text, file });
            is_open = true;
        } else if let Some(more) = line.strip_prefix("//!    ").filter(|_| is_open) {
            if let Some(last) = found.last_mut() {
                last.text.push(' ');
                last.text.push_str(more.trim());
            }
        } else {
            is_open = false;
        }
    }
    found
}

/// The names in a text, with those of ranges such as `Y1-Y4` and `N4 to N6`.
fn names(text: &str) -> Vec<String> {
    let words =
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|w| !w.is_empty());
    let words: Vec<&str> = words
        .flat_map(|word| {
            let parts: Vec<&str> = word.split('-').collect();
            match parts[..] {
                [from, to] if is_name(from) && is_name(to) => vec![from, "to", to],
                _ => parts,
            }
        })
        .collect();
    let mut found: Vec<String> = Vec::new();
    for (place, word) in words.iter().enumerate().filter(|(_, word)| is_name(word)) {
        if place >= 2 && words[place - 1] == "to" && is_name(words[place - 2]) {
            found.extend(between(words[place - 2], word));
        }
        found.push((*word).to_owned());
    }
    found
}

/// The names between two of one letter.
fn between(from: &str, to: &str) -> Vec<String> {
    let split = |name: &str| {
        let at = name.find(|c: char| c.is_ascii_digit())?;
        Some((name[..at].to_owned(), name[at..].parse::<u8>().ok()?))
    };
    match (split(from), split(to)) {
        (Some((letters, first)), Some((others, last))) if letters == others => {
            (first + 1..last).map(|number| format!("{letters}{number}")).collect()
        }
        _ => Vec::new(),
    }
}

/// The text inside a line's string literals.
fn literals(code: &str) -> String {
    code.split('"').skip(1).step_by(2).collect::<Vec<_>>().join(" ")
}

/// The names of a comment: in brackets, or behind the word that makes it a check.
fn cited(comment: &str) -> Vec<String> {
    let brackets = comment.split('(').skip(1).filter_map(|rest| rest.split_once(')'));
    brackets.flat_map(|(inside, _)| names(inside)).collect()
}

/// The name that a line gives to a function or another thing.
pub(super) fn item_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if line.starts_with("//") {
        return None;
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_keyword = |(at, word): &(usize, &&str)| {
        let is_of_fn = matches!(words.get(at + 1), Some(&("fn" | "unsafe" | "extern")));
        ["fn", "struct", "static", "type", "mod", "trait"].contains(*word)
            || **word == "const" && !is_of_fn
    };
    let (keyword, _) = words.iter().enumerate().find(is_keyword)?;
    let is_head = words[..keyword].iter().all(|word| {
        word.starts_with("pub") || ["const", "unsafe", "extern", "\"C\"", "async"].contains(word)
    });
    let name = words.get(keyword + 1).filter(|_| is_head)?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    (end > 1).then(|| &name[..end])
}

/// The thing that a line of a doc comment belongs to: what follows, unless that is a field.
fn documented<'a>(comment: &str, lines: &[&'a str]) -> Option<&'a str> {
    let is_doc = comment.starts_with('/');
    let is_above =
        |line: &str| line.trim_start().starts_with("//") || line.trim_start().starts_with("#[");
    lines.iter().find(|line| is_doc && !is_above(line)).and_then(|line| item_of(line))
}

/// The places of a file that name an invariant.
fn places(text: &str, file: &Path) -> Vec<Place> {
    let lines: Vec<&str> = text.lines().collect();
    let is_checking = CHECKING.iter().any(|folder| file.starts_with(folder))
        || file.file_stem().is_some_and(|stem| stem == "tests");
    let tests_from = lines.iter().position(|line| line.trim() == "#[cfg(test)]");
    let mut found = Vec::new();
    let mut item: Option<String> = None;
    for (at, line) in lines.iter().enumerate() {
        if let Some(name) = item_of(line) {
            item = Some(name.to_owned());
        }
        let (code, comment) = line.split_once("//").unwrap_or((line, ""));
        // A header defines, and says no more.
        if comment.starts_with('!') && !is_checking {
            continue;
        }
        let is_test = is_checking || tests_from.is_some_and(|from| at > from);
        let item = documented(comment, &lines[at..]).map(str::to_owned).or_else(|| item.clone());
        let mut add = |names: Vec<String>, role| {
            for name in names {
                found.push(Place { name, role, file: file.to_owned(), item: item.clone() });
            }
        };
        add(names(&literals(code)), Role::Checks);
        let is_audit = comment.contains("or audits") || comment.contains("or checks");
        if is_test || is_audit || comment.contains("Checks ") {
            add(names(comment), Role::Checks);
        } else {
            add(cited(comment), Role::Relies);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"//! A module.
//!
//! X1  One thing
//!     is so.
//! X2  Another.
//!
//! Never: X3.

/// A set.
struct Set {
    /// A field (X2).
    field: u8,
}

/// Takes (X1).
const fn take() {
    // SAFETY: it is so (X1, X2); see [u8; 4] (of 4).
    held(); // Checks X2.
    assert!(true, "X1 or X2, both");
}

/// True if X1 to X3 hold; for audits.
fn is_sound() {}
"#;

    #[test]
    fn definitions_have_all_their_lines() {
        let found = defined(TEXT, Path::new("a.rs"));
        let found: Vec<_> = found.iter().map(|one| (&*one.name, &*one.text)).collect();
        assert_eq!(found, [("X1", "One thing is so."), ("X2", "Another.")]);
    }

    #[test]
    fn a_place_relies_or_checks() {
        let found = places(TEXT, Path::new("src/a.rs"));
        let shown = |role| {
            let of_role = found.iter().filter(move |place| place.role == role);
            let shown = of_role
                .map(|place| format!("{} {}", place.name, place.item.as_deref().unwrap_or("")));
            shown.collect::<Vec<_>>()
        };
        assert_eq!(shown(Role::Relies), ["X2 Set", "X1 take", "X1 take", "X2 take"]);
        let checks = ["X2 take", "X1 take", "X2 take", "X1 is_sound", "X2 is_sound", "X3 is_sound"];
        assert_eq!(shown(Role::Checks), checks);
    }

    #[test]
    fn ranges_are_all_their_names() {
        assert_eq!(names("Y1-Y4, a slab; N4 to N6"), ["Y1", "Y2", "Y3", "Y4", "N4", "N5", "N6"]);
    }
}
