//! Turns Cargo features into a selection of variants: `OUT_DIR/selection.rs`.
//!
//! The variants themselves are rows of `variants/generated/table.rs`, which `cargo ci variants` writes and checks: nothing
//! is parsed here.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, process};

/// A variant of the table.
pub(crate) struct Row {
    type_name: &'static str,
    knobs: &'static str,
    pub(crate) id: &'static str,
    parent: Option<&'static str>,
    /// Among variants that features name, the one with the highest is selected.
    rank: u32,
    /// Its child whose one knob is the hash registry.
    twin: Option<&'static str>,
    /// Whether it is selected where no feature names one.
    default: bool,
    doc: &'static str,
}

macro_rules! table {
    ($hash:literal; $($type:ident $name:ident { $($key:ident: $value:expr,)* } = $knobs:expr;)*) => {
        /// A hash of the files that the table was made of.
        const HASH: u64 = $hash;
        const TABLE: &[Row] = &[
            $(Row { type_name: stringify!($type), knobs: stringify!($name), $($key: $value,)* }),*
        ];
    };
}

include!("variants/generated/table.rs");

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=variants");
    if let Err(message) = run() {
        // `cargo::error` puts the message on one line of its own and fails the build.
        println!("cargo::error={message}");
        process::exit(1);
    }
}

fn run() -> Result<(), String> {
    let variable = |name: &str| env::var_os(name).ok_or_else(|| format!("{name} is unset"));
    check_fresh(&PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("variants"))?;
    let on = |feature: &str| {
        let name = feature.to_uppercase().replace('-', "_");
        env::var_os(format!("CARGO_FEATURE_{name}")).is_some()
    };
    let out = PathBuf::from(variable("OUT_DIR")?);
    let write = |name: &str, text: String| {
        fs::write(out.join(name), text).map_err(|e| format!("{}: {e}", out.join(name).display()))
    };
    write("watched.rs", watched(on))?;
    write("selection.rs", selection(on))
}

/// The content of the file that says which tools the library tells of its blocks.
fn watched(on: impl Fn(&str) -> bool) -> String {
    let mut out = String::new();
    for (name, feature, tool) in
        [("VALGRIND", "valgrind", "memcheck"), ("ASAN", "asan", "the address sanitizer")]
    {
        let is_on = on(feature);
        line(&mut out, &format!("/// Whether {tool} is told of blocks (feature `{feature}`)."));
        line(&mut out, &format!("const {name}: bool = {is_on};"));
    }
    out
}

/// Whether the table was made of the files as they are; a package has the table alone.
fn check_fresh(folder: &Path) -> Result<(), String> {
    let io = |e: std::io::Error| format!("{}: {e}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            files.push((id, fs::read(&path).map_err(io)?));
        }
    }
    files.sort();
    // FNV-1a of names and contents.
    let bytes = files.iter().flat_map(|(id, text)| id.bytes().chain(text.iter().copied()));
    let hash = bytes.fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    if files.is_empty() || hash == HASH {
        return Ok(());
    }
    let new = files.iter().find(|(id, _)| TABLE.iter().all(|row| row.id != id));
    let feature = new.map_or(String::new(), |(id, _)| {
        format!("add `{id} = []` under [features] in Cargo.toml, if it is not there, and ")
    });
    let file = new.map_or("variants/".to_owned(), |(id, _)| format!("variants/{id}.toml"));
    Err(format!(
        "{file} is not in variants/generated/table.rs as it is; {feature}run `cargo ci variants`"
    ))
}

/// The variant behind `hakmem::Hakmem`. docs/variants.md has the rules.
pub(crate) fn selected(on: impl Fn(&str) -> bool) -> &'static Row {
    let row = |id: &str| TABLE.iter().find(|row| row.id == id);
    let named = TABLE.iter().filter(|row| on(row.id)).max_by_key(|row| row.rank);
    let default = || TABLE.iter().find(|row| row.default).expect("`cargo ci variants` checks");
    let selected = named.unwrap_or_else(default);
    match selected.twin.and_then(row) {
        Some(twin) if on("hash-lookup") => twin,
        _ => selected,
    }
}

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

/// The content of the file that the library includes.
///
/// The default variant is always stamped: a feature that somebody else's crate turns on may add types, but never take
/// one away.
pub(crate) fn selection(on: impl Fn(&str) -> bool) -> String {
    let selected = selected(&on);
    let stamps =
        |row: &&Row| on("all-variants") || row.default || row.id == selected.id || on(row.id);
    let mut stamped: Vec<&Row> = TABLE.iter().filter(stamps).collect();
    stamped.sort_by_key(|row| row.id);

    let mut out = String::new();
    let stats = on("stats");
    line(&mut out, "/// Whether event counters are compiled in (feature `stats`).");
    line(&mut out, &format!("pub(crate) const STATS: bool = {stats};\n"));
    line(&mut out, "/// Calls a macro with every stamped variant, and the selected one.");
    line(&mut out, "macro_rules! with_variants { ($callback:ident) => { $callback! {");
    line(&mut out, &format!("    selected {};", selected.type_name));
    for Row { type_name, knobs, id, parent, doc, .. } in &stamped {
        line(&mut out, &format!("    {type_name} {knobs} {id:?} {parent:?}, {doc:?};"));
    }
    line(&mut out, "} } }\npub(crate) use with_variants;\n");

    line(&mut out, "/// Calls a macro with the face of the selected variant, or with nothing.");
    line(&mut out, "macro_rules! with_face { ($callback:ident) => { $callback! {");
    if on("preload") {
        let Row { knobs, id, parent, .. } = selected;
        let doc = format!(
            "Variant `{id}` as a C library has it: see [`ByAddress`](crate::ByAddress). Its lists are where the thread's slot points."
        );
        line(&mut out, &format!("    Preload {knobs} {id:?} {parent:?}, {doc:?};"));
    }
    line(&mut out, "} } }\npub(crate) use with_face;\n");

    out.push_str(FOR_EACH_DOC);
    for arm in [
        "($callback:ident) => { $callback! {",
        "($callback:ident, $extra:tt) => { $callback! { $extra;",
    ] {
        line(&mut out, &format!("    {arm}"));
        for Row { type_name, id, .. } in &stamped {
            line(&mut out, &format!("        {type_name} {id:?},"));
        }
        line(&mut out, "    } };");
    }
    line(&mut out, "}");
    out
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("a string takes all");
}
