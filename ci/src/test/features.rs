//! The step `features`: each feature builds alone, and selects the variant that docs/variants.md says.

use super::Options;
use crate::builds;
use crate::workspace::{self, cargo, must_succeed};
use anyhow::Result;
use std::collections::BTreeMap;

pub(super) fn run(options: &Options) -> Result<()> {
    let selected = selected()?;
    let features: Vec<&String> = selected.keys().collect();
    builds::each(&features, |features, folder| {
        // `tests/selected.rs` compiles if the variant is the right one.
        let mut command = cargo();
        command.args(["check", "--quiet", "--test", "selected", "--features", features]);
        command.env("HAKMEM_SELECTED", &selected[features]).arg("--target-dir").arg(folder);
        must_succeed(&mut command)?;
        if options.all {
            let mut command = cargo();
            command.args(["run", "--quiet", "--example", "global_allocator"]);
            must_succeed(command.args(["--features", features, "--target-dir"]).arg(folder))?;
        }
        Ok(())
    })?;
    for example in ["global_allocator", "two_variants", "heap_state"] {
        must_succeed(cargo().args(["run", "--quiet", "--all-features", "--example", example]))?;
    }
    Ok(())
}

/// Sets of features, and the variant that each set selects.
fn selected() -> Result<BTreeMap<String, String>> {
    let tree = workspace::variants()?;
    let default = tree.default_variant().id.clone();
    let mut selected = BTreeMap::from([(String::new(), default.clone())]);
    for variant in tree.variants.values() {
        selected.insert(variant.id.clone(), variant.id.clone());
        if let Some(twin) = tree.hash_twin(&variant.id) {
            selected.insert(format!("{},hash-lookup", variant.id), twin.id.clone());
        }
    }
    for feature in ["hash-lookup", "all-variants", "stats", "preload", "valgrind", "asan"] {
        selected.insert(feature.to_owned(), default.clone());
    }
    // Two named variants, one an ancestor of the other.
    selected.insert("superslab,option-a".to_owned(), "option-a".to_owned());
    Ok(selected)
}
