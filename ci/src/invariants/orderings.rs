//! The atomic operations whose ordering is stronger than relaxed, each with the planted bugs that weaken it.

use super::scan;
use crate::plant::table::Bug;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// An atomic operation with a strong ordering.
pub(super) struct Strong {
    pub(super) file: PathBuf,
    pub(super) function: String,
    /// The orderings, as the line names them.
    pub(super) orderings: String,
    /// The names of the bugs that weaken it, and their checks.
    pub(super) weakened_by: Vec<(String, String)>,
}

const STRONG: [&str; 4] = ["Acquire", "Release", "AcqRel", "SeqCst"];

/// All of them, by file.
pub(super) fn all(root: &Path, bugs: &[Bug]) -> Result<Vec<Strong>> {
    let mut found = Vec::new();
    for file in scan::files(&root.join("src"))? {
        let text = fs_err::read_to_string(&file)?;
        let file = file.strip_prefix(root).unwrap_or(&file);
        found.extend(of_file(&text, file, bugs));
    }
    Ok(found)
}

fn of_file(text: &str, file: &Path, bugs: &[Bug]) -> Vec<Strong> {
    let of_file: Vec<&Bug> = bugs.iter().filter(|bug| bug.file == file).collect();
    let (mut found, mut function, mut from) = (Vec::new(), "", 0);
    for line in text.lines() {
        if line.trim() == "#[cfg(test)]" {
            break;
        }
        function = scan::item_of(line).unwrap_or(function);
        let code = line.split("//").next().unwrap_or_default();
        if strength(code) > 0 {
            let weakens = |bug: &&&Bug| {
                let at = text.find(&bug.find);
                let covers =
                    at.is_some_and(|at| at < from + line.len() && from < at + bug.find.len());
                covers && strength(&bug.replace) < strength(&bug.find)
            };
            let weakened_by = of_file.iter().filter(weakens);
            let weakened_by = weakened_by.map(|bug| (bug.id.clone(), bug.check.clone())).collect();
            let words = code.split("Ordering::").skip(1);
            let name =
                |word: &str| word.chars().take_while(|c| c.is_alphabetic()).collect::<String>();
            let orderings = words.map(name).collect::<Vec<_>>().join(", ");
            let (file, function) = (file.to_owned(), function.to_owned());
            found.push(Strong { file, function, orderings, weakened_by });
        }
        from += line.len() + 1;
    }
    found
}

/// How many acquires and releases a text asks for.
fn strength(text: &str) -> usize {
    let count = |word: &str| text.matches(&format!("Ordering::{word}")).count();
    STRONG.iter().map(|word| count(word)).sum::<usize>() + count("AcqRel")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_weakens_the_line_that_it_is_in() {
        let text =
            "fn take() {\n    a.load(Ordering::Acquire);\n    b.store(0, Ordering::Release);\n}\n";
        let bug = Bug {
            id: "weak".to_owned(),
            breaks: Vec::new(),
            what: String::new(),
            file: "a.rs".into(),
            find: "b.store(0, Ordering::Release)".to_owned(),
            replace: "b.store(0, Ordering::Relaxed)".to_owned(),
            check: "model take".to_owned(),
            says: None,
        };
        let found = of_file(text, Path::new("a.rs"), &[bug]);
        let shown: Vec<_> = found
            .iter()
            .map(|one| (&*one.function, &*one.orderings, one.weakened_by.len()))
            .collect();
        assert_eq!(shown, [("take", "Acquire", 0), ("take", "Release", 1)]);
    }
}
