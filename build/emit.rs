//! Writes the macro that hands the variants to whoever stamps something for each.

use super::knobs::{Kind, Knob, Value};
use super::select::Selection;
use super::tree::{Tree, Variant};
use std::collections::BTreeMap;
use std::fmt::Write;

const FOR_EACH_DOC: &str = "\
/// Calls `$callback!` once with every variant of this build: `Type \"id\", ...`, behind `$extra;`
/// if that is given (one token tree).
///
/// The callback may be any macro in scope; the types live at the crate's root.
///
/// ```
/// use hakmem::Observe;
///
/// macro_rules! ids {
///     ($($variant:ident $id:literal,)*) => { [$($id),*] };
/// }
/// assert!(hakmem::for_each_variant!(ids).contains(&hakmem::Hakmem::ID));
/// ```
#[macro_export]
macro_rules! for_each_variant {
";

/// The content of `OUT_DIR/variants.rs`.
pub(crate) fn emit(tree: &Tree, selection: &Selection) -> String {
    let mut out = String::from("// Written by build.rs from variants/*.toml.\n\n");
    let stats = selection.stats;
    writeln!(out, "/// Whether event counters are compiled in (feature `stats`).").unwrap();
    writeln!(out, "pub(crate) const STATS: bool = {stats};\n").unwrap();

    writeln!(out, "/// Calls a macro with every stamped variant's knobs, and the selected one.")
        .unwrap();
    writeln!(out, "macro_rules! with_variants {{ ($callback:ident) => {{ $callback! {{").unwrap();
    for id in &selection.stamped {
        let variant = &tree.variants[id];
        let head = format!("variant {}", variant.type_name);
        emit_variant(&mut out, variant, &head, &doc(variant), &knobs(variant));
    }
    writeln!(out, "    selected {}", tree.variants[&selection.selected].type_name).unwrap();
    writeln!(out, "}} }} }}\npub(crate) use with_variants;\n").unwrap();

    out.push_str("/// Calls a macro with the face of the selected variant, or with nothing.\n");
    writeln!(out, "macro_rules! with_face {{ ($callback:ident) => {{ $callback! {{").unwrap();
    if selection.face {
        let variant = &tree.variants[&selection.selected];
        let mut knobs = knobs(variant);
        // Lists in the slot would be more than a shared library may have there.
        knobs.insert("THREAD_SLOT".to_owned(), "$crate::variant::Slot::Pointer".to_owned());
        knobs.insert("BY_ADDRESS".to_owned(), "true".to_owned());
        let doc = format!(
            "Variant `{}` as a C library has it: see [`ByAddress`](crate::ByAddress). Its lists are where the thread's slot points.",
            variant.id
        );
        emit_variant(&mut out, variant, "face Preload", &doc, &knobs);
    }
    writeln!(out, "}} }} }}\npub(crate) use with_face;\n").unwrap();

    out.push_str(FOR_EACH_DOC);
    for arm in [
        "($callback:ident) => { $callback! {",
        "($callback:ident, $extra:tt) => { $callback! { $extra;",
    ] {
        writeln!(out, "    {arm}").unwrap();
        for id in &selection.stamped {
            writeln!(out, "        {} {id:?},", tree.variants[id].type_name).unwrap();
        }
        writeln!(out, "    }} }};").unwrap();
    }
    writeln!(out, "}}").unwrap();
    out
}

/// The knobs of a variant as constants of the trait, by name.
fn knobs(variant: &Variant) -> BTreeMap<String, String> {
    let constant = |(key, value): (&&'static str, &Value)| {
        let knob = Knob::by_key(key).expect("the tree holds known knobs only");
        (key.to_uppercase(), rust_value(knob, value))
    };
    variant.knobs.iter().map(constant).collect()
}

fn emit_variant(
    out: &mut String,
    variant: &Variant,
    head: &str,
    doc: &str,
    knobs: &BTreeMap<String, String>,
) {
    writeln!(out, "    {head} {{").unwrap();
    writeln!(out, "        doc: {doc:?},").unwrap();
    writeln!(out, "        id: {:?},", variant.id).unwrap();
    writeln!(out, "        parent: {:?},", variant.parent).unwrap();
    writeln!(out, "        knobs: {{").unwrap();
    for (key, value) in knobs {
        writeln!(out, "            {key}: {value},").unwrap();
    }
    writeln!(out, "        }}\n    }}").unwrap();
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

fn rust_value(knob: &Knob, value: &Value) -> String {
    match (knob.kind, value) {
        (Kind::Choice { rust_enum, .. }, Value::Word(word)) => {
            let name = match word.as_str() {
                "superslab" => "SuperSlab".to_owned(),
                word => word[..1].to_uppercase() + &word[1..],
            };
            format!("$crate::variant::{rust_enum}::{name}")
        }
        (Kind::NumberOrNone { .. }, Value::Number(number)) => format!("Some({number})"),
        (_, Value::Number(number)) => number.to_string(),
        (_, Value::Unlimited | Value::Word(_)) => "None".to_owned(),
    }
}
