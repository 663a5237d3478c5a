//! Machine code that an allocator costs a program.

use crate::builds;
use crate::tree::Tree;
use crate::workspace::{cargo, must_succeed};
use anyhow::{Context, Result};
use object::{Object, ObjectSection};
use std::collections::BTreeMap;
use std::path::Path;

/// Bytes of `.text` of `examples/real_program.rs`, by the variant that it is built with.
pub(super) type Sizes = BTreeMap<String, f64>;

pub(super) fn take(tree: &Tree) -> Result<Sizes> {
    eprintln!("building a program with each variant, for its code size");
    let ids = super::ids(tree);
    let sizes = builds::each(&ids, size)?;
    Ok(ids.into_iter().zip(sizes).collect())
}

fn size(id: &str, folder: &Path) -> Result<f64> {
    let mut build = cargo();
    build.args(["build", "--quiet", "--release", "--example", "real_program"]);
    must_succeed(build.args(["--features", id, "--target-dir"]).arg(folder))?;
    let program = folder.join("release/examples/real_program");
    let bytes = std::fs::read(&program).with_context(|| program.display().to_string())?;
    let file = object::File::parse(&*bytes)?;
    let text = file.section_by_name(".text").context("a program without code")?;
    Ok(text.size() as f64)
}
