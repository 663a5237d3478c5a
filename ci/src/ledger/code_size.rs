//! Bytes of an allocator's machine code: by the symbols of one program that contains all allocators.

use crate::instructions::cell;
use crate::tree::Tree;
use crate::workspace::Profile;
use anyhow::{Context, Result};
use object::{Object, ObjectSymbol, SymbolKind};
use std::collections::BTreeMap;

/// Bytes of a variant's own functions, without the code that is inlined into the program.
pub(super) type Sizes = BTreeMap<String, f64>;

pub(super) fn take(tree: &Tree, profile: Profile) -> Result<Sizes> {
    let program = cell(profile)?;
    let bytes = std::fs::read(&program).with_context(|| program.display().to_string())?;
    let file = object::File::parse(&*bytes)?;
    let mut sizes = Sizes::new();
    for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text) {
        let name = format!("{:#}", rustc_demangle::demangle(symbol.name()?));
        // The library's, stamped for a variant: `hakmem::thread_cache::refill::refill_cold::<hakmem::face::stamp::Apex>`.
        let is_ours = name.trim_start_matches('<').starts_with("hakmem::");
        let of = |type_name: &str| {
            name.contains(&format!("stamp::{type_name}>"))
                || name.contains(&format!("stamp::{type_name} as"))
        };
        for variant in tree.variants.values().filter(|variant| is_ours && of(&variant.type_name)) {
            *sizes.entry(variant.id.clone()).or_default() += symbol.size() as f64;
        }
    }
    Ok(sizes)
}
