//! `cargo ci bless`: what was measured becomes what is allowed. The diff is what a reviewer sees.

use super::counts::Counts;
use super::{golden, limited};
use crate::measures::Measure;
use crate::workspace;
use anyhow::{Context, Result};
use toml_edit::{DocumentMut, Item, Table, value};

pub(crate) fn bless() -> Result<()> {
    let tree = workspace::variants()?;
    let counts = Counts::take()?;
    for variant in limited(&tree) {
        let file = workspace::root().join(format!("variants/{}.toml", variant.id));
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let figure = |name| {
            let count = counts.get(&variant.id, name);
            let count =
                count.with_context(|| format!("{}: `{name}` was not measured", variant.id))?;
            Ok((name, count.instructions))
        };
        let figures = Measure::names().map(figure).collect::<Result<Vec<_>>>()?;
        let blessed =
            rewritten(&text, figures.into_iter()).with_context(|| file.display().to_string())?;
        if blessed != text {
            std::fs::write(&file, blessed).with_context(|| file.display().to_string())?;
            println!("written: variants/{}.toml", variant.id);
        }
    }
    golden::write(&golden::take(&tree)?)
}

/// A variant's file with these limits, and everything else as it was.
fn rewritten<'a>(text: &str, figures: impl Iterator<Item = (&'a str, f64)>) -> Result<String> {
    let mut document: DocumentMut = text.parse()?;
    let mut limits = Table::new();
    limits.decor_mut().set_prefix("\n# Per operation, at most. Written by `cargo ci bless`.\n");
    for (name, took) in figures {
        limits.insert(name, value((took * 100.0).round() / 100.0));
    }
    document.insert("instructions", Item::Table(limits));
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_the_file_stays_and_blessing_again_changes_nothing() {
        let text = "# Why.\nquestion = \"?\"\n\n[set]\nbatch = 32   # blocks\n";
        let figures = || [("hit", 37.0294), ("refill", 1126.0)].into_iter();
        let blessed = rewritten(text, figures()).expect("TOML");
        assert!(blessed.starts_with(text), "{blessed}");
        assert!(blessed.ends_with("\n[instructions]\nhit = 37.03\nrefill = 1126.0\n"), "{blessed}");
        assert_eq!(rewritten(&blessed, figures()).expect("TOML"), blessed);
    }
}
