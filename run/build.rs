//! Builds `libhakmem.so`, which the program contains.
//!
//! | variable | |
//! |---|---|
//! | `HAKMEM_FEATURES` | features of `hakmem-alloc`, by commas: another variant than the default |
//! | `HAKMEM_LIBRARY` | the absolute path of a `libhakmem.so`, for packagers: nothing is built |

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, process};

/// The library's target, whatever this program is built for.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The library's sources, from the workspace's root.
const SOURCES: [&str; 6] =
    ["Cargo.lock", "Cargo.toml", "build.rs", "preload", "src", "variants/generated/table.rs"];

/// Variables that the outer cargo sets for this script, and that the inner one or its compilers would take as theirs:
/// names …
const NOT_PASSED_ON: [&str; 4] =
    ["CARGO_TARGET_DIR", "CLIPPY_ARGS", "RUSTC_WORKSPACE_WRAPPER", "RUSTC_WRAPPER"];

/// … and how names begin.
const NOT_PASSED_ON_PREFIXES: [&str; 4] =
    ["CARGO_CFG_", "CARGO_FEATURE_", "CARGO_MANIFEST_", "CARGO_PKG_"];

fn main() {
    match library() {
        Ok(file) => println!("cargo::rustc-env=HAKMEM_LIBRARY_FILE={}", file.display()),
        Err(message) => {
            println!("cargo::error={message}");
            process::exit(1);
        }
    }
}

fn library() -> Result<PathBuf, String> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=HAKMEM_LIBRARY");
    println!("cargo::rerun-if-env-changed=HAKMEM_FEATURES");
    if let Some(ready) = env::var_os("HAKMEM_LIBRARY") {
        println!("cargo::rerun-if-changed={}", ready.display());
        // `include_bytes!` would look beside the source file.
        return Path::new(&ready)
            .canonicalize()
            .map_err(|e| format!("HAKMEM_LIBRARY={}: {e}", ready.display()));
    }
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("..");
    for source in SOURCES {
        println!("cargo::rerun-if-changed=../{source}");
    }
    let folder = PathBuf::from(variable("OUT_DIR")?).join("preload");

    let mut cargo = Command::new(variable("CARGO")?);
    cargo.args(["build", "--release", "--package", "hakmem-preload", "--target", TARGET]);
    cargo.arg("--manifest-path").arg(root.join("Cargo.toml"));
    cargo.arg("--target-dir").arg(&folder);
    // The file is gone when the program has ended, so no tool could look a line up in it.
    cargo.args(["--config", "profile.release.strip=\"debuginfo\""]);
    if let Ok(features) = env::var("HAKMEM_FEATURES") {
        for feature in features.split(',').filter(|feature| !feature.is_empty()) {
            cargo.arg("--features").arg(format!("hakmem-alloc/{feature}"));
        }
    }
    for (name, _) in env::vars_os().filter(|(name, _)| !is_passed_on(name)) {
        cargo.env_remove(name);
    }
    // The outer target folder is locked until this script has ended.
    cargo.env("CARGO_BUILD_BUILD_DIR", &folder);
    // The outer cargo reads this script's standard output.
    let status = cargo.stdout(Stdio::null()).status();
    let status = status.map_err(|e| format!("cargo does not start: {e}"))?;
    if !status.success() {
        return Err(format!("libhakmem.so cannot be built ({status})"));
    }
    Ok(folder.join(TARGET).join("release/libhakmem.so"))
}

fn is_passed_on(name: &OsStr) -> bool {
    // A name that is no text is not cargo's.
    name.to_str().is_none_or(|name| {
        !NOT_PASSED_ON.contains(&name)
            && !name.ends_with("RUSTFLAGS")
            && !NOT_PASSED_ON_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

fn variable(name: &str) -> Result<std::ffi::OsString, String> {
    env::var_os(name).ok_or_else(|| format!("{name} is unset"))
}
