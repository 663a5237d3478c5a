//! The tables of `docs/variants.md`, between markers; people write the rest of the page.

use super::knobs::{KNOBS, Kind, Scope};
use super::tree::{Group, Tree, Variant};
use std::fmt::Write;
use std::path::Path;

/// A part's name in its markers, and its text.
type Part = (&'static str, fn(&Tree) -> String);

const PARTS: [Part; 2] = [("knobs", knobs), ("tree", variants)];

/// The page with fresh tables.
pub(crate) fn rewritten(tree: &Tree, page: &str) -> Result<String, String> {
    PARTS.iter().try_fold(page.to_owned(), |page, (name, part)| {
        let file = Path::new("docs/variants.md");
        between_markers(file, &page, name, "cargo ci variants", &part(tree))
    })
}

/// A page with another text between the markers of this name, which name the command that writes it.
///
/// # Errors
/// In one line, that `file` lacks these markers.
pub fn between_markers(
    file: &Path,
    page: &str,
    name: &str,
    by: &str,
    text: &str,
) -> Result<String, String> {
    let (begin, end) = (format!("<!-- {name}: `{by}` -->\n"), "<!-- end -->");
    let lacks = || format!("{}: no `{}` with a `{end}` behind it", file.display(), begin.trim());
    let (before, rest) = page.split_once(&begin).ok_or_else(lacks)?;
    let (_, after) = rest.split_once(end).ok_or_else(lacks)?;
    Ok(format!("{before}{begin}{text}{end}{after}"))
}

/// A row per knob: its values, the default first where it has one, and what it decides.
fn knobs(_: &Tree) -> String {
    let mut out = "| key | for | values | what it decides |\n|---|---|---|---|\n".to_owned();
    for knob in KNOBS {
        let whose = match knob.scope {
            Scope::All => "all",
            Scope::Slabs => "`superslab`, `central`",
            Scope::Central => "`central`",
        };
        let values = match knob.kind {
            Kind::Choice(words) => {
                let one = |(word, _, about): &(&str, &str, &str)| {
                    format!("`{word}`: {}", about.trim().trim_end_matches('.'))
                };
                words.iter().map(one).collect::<Vec<_>>().join("<br>")
            }
            Kind::Number { min, max } => format!("{min} … {max}"),
            Kind::NumberOrNone { min, max } => format!("`none`, {min} … {max}"),
        };
        line(&mut out, &[&format!("`{}`", knob.key), whose, &values, knob.meaning()]);
    }
    out
}

/// A row per variant, a parent before its children.
fn variants(tree: &Tree) -> String {
    let mut out =
        "| variant | parent | its decision | its question |\n|---|---|---|---|\n".to_owned();
    for variant in in_order(tree) {
        let parent =
            variant.parent.as_ref().map_or("–".to_owned(), |parent| format!("`{parent}`"));
        let own: Vec<String> =
            variant.own.iter().map(|(key, value)| format!("`{key} = {value}`")).collect();
        let sweep = if variant.group == Group::Sweep { " (on demand)" } else { "" };
        let id = format!("`{}`{sweep}", variant.id);
        line(&mut out, &[&id, &parent, &own.join(", "), &variant.question]);
    }
    out
}

/// Roots first, then each one's children: the ones that end there before the one that goes on.
fn in_order(tree: &Tree) -> Vec<&Variant> {
    let below = |id: &str| {
        tree.variants.values().filter(|v| tree.ancestors(&v.id).any(|a| a.id == id)).count()
    };
    let mut order: Vec<&Variant> = Vec::new();
    let mut waiting: Vec<&Variant> =
        tree.variants.values().filter(|v| v.parent.is_none()).collect();
    waiting.sort_by_key(|root| std::cmp::Reverse(below(&root.id)));
    while let Some(variant) = waiting.pop() {
        order.push(variant);
        let mut children: Vec<&Variant> =
            tree.variants.values().filter(|v| v.parent.as_ref() == Some(&variant.id)).collect();
        children.sort_by_key(|child| std::cmp::Reverse(below(&child.id)));
        waiting.extend(children);
    }
    order
}

fn line(out: &mut String, cells: &[&str]) {
    writeln!(out, "| {} |", cells.join(" | ")).expect("a string takes all");
}
