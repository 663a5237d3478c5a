//! Tests of variant files: a good tree is resolved, each kind of bad file is reported, and a new variant takes one file
//! and one line.

use super::{Tree, generated, table};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// The library's build script, for the variant that it selects.
#[path = "../../build.rs"]
#[allow(dead_code, reason = "only what it selects is asked")]
mod build_script;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The real files, as (stem, text).
fn real_files() -> Vec<(String, String)> {
    super::tree::files(&Path::new(ROOT).join("variants")).expect("variants/")
}

fn with(name: &str, text: &str) -> Result<Tree, String> {
    let mut files = real_files();
    files.retain(|(stem, _)| stem != name);
    files.push((name.to_owned(), text.to_owned()));
    Tree::resolve(&files)
}

/// The message for the real tree with one more (or another) file.
fn rejected(name: &str, text: &str) -> String {
    with(name, text).expect_err("the file is bad")
}

fn child_of_option_a(set: &str) -> String {
    format!("parent = \"option-a\"\nquestion = \"?\"\n[set]\n{set}\n")
}

fn assert_says(message: &str, parts: &[&str]) {
    assert!(!message.contains('\n'), "one line: {message}");
    for part in parts {
        assert!(message.contains(part), "`{part}` is missing in: {message}");
    }
}

#[test]
fn an_unknown_knob() {
    let message = rejected("odd", &child_of_option_a("recyle = \"none\""));
    assert_says(&message, &["variants/odd.toml", "`recyle`", "allowed:", "recycle", "soft_cap"]);
}

#[test]
fn an_unknown_key() {
    let text = format!("colour = \"red\"\n{}", child_of_option_a("soft_cap = 4"));
    assert_says(&rejected("odd", &text), &["variants/odd.toml", "`colour`", "allowed:", "parent"]);
}

#[test]
fn two_knobs_or_none() {
    let two = rejected("odd", &child_of_option_a("soft_cap = 4\nbatch = 8"));
    assert_says(&two, &["variants/odd.toml", "2 knobs", "batch, soft_cap", "exactly one"]);
    let none = rejected("odd", &child_of_option_a(""));
    assert_says(&none, &["variants/odd.toml", "0 knobs", "exactly one"]);
}

#[test]
fn an_unknown_parent() {
    let message = rejected("odd", "parent = \"nobody\"\nquestion = \"?\"\n[set]\nsoft_cap = 4\n");
    assert_says(&message, &["variants/odd.toml", "\"nobody\"", "allowed:", "legacy", "option-a"]);
}

#[test]
fn a_cycle() {
    let mut files = real_files();
    for (own, parent) in [("odd", "even"), ("even", "odd")] {
        let text = format!("parent = \"{parent}\"\nquestion = \"?\"\n[set]\nsoft_cap = 4\n");
        files.push((own.to_owned(), text));
    }
    let message = Tree::resolve(&files).expect_err("a cycle");
    assert_says(
        &message,
        &["variants/odd.toml", "`parent`", "cycle", "odd -> even -> odd", "root"],
    );
    let own = rejected("odd", "parent = \"odd\"\nquestion = \"?\"\n[set]\nsoft_cap = 4\n");
    assert_says(&own, &["odd -> odd"]);
}

#[test]
fn a_value_out_of_range() {
    for (set, parts) in [
        ("superslab_lg = 30", ["`superslab_lg` = 30", "19 to 21"]),
        ("soft_cap = 0", ["`soft_cap` = 0", "1 to 1024, or \"none\""]),
        ("soft_cap = \"many\"", ["`soft_cap` = \"many\"", "or \"none\""]),
        ("empty_scan_limit = 0", ["`empty_scan_limit` = 0", "1 to 1024"]),
        ("recycle = \"maybe\"", ["`recycle` = \"maybe\"", "\"none\", \"freelist\""]),
        ("registry = 7", ["`registry` = 7", "\"linear\", \"hash\", \"map\""]),
        ("free_by = \"layout\"", ["`free_by` means nothing", "backend = \"central\""]),
        ("batch = 300", ["`batch` = 300", "1 to 256"]),
    ] {
        let message = rejected("odd", &child_of_option_a(set));
        assert_says(&message, &["variants/odd.toml", "allowed:", parts[0], parts[1]]);
    }
}

/// The conditions that one knob of the central backend puts on another.
#[test]
fn knobs_that_need_each_other() {
    let child = |parent: &str, set: &str| {
        rejected("odd", &format!("parent = \"{parent}\"\nquestion = \"?\"\n[set]\n{set}\n"))
    };
    for (parent, set, needed) in [
        ("option-a", "backend = \"central\"", "`superslab_lg` = 21"),
        ("option-bd-hash", "backend = \"central\"", "`recycle` = freelist"),
        ("option-abd-hash", "backend = \"central\"", "`registry` = map"),
        ("address-map", "backend = \"central\"", "`soft_cap` = none"),
        ("central-lists", "registry = \"hash\"", "`registry` = map"),
        ("central-lists", "soft_cap = 2", "`soft_cap` = none"),
        ("central-lists", "growth = \"roomy\"", "`large` = own"),
        ("central-lists", "transfer_kib = 64", "`size_classes` other than"),
        ("apex", "purge_ms = 1", "10 to 60000, or \"none\""),
    ] {
        assert_says(&child(parent, set), &["variants/odd.toml", "allowed:", needed]);
    }
}

#[test]
fn a_name_that_is_no_identifier() {
    for name in ["2fast", "has space", "Upper", "under_score", "a--b", "-a", "a-", "", "ümlaut"] {
        let message = rejected(name, &child_of_option_a("soft_cap = 4"));
        assert_says(&message, &[&format!("variants/{name}.toml"), "no identifier", "lower-case"]);
    }
    for name in ["stats", "hash-lookup", "self", "hakmem"] {
        assert_says(
            &rejected(name, &child_of_option_a("soft_cap = 4")),
            &["no identifier", "not default"],
        );
    }
}

#[test]
fn two_names_for_one_type() {
    let mut files = real_files();
    for name in ["x-1", "x1"] {
        files.push((name.to_owned(), child_of_option_a("soft_cap = 4")));
    }
    assert_says(
        &Tree::resolve(&files).expect_err("one type"),
        &["variants/x1.toml", "`X1`", "`x-1`"],
    );
}

#[test]
fn a_root_that_leaves_a_knob_out() {
    let message = rejected("odd", "question = \"?\"\n[set]\nbackend = \"superslab\"\n");
    assert_says(
        &message,
        &["variants/odd.toml", "`size_classes` is missing", "allowed: \"report\", \"eighths\""],
    );
    let message = rejected("odd", "question = \"?\"\n[set]\nbackend = \"system\"\nsoft_cap = 2\n");
    assert_says(&message, &["variants/odd.toml", "`soft_cap`", "backend = \"superslab\""]);
}

#[test]
fn what_is_not_toml_or_not_of_the_kind() {
    assert_says(&rejected("odd", "question = \"?\"\n\n= 3\n"), &["variants/odd.toml", "line 3"]);
    assert_says(&rejected("odd", "question = 3\n"), &["`question` = 3", "text in quotes"]);
    assert_says(&rejected("odd", "set = 3\nquestion = \"?\"\n"), &["`set` = 3", "[set]"]);
    assert_says(&rejected("odd", "[set]\nbackend = \"system\"\n"), &["`question` is missing"]);
    let text = child_of_option_a("soft_cap = 4");
    let expect = format!("{text}[expect]\ncycles_per_op = \"faster\"\n");
    assert_says(&rejected("odd", &expect), &["`cycles_per_op` = \"faster\"", "-40% .. -15%"]);
    let expect = format!("{text}[expect]\nhappiness = \"0% .. 1%\"\n");
    assert_says(&rejected("odd", &expect), &["[expect] `happiness`", "cycles_per_op"]);
    let report = format!("{text}[report]\nm_ops_per_s = 3\n");
    assert_says(&rejected("odd", &report), &["`m_ops_per_s` = 3", "[lowest, highest]"]);
    let limit = format!("{text}[instructions]\nhit = 3\n");
    assert_says(&rejected("odd", &limit), &["`instructions` is no key here", "allowed: parent"]);
    let group = format!("group = \"b\"\n{text}");
    assert_says(&rejected("odd", &group), &["`group` = \"b\"", "\"matrix\", \"sweep\""]);
}

#[test]
fn a_message_is_one_line_whatever_the_file_says() {
    let values = [
        "question = \"?\"\ngroup = \"a\\nb\"",
        "\"a\\nb\" = 1",
        "question = [\"a\\nb\", 1]",
        "question = \"?\"\ndefault = \"a\\u2028b\"",
        "question = \"?\"\n[set]\n\"a\\rb\" = 3",
    ];
    for value in values {
        let message = rejected("odd", value);
        let breaks = ['\n', '\r', '\u{2028}'];
        assert!(!message.contains(breaks) && message.contains("a\\"), "{message:?}");
    }
    assert_says(&rejected("o\nd", "default = true"), &["variants/o\\nd.toml"]);
}

#[test]
fn one_default() {
    let text = format!("default = true\n{}", child_of_option_a("soft_cap = 4"));
    assert_says(&rejected("odd", &text), &["default = true", "exactly one"]);
    let none = |text: String| text.replace("default = true", "default = false");
    let files: Vec<_> = real_files().into_iter().map(|(id, text)| (id, none(text))).collect();
    assert_says(&Tree::resolve(&files).expect_err("none"), &["no file says `default = true`"]);
}

#[test]
fn every_variant_has_a_feature_and_every_feature_a_meaning() {
    let tree = Tree::resolve(&real_files()).expect("the real files");
    let manifest = fs::read_to_string(Path::new(ROOT).join("Cargo.toml")).expect("Cargo.toml");
    assert_eq!(table::check_features(&tree, &manifest), Ok(()));
    let without = manifest.replace("option-ad = []\n", "");
    let message = table::check_features(&tree, &without).expect_err("no feature");
    assert_says(&message, &["variants/option-ad.toml", "option-ad = []"]);
    let stray = manifest.replace("[features]\n", "[features]\nspeed = []\n");
    let message = table::check_features(&tree, &stray).expect_err("no meaning");
    assert_says(&message, &["Cargo.toml", "`speed`", "variants/speed.toml", "hash-lookup"]);
}

#[test]
fn knobs_come_down_the_tree() {
    let tree = Tree::read(&Path::new(ROOT).join("variants")).expect("the real files");
    let knobs = &tree.variants["option-abd-hash"].knobs;
    let set = |key: &str| knobs[key].to_string();
    assert_eq!((set("superslab_lg"), set("empty_scan_limit")), ("21".into(), "64".into()));
    assert_eq!((set("recycle"), set("registry")), ("freelist".into(), "hash".into()));
    assert_eq!(set("soft_cap"), "2");
    assert_eq!(tree.variants["option-abd-hash"].depth, 4);
    assert_eq!(tree.variants["option-a"].type_name, "OptionA");
}

#[test]
fn features_select_a_variant() {
    let tree = Tree::resolve(&real_files()).expect("the real files");
    let all: Vec<&str> = tree.variants.keys().map(String::as_str).collect();
    let selected = |on: &[&str]| build_script::selected(|feature| on.contains(&feature)).id;
    assert_eq!(selected(&[]), "apex", "the default");
    assert_eq!(selected(&["option-a"]), "option-a", "a named one beats the default");
    assert_eq!(selected(&["option-a", "superslab"]), "option-a", "further down the tree wins");
    assert_eq!(
        selected(&["option-ab", "option-ad"]),
        "option-ad",
        "the later id where depth is equal"
    );
    assert_eq!(selected(&["option-a", "hash-lookup"]), "option-a-hash");
    assert_eq!(selected(&["option-a-hash", "hash-lookup"]), "option-a-hash");
    assert_eq!(selected(&["legacy", "hash-lookup"]), "legacy", "it has no lookup");
    assert_eq!(selected(&["all-variants"]), "apex", "that names none");
    assert_eq!(selected(&all), "apex", "a sweep's variant gives way");
    assert_eq!(selected(&["option-bd-hash"]), "option-bd-hash", "unless it was named alone");
}

#[test]
fn a_feature_adds_and_never_takes_away() {
    let stamped = |on: &[&str]| -> Vec<String> {
        let text = build_script::selection(|feature| on.contains(&feature));
        let (_, rows) = text.split_once("    selected ").expect("a selection");
        let rows = rows.lines().skip(1).take_while(|line| line.starts_with("    "));
        rows.filter_map(|row| row.split('"').nth(1)).map(str::to_owned).collect()
    };
    assert_eq!(stamped(&[]), ["apex"]);
    assert_eq!(stamped(&["option-a"]), ["apex", "option-a"]);
    assert_eq!(stamped(&["all-variants"]).len(), real_files().len());
}

/// A copy of the library's sources and its variants' files.
fn copy(name: &str) -> tempfile::TempDir {
    let copy = tempfile::Builder::new().prefix(name).tempdir().expect("a folder");
    for part in ["src", "variants", "docs"] {
        copy_folder(&Path::new(ROOT).join(part), &copy.path().join(part));
    }
    for file in ["build.rs", "Cargo.lock"] {
        fs::copy(Path::new(ROOT).join(file), copy.path().join(file)).expect("a copy");
    }
    let manifest = fs::read_to_string(Path::new(ROOT).join("Cargo.toml")).expect("Cargo.toml");
    // The rest of the workspace is not copied.
    let manifest: String = manifest
        .lines()
        .filter(|line| !line.starts_with("hakmem-workloads"))
        .map(|line| if line.starts_with("members =") { "members = []" } else { line })
        .flat_map(|line| [line, "\n"])
        .collect();
    fs::write(copy.path().join("Cargo.toml"), manifest).expect("a file");
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &to);
        } else {
            fs::copy(&path, to).expect("a copy");
        }
    }
}

/// Checks the copy with a feature.
fn check(copy: &Path, feature: &str) -> Output {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["check", "--offline", "--features", feature]).current_dir(copy);
    cargo.env("CARGO_TARGET_DIR", copy.join("target")).output().expect("cargo starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Writes the generated files, as `cargo ci variants` does.
fn write_generated(root: &Path) {
    for file in generated(root).expect("a good tree") {
        fs::write(root.join(file.path), file.text).expect("a file");
    }
}

fn edit(file: &Path, what: &str, with: &str) {
    let text = fs::read_to_string(file).expect("a file");
    assert_eq!(text.matches(what).count(), 1, "`{what}` in {}", file.display());
    fs::write(file, text.replace(what, with)).expect("a file");
}

/// One file and one feature line make a variant. Until the generated files are fresh, the build says what is missing.
#[test]
fn a_variant_is_one_file_and_one_line() {
    let copy = copy("variant");
    let root = copy.path();
    let text = "parent = \"apex\"\nquestion = \"?\"\n[set]\nkeep_mib = 16\n";
    fs::write(root.join("variants/little-kept.toml"), text).expect("a file");
    let output = check(root, "");
    let said = stderr(&output);
    assert!(!output.status.success(), "{said}");
    let line = said.lines().find(|line| line.contains("variants/little-kept.toml"));
    assert_says(
        line.unwrap_or(&said),
        &["error", "add `little-kept = []` under [features] in Cargo.toml", "`cargo ci variants`"],
    );
    let message = generated(root).expect_err("no feature");
    assert_says(&message, &["variants/little-kept.toml", "add `little-kept = []`"]);
    edit(&root.join("Cargo.toml"), "[features]\n", "[features]\nlittle-kept = []\n");
    write_generated(root);
    let output = check(root, "little-kept");
    assert!(output.status.success(), "{}", stderr(&output));
    let page = fs::read_to_string(root.join("docs/variants.md")).expect("a page");
    assert!(page.contains("| `little-kept` | `apex` | `keep_mib = 16` |"), "{page}");

    // A bad file fails the generator, in one line, and the build, which has no table of it.
    fs::write(root.join("variants/option-ad.toml"), child_of_option_a("superslab_lg = 30"))
        .expect("a file");
    let message = generated(root).expect_err("a bad file");
    assert_says(&message, &["variants/option-ad.toml", "allowed: a whole number from 19 to 21"]);
    let output = check(root, "");
    assert!(!output.status.success());
    assert!(stderr(&output).contains("run `cargo ci variants`"), "{}", stderr(&output));
}

/// A new knob takes four files: the list of knobs, the code that reads it, and a variant with its line.
#[test]
fn a_knob_is_four_files() {
    let copy = copy("knob");
    let root = copy.path();
    let list = root.join("src/variant/knobs.rs");
    let knob = "knobs! {\n    /// Whether a new knob does anything.\n    novelty: Novelty, Central, {\n        \
                /// Nothing.\n        Old = \"old\",\n        /// Something.\n        New = \"new\",\n    };\n";
    edit(&list, "knobs! {\n", knob);
    edit(
        &root.join("src/realloc.rs"),
        "use crate::variant::",
        "const fn _is_new<V: Cached>() -> bool {\n    matches!(V::NOVELTY, crate::variant::Novelty::New)\n}\n\
         use crate::variant::",
    );
    let text = "parent = \"apex\"\nquestion = \"?\"\n[set]\nnovelty = \"new\"\n";
    fs::write(root.join("variants/novel.toml"), text).expect("a file");
    edit(&root.join("Cargo.toml"), "[features]\n", "[features]\nnovel = []\n");
    // This crate was built with the repository's list, so the test writes the copy's table by hand.
    let table = root.join("variants/generated/table.rs");
    write_table_with_a_row(&table, root);
    let output = check(root, "novel");
    assert!(output.status.success(), "{}", stderr(&output));
}

/// Adds to the table what `cargo ci variants`, built in the copy, would add.
fn write_table_with_a_row(table: &Path, root: &Path) {
    let files = super::tree::files(&root.join("variants")).expect("the files");
    let text = fs::read_to_string(table).expect("the table");
    let (head, rows) = text.split_once(";\n").expect("a hash");
    let (head, _) = head.rsplit_once(' ').expect("a hash");
    let rows = rows.strip_suffix("}\n").expect("an end");
    let row = "    Novel NOVEL { id: \"novel\", parent: Some(\"apex\"), rank: 99, twin: None, default: false, doc: \"?\", } =\n        \
               Knobs { novelty: Novelty::New, ..APEX };\n";
    let hash = super::table::hash(&files);
    fs::write(table, format!("{head} {hash:#018x};\n{rows}{row}}}\n")).expect("a file");
}
