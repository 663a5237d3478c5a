//! Replays the inputs of each target, in the target's own program.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The most bytes of a target's inputs, so that the repository stays small.
const MOST_BYTES: u64 = 64 << 10;

fn replay(target: &str, program: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert!(files.len() >= 20, "{} has {} inputs alone", folder.display(), files.len());
    let bytes: u64 = files.iter().map(|file| file.metadata().expect("it was listed").len()).sum();
    assert!(bytes <= MOST_BYTES, "{} has {bytes} bytes, of {MOST_BYTES}", folder.display());
    let output = Command::new(program).args(&files).output().expect("it starts");
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let last = said.lines().last().unwrap_or("no file");
    assert!(output.status.success(), "{last}: {}: {errors}", output.status);
    assert_eq!(said.lines().count(), files.len(), "it says the name of each file");
}

#[test]
fn operations() {
    replay("operations", env!("CARGO_BIN_EXE_operations"));
}

/// Of the library that `HAKMEM_LIBRARY` names.
#[test]
fn c_face() {
    replay("c_face", env!("CARGO_BIN_EXE_c_face"));
}

#[test]
fn variant_file() {
    replay("variant_file", env!("CARGO_BIN_EXE_variant_file"));
}
