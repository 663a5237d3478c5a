//! The target `variant_file`: files of `variants/`, as a person might write them.
//!
//! An input that starts with `+` is one more file beside those of the repository. Any other input is a folder of its
//! own, in which a line `--- <id>` starts the next file.

use hakmem_tree::Tree;
use std::path::Path;
use std::sync::LazyLock;

/// The files of the repository, each with its id.
static FILES: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../variants");
    let tree = Tree::read(&folder).expect("the variants of the repository");
    let file = |id: &String| {
        let text = std::fs::read_to_string(folder.join(format!("{id}.toml")));
        (id.clone(), text.expect("it was read before"))
    };
    tree.variants.keys().map(file).collect()
});

/// Runs an input.
///
/// # Panics
/// At an error of no line or of several, and if the parser panics.
pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let files = match text.strip_prefix('+') {
        Some(one_more) => {
            let fuzzed = ("fuzzed".to_owned(), one_more.to_owned());
            FILES.iter().cloned().chain([fuzzed]).collect()
        }
        None => folder(&text),
    };
    match Tree::resolve(&files) {
        Ok(tree) => use_all_of(&tree),
        Err(error) => {
            let is_one_line = !error.is_empty() && !error.contains(['\n', '\r']);
            assert!(is_one_line, "an error of no line or of several: {error:?}");
        }
    }
}

fn folder(text: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        match (line.strip_prefix("--- "), files.last_mut()) {
            (Some(id), _) => files.push((id.trim_end_matches('\n').to_owned(), String::new())),
            (None, Some((_, text))) => text.push_str(line),
            (None, None) => files.push(("first".to_owned(), line.to_owned())),
        }
    }
    files.sort();
    files.dedup_by(|one, other| one.0 == other.0);
    files
}

/// Asks all questions about a tree that a command may ask.
fn use_all_of(tree: &Tree) {
    assert!(tree.default_variant().default);
    for (id, variant) in &tree.variants {
        assert_eq!(tree.ancestors(id).count(), variant.depth, "{id}");
        let twin = tree.hash_twin(id);
        assert!(twin.is_none_or(hakmem_tree::Variant::looks_up_by_hash), "{id}");
        // Roots without a registry have no lookup.
        let _ = variant.lookup();
    }
}
