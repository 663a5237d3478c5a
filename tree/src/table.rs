//! `variants/generated/table.rs`: a row per variant, which the library and its build script read as Rust.

use super::knobs::Knob;
use super::tree::{Group, Tree, Variant};
use std::fmt::Write;

/// Its path, from the root of the repository.
pub(crate) const PATH: &str = "variants/generated/table.rs";

/// Features of the crate that are no variants.
const OTHER_FEATURES: &[&str] =
    &["hash-lookup", "all-variants", "stats", "preload", "valgrind", "asan"];

const HEAD: &str = "\
// Written by `cargo ci variants` from variants/*.toml; do not edit.
//
// A hash of those files, by which the build script knows whether this is made of them; then each variant's type, the
// name of its knobs, what the build script wants to know of it, and the knobs: its parent's, but for its own.
//
// `rank`: among variants that features name, the one with the highest is selected.
table! {
";

/// The file's content.
pub(crate) fn table(tree: &Tree, files: &[(String, String)]) -> String {
    let mut out = HEAD.to_owned();
    let mut order: Vec<&Variant> = tree.variants.values().collect();
    // Variants of a sweep rank lowest; then more ancestors rank higher, and among equals the later id.
    order.sort_by_key(|variant| (variant.group == Group::Matrix, variant.depth, &variant.id));
    writeln!(out, "    {:#018x};", hash(files)).expect("a string takes all");
    for (rank, variant) in order.into_iter().enumerate() {
        row(&mut out, tree, variant, rank).expect("a string takes all");
    }
    out.push_str("}\n");
    out
}

fn row(out: &mut String, tree: &Tree, variant: &Variant, rank: usize) -> std::fmt::Result {
    let Variant { id, type_name, parent, default, .. } = variant;
    let twin = tree.hash_twin(id).map(|twin| &twin.id);
    writeln!(out)?;
    writeln!(out, "    {type_name} {} {{", constant(id))?;
    writeln!(
        out,
        "        id: {id:?}, parent: {parent:?}, rank: {rank}, twin: {twin:?}, default: {default},"
    )?;
    writeln!(out, "        doc: {:?},", doc(variant))?;
    writeln!(out, "    }} = Knobs {{")?;
    for (key, value) in &variant.own {
        let knob = Knob::by_key(key).expect("the tree holds known knobs only");
        writeln!(out, "        {key}: {},", knob.in_rust(value))?;
    }
    let rest = parent.as_ref().map_or("Knobs::DEFAULT".to_owned(), |parent| constant(parent));
    writeln!(out, "        ..{rest}\n    }};")
}

/// `option-a` → `OPTION_A`.
fn constant(id: &str) -> String {
    id.to_uppercase().replace('-', "_")
}

fn doc(variant: &Variant) -> String {
    let Variant { id, question, .. } = variant;
    let place = match (&variant.parent, variant.own.iter().next()) {
        (Some(parent), Some((key, value))) => {
            format!("Variant `{id}`: `{parent}` with `{key} = {value}`.")
        }
        _ => format!("Variant `{id}`: a root of the tree."),
    };
    format!("{place}\n\n{question}")
}

/// FNV-1a of the files' names and contents; the build script computes it too.
pub(crate) fn hash(files: &[(String, String)]) -> u64 {
    let bytes = files.iter().flat_map(|(id, text)| [id.as_bytes(), text.as_bytes()]);
    bytes.flatten().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// Fails unless each variant has a feature of its name, and each feature a meaning.
pub(crate) fn check_features(tree: &Tree, manifest: &str) -> Result<(), String> {
    let manifest: toml::Table =
        manifest.parse().map_err(|e: toml::de::Error| format!("Cargo.toml: {}", e.message()))?;
    let empty = toml::Table::new();
    let features = manifest.get("features").and_then(toml::Value::as_table).unwrap_or(&empty);
    if let Some(id) = tree.variants.keys().find(|id| !features.contains_key(*id)) {
        return Err(format!(
            "variants/{id}.toml: Cargo.toml has no feature for it; add `{id} = []` under [features]"
        ));
    }
    let stray = |name: &&String| {
        !tree.variants.contains_key(*name) && !OTHER_FEATURES.contains(&name.as_str())
    };
    match features.keys().find(stray) {
        None => Ok(()),
        Some(name) => Err(format!(
            "Cargo.toml: feature `{name}` has no file variants/{name}.toml; allowed besides the variants: {}",
            OTHER_FEATURES.join(", ")
        )),
    }
}
