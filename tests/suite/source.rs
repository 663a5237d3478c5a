//! What holds of the source as text: layers, features, and the invariants' numbers.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules by layer, ground to roof.
const LAYERS: &[&[&str]] = &[
    &["base"],
    &["sys"],
    &["variant"],
    &["list", "stats"],
    &["page_map"],
    &["slab"],
    &["chunk"],
    &["registry"],
    &["pool"],
    &["central"],
    &["heap"],
    &["cache"],
    &["api"],
];

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
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

/// The modules that a line names by `crate::module`.
fn named_in(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or(line);
    code.match_indices("crate::").filter_map(move |(at, prefix)| {
        let rest = &code[at + prefix.len()..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        (end > 0).then(|| &rest[..end])
    })
}

fn upward_imports(source: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in rust_files(source) {
        let inside = file.strip_prefix(source).expect("it was found there");
        let module = inside.iter().next().and_then(|part| part.to_str()).unwrap_or_default();
        let Some(own) = layer_of(module) else { continue };
        let text = fs::read_to_string(&file).expect("a source file");
        for (number, line) in text.lines().enumerate() {
            for named in named_in(line) {
                let upward = named != module && layer_of(named).is_some_and(|layer| layer >= own);
                if upward {
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
    let modules: Vec<String> = fs::read_dir(&source)
        .expect("src")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    for module in &modules {
        assert!(layer_of(module).is_some(), "src/{module} is in no layer");
    }
    assert_eq!(upward_imports(&source), Vec::<String>::new());
}

#[test]
fn the_check_sees_an_upward_import() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("layers");
    fs::create_dir_all(folder.join("slab")).expect("a folder");
    fs::write(folder.join("slab/bad.rs"), "use crate::base::X;\nuse crate::pool::Pool;\n")
        .expect("a file");
    assert_eq!(upward_imports(&folder), ["slab/bad.rs:2: use crate::pool::Pool;"]);
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
