//! Which variants a build stamps, and which of them is `hakmem::Hakmem`.

use super::tree::{Group, Tree, Variant};

/// Features of the crate that are no variant.
const OTHER_FEATURES: &[&str] = &["hash-lookup", "all-variants", "stats", "preload"];

/// What a set of Cargo features asks for.
#[derive(Debug)]
pub(crate) struct Selection {
    /// Ids of the variants that exist as types, in the tree's order.
    pub(crate) stamped: Vec<String>,
    /// Id of the one behind `hakmem::Hakmem`.
    pub(crate) selected: String,
    /// Whether event counters are compiled in.
    pub(crate) stats: bool,
    /// Whether the selected variant is stamped once more, as `hakmem::Preload`, for who frees by address.
    pub(crate) face: bool,
}

/// Resolves features; the rules are in docs/variants.md.
///
/// The default variant is always stamped: a feature that someone else's crate turns on may add
/// types, but never take one away.
pub(crate) fn select(tree: &Tree, on: impl Fn(&str) -> bool) -> Selection {
    let named = |variant: &&Variant| on(&variant.id);
    let mut selected = tree
        .variants
        .values()
        .filter(named)
        .max_by_key(|variant| (variant.group == Group::Matrix, variant.depth, &variant.id))
        .unwrap_or_else(|| tree.default_variant());
    if on("hash-lookup") {
        selected = tree.hash_twin(&selected.id).unwrap_or(selected);
    }
    let stamped = tree
        .variants
        .values()
        .filter(|v| on("all-variants") || v.default || v.id == selected.id || on(&v.id))
        .map(|v| v.id.clone())
        .collect();
    Selection { stamped, selected: selected.id.clone(), stats: on("stats"), face: on("preload") }
}

/// Each variant needs a feature of its name, and each feature must mean something.
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
