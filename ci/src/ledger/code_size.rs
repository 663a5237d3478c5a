//! Machine code that an allocator costs a program.

use crate::tree::Tree;
use crate::workspace::{self, cargo, must_succeed};
use anyhow::{Context, Result};
use object::{Object, ObjectSection};
use std::collections::BTreeMap;

/// Bytes of `.text` of `examples/real_program.rs`, by the variant that it is built with.
pub(super) type Sizes = BTreeMap<String, f64>;

pub(super) fn take(tree: &Tree) -> Result<Sizes> {
    eprintln!("building a program with each variant, for its code size");
    super::ids(tree)
        .into_iter()
        .map(|id| {
            let mut build = cargo();
            build.args(["build", "--quiet", "--release", "--example", "real_program"]);
            must_succeed(build.args(["--features", &id]))?;
            let program = workspace::target().join("release/examples/real_program");
            let bytes = std::fs::read(&program).with_context(|| program.display().to_string())?;
            let file = object::File::parse(&*bytes)?;
            let text = file.section_by_name(".text").context("a program without code")?;
            Ok((id, text.size() as f64))
        })
        .collect()
}
