//! The tree of variants: reads and checks `variants/*.toml`, and writes the files that are generated from them.
//!
//! | module | |
//! |---|---|
//! | `knobs` | the knobs that a file may set: the library's own list |
//! | `tree` | the files, read, checked and resolved |
//! | `table` | `variants/generated/table.rs`, which the library is stamped from |
//! | `docs` | the tables of `docs/variants.md` |
//!
//! `cargo ci variants` writes the files that are [`generated`]. The library's build script reads the table alone, so a
//! build of the library parses nothing.

mod docs;
mod knobs;
mod table;
mod tree;

pub use docs::between_markers;
pub use knobs::{Knob, Value};
pub use tree::{Group, Report, Tree, Variant};

use std::path::{Path, PathBuf};

/// A generated file, and the text that it should have.
#[derive(Debug)]
pub struct Generated {
    /// From the root of the repository.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
}

/// The files that are generated from the tree in the repository at `root`.
///
/// # Errors
/// In one line, the fault in a variant's file and the allowed values; a feature that `Cargo.toml` lacks; or a page that
/// cannot be read.
pub fn generated(root: &Path) -> Result<Vec<Generated>, String> {
    let files = tree::files(&root.join("variants"))?;
    let tree = Tree::resolve(&files)?;
    table::check_features(&tree, &read(&root.join("Cargo.toml"))?)?;
    let page = PathBuf::from("docs/variants.md");
    let text = docs::rewritten(&tree, &read(&root.join(&page))?)?;
    Ok(vec![
        Generated { path: table::PATH.into(), text: table::table(&tree, &files) },
        Generated { path: page, text },
    ])
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests;
