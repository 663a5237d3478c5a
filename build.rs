//! Reads `variants/*.toml` and writes the list of variants to stamp.
//!
//! Everything that is decided about a variant file is decided in `build/`:
//! [`knobs`] says what can be set, [`tree`] reads and checks the files,
//! [`measures`] names what is limited, [`select`] turns Cargo features into a selection, [`emit`] writes Rust.

#[path = "build/emit.rs"]
mod emit;
#[path = "build/knobs.rs"]
mod knobs;
#[path = "build/measures.rs"]
mod measures;
#[path = "build/select.rs"]
mod select;
#[path = "build/tree.rs"]
mod tree;

use std::path::{Path, PathBuf};
use std::{env, fs, process};

fn main() {
    if let Err(message) = run() {
        // `cargo:error` puts the message on one line of its own and fails the build.
        println!("cargo::error={message}");
        process::exit(1);
    }
}

fn run() -> Result<(), String> {
    let root =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("CARGO_MANIFEST_DIR is unset")?);
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=variants");
    println!("cargo::rerun-if-changed=Cargo.toml");

    let tree = tree::Tree::read(&root.join("variants"))?;
    select::check_features(&tree, &read(&root.join("Cargo.toml"))?)?;
    let selection = select::select(&tree, |feature| {
        let name = feature.to_uppercase().replace('-', "_");
        env::var_os(format!("CARGO_FEATURE_{name}")).is_some()
    });

    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is unset")?).join("variants.rs");
    fs::write(&out, emit::emit(&tree, &selection)).map_err(|e| format!("{}: {e}", out.display()))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}
