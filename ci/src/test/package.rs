//! The step `package`: the package builds by itself in an empty project, and contains what a user needs and no more.

use crate::workspace::{self, cargo, must_succeed, target};
use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSymbol};
use std::path::Path;
use std::{fs, str};

/// Files and folders at the package's root.
const SHIPS: [&str; 14] = [
    ".cargo_vcs_info.json",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "Cargo.toml.orig",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "build.rs",
    "docs",
    "examples",
    "src",
    "variants",
    "SECURITY.md",
];

/// A static of every variant of the central backend, as the function that has it.
const USED: &str = "central::Shared>::page_heap";

/// Statics that `apex`, as a program's own allocator, has no use for.
const UNUSED: [&str; 3] = ["report::Statics>::", "central::Shared>::huge_blocks", "APEX_NOT_YET"];

const MAIN: &str = "\
#[global_allocator]
static A: hakmem::Hakmem = hakmem::Hakmem;

fn main() {
    println!(\"{}\", vec![1; 100].len());
}
";

pub(super) fn run() -> Result<()> {
    let mut list = cargo();
    list.args(["package", "--list", "--allow-dirty", "--package", "hakmem-alloc"]);
    let files = list.output().context("cargo package")?.stdout;
    for file in str::from_utf8(&files)?.lines() {
        let first = file.split('/').next().unwrap_or(file);
        ensure!(SHIPS.contains(&first), "the package ships `{file}`, which no user needs");
        let is_source = !file.starts_with("variants/") || file == "variants/generated/table.rs";
        ensure!(is_source, "the package ships `{file}`, which no user's build reads");
    }
    let mut package = cargo();
    package.args(["package", "--quiet", "--no-verify", "--allow-dirty"]);
    // The version of a workspace member of another package does not matter here.
    must_succeed(package.args(["--package", "hakmem-alloc"]))?;
    let version = env!("CARGO_PKG_VERSION");
    let crates = target().join("package");
    let folder = target().join("package-smoke");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(folder.join("src")).with_context(|| folder.display().to_string())?;
    let mut unpack = std::process::Command::new("tar");
    unpack.arg("-xzf").arg(crates.join(format!("hakmem-alloc-{version}.crate")));
    must_succeed(unpack.arg("-C").arg(&folder))?;
    let manifest = format!(
        "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n\
         hakmem = {{ package = \"hakmem-alloc\", path = \"hakmem-alloc-{version}\" }}\n\n[workspace]\n"
    );
    write(&folder.join("Cargo.toml"), &manifest)?;
    write(&folder.join("src/main.rs"), MAIN)?;
    // The versions that the package was built with.
    let lock = folder.join(format!("hakmem-alloc-{version}/Cargo.lock"));
    fs::copy(workspace::root().join("Cargo.lock"), &lock)
        .with_context(|| lock.display().to_string())?;
    let mut build = cargo();
    build.current_dir(&folder).args(["run", "--quiet", "--release", "--target-dir"]);
    must_succeed(build.arg(folder.join("target")))?;
    carries_no_other_backend(&folder.join("target/release/empty"))
}

/// A program contains nothing that the default variant does not use: neither the report's backend, nor the tables that
/// only the C face reads.
fn carries_no_other_backend(program: &Path) -> Result<()> {
    let bytes = fs::read(program).with_context(|| program.display().to_string())?;
    let file = object::File::parse(&*bytes)?;
    let names = file.symbols().filter_map(|symbol| symbol.name().ok());
    let names: Vec<_> = names.map(|name| rustc_demangle::demangle(name).to_string()).collect();
    let has = |static_name: &str| names.iter().find(|name| name.contains(static_name));
    ensure!(has(USED).is_some(), "the statics have other names than this check looks for");
    for unused in UNUSED {
        let found = has(unused);
        ensure!(found.is_none(), "a program on apex carries {found:?}, which it does not use");
    }
    Ok(())
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| file.display().to_string())
}
