//! Checks of the source as text: layers, features, and the invariants' numbers.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules by layer, from the bottom up. The modules of a layer may import from each other.
const LAYERS: &[&[&str]] = &[
    &["base"],
    &["sys"],
    &["variant"],
    &["free_block", "free_list", "batch", "linked", "tail", "stats", "backend"],
    &["page_map"],
    &["slab", "sampled", WING],
    &["central"],
    &["thread_cache"],
    &["alloc", "realloc", "large", "guarded", "check", "manage"],
    &[ROOF],
];
/// The module that only the roof may import from. It imports nothing from its own layer.
const WING: &str = "report";
const ROOF: &str = "face";
/// The modules of the wing, in the same way.
const WING_LAYERS: &[&[&str]] =
    &[&["list"], &["slab"], &["registry"], &["pool"], &["heap"], &["backend"]];

fn layer_of(layers: &[&[&str]], module: &str) -> Option<usize> {
    layers.iter().position(|row| row.contains(&module))
}

/// The modules of a source folder: a file or a folder each, or both.
fn modules(source: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(source).expect("a source folder");
    let names = entries.map(|entry| name_of(&entry.expect("an entry").path()));
    names.filter(|name| !["lib", "mod", "README"].contains(&name.as_str()))
}

/// The name of a file or folder, without `.rs`.
fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a source folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The modules that a line names behind a prefix, which is `crate::` or the wing's.
fn named_in<'a>(line: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    let code = line.split("//").next().unwrap_or(line);
    code.match_indices(prefix).filter_map(move |(at, prefix)| {
        let rest = &code[at + prefix.len()..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        (end > 0).then(|| &rest[..end])
    })
}

fn upward_imports(source: &Path, layers: &[&[&str]], prefix: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in rust_files(source) {
        let inside = file.strip_prefix(source).expect("it was found there");
        let module = name_of(Path::new(inside.iter().next().unwrap_or_default()));
        let Some(own) = layer_of(layers, &module) else { continue };
        let text = fs::read_to_string(&file).expect("a source file");
        for (number, line) in text.lines().enumerate() {
            for named in named_in(line, prefix) {
                let most = if module == WING { own - 1 } else { own };
                let upward = layer_of(layers, named).is_some_and(|layer| layer > most);
                if named != module && (upward || named == WING && module != ROOF) {
                    wrong.push(format!("{}:{}: {}", inside.display(), number + 1, line.trim()));
                }
            }
        }
    }
    wrong
}

#[test]
fn a_module_imports_only_from_lower_layers() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (folder, layers, prefix) in [
        (source.clone(), LAYERS, "crate::".to_owned()),
        (source.join(WING), WING_LAYERS, format!("crate::{WING}::")),
    ] {
        for module in modules(&folder) {
            let layer = layer_of(layers, &module);
            assert!(layer.is_some(), "{}/{module} is in no layer", folder.display());
        }
        assert_eq!(upward_imports(&folder, layers, &prefix), Vec::<String>::new());
    }
}

#[test]
fn the_check_sees_an_upward_import() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("layers");
    let write = |file: &str, text: &str| {
        let file = folder.join(file);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, text).expect("a file");
    };
    let line = "use crate::report::pool::Pool;";
    write("slab/bad.rs", "use crate::base::X;\nuse crate::central::CentralList;\n");
    write("batch.rs", "use crate::free_list::X;\nuse crate::slab::Segment;\n");
    write("thread_cache/bad.rs", line);
    write("face/good.rs", line);
    write("report/slab/bad.rs", line);
    let mut found = upward_imports(&folder, LAYERS, "crate::");
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "batch.rs:2: use crate::slab::Segment;",
            "slab/bad.rs:2: use crate::central::CentralList;",
            &format!("thread_cache/bad.rs:1: {line}")
        ]
    );
    let found = upward_imports(&folder.join(WING), WING_LAYERS, "crate::report::");
    assert_eq!(found, [format!("slab/bad.rs:1: {line}")]);
}

#[test]
fn no_feature_is_read_in_the_source() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in rust_files(&source) {
        let text = fs::read_to_string(&file).expect("a source file");
        let reads = text.lines().any(|line| line.contains("cfg") && line.contains("feature ="));
        assert!(!reads, "{}: features are read by the build script alone", file.display());
    }
}

/// The invariants that a module's header defines: `//! X1  …`.
fn defined_in(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("//! ")?.split_once("  ")?;
        (is_invariant(name) && !rest.trim().is_empty()).then_some(name)
    })
}

fn is_invariant(word: &str) -> bool {
    let digits = word.trim_start_matches(|c: char| c.is_ascii_uppercase());
    let letters = word.len() - digits.len();
    (1..=2).contains(&letters) && (1..=2).contains(&digits.len()) && digits.parse::<u8>().is_ok()
}

/// The invariants that a line of code cites in its comments and messages, in brackets or alone: `(X1, X2)`.
fn cited_in(line: &str) -> impl Iterator<Item = &str> {
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    let brackets = line.split('(').skip(1).filter_map(|rest| rest.split_once(')'));
    brackets
        .filter(move |(inside, _)| inside.chars().all(|c| is_name(c) || ", -".contains(c)))
        .flat_map(|(inside, _)| inside.split([',', ' ', '-']))
        .filter(|word| is_invariant(word))
}

#[test]
fn an_invariant_is_defined_once_and_what_is_cited_is_defined() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files: Vec<(PathBuf, String)> = rust_files(&source)
        .into_iter()
        .map(|file| (file.clone(), fs::read_to_string(file).expect("a source file")))
        .collect();
    let mut defined: Vec<&str> = files.iter().flat_map(|(_, text)| defined_in(text)).collect();
    defined.sort_unstable();
    assert!(defined.len() > 40, "{defined:?}");
    let twice: Vec<_> = defined.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "defined twice: {twice:?}");
    for (file, text) in &files {
        for name in text.lines().flat_map(cited_in) {
            assert!(defined.contains(&name), "{}: {name} is defined nowhere", file.display());
        }
    }
}

#[test]
fn the_check_of_invariants_reads_them() {
    let defined: Vec<_> =
        defined_in("//! X1  one\n//!     more\n//! RC2  two\n//! No  way\n").collect();
    assert_eq!(defined, ["X1", "RC2"]);
    let cited: Vec<_> =
        cited_in("// SAFETY: it is (X1, Y2); free (see N1) of [u8; 4] (RC1).").collect();
    assert_eq!(cited, ["X1", "Y2", "RC1"]);
}
