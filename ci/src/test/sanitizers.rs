//! The step `sanitizers`: the thread sanitizer and the address sanitizer look at the tests of threads and of blocks.
//!
//! Both need the nightly toolchain, and the thread sanitizer the source of the standard library, to see its locks.
//!
//! | sanitizer | sees | does not see |
//! |---|---|---|
//! | thread | races of the library's own code, and of the blocks' content | single instructions in `src/sys/asm.rs` |
//! | address | uses of a freed block, and of the bytes beside a block (feature `asan`) | free blocks' links |
//!
//! An instruction that the sanitizer does not see can hide a race, and reports none: such a report needs two accesses
//! that it sees. The instructions count, and lead nowhere.

use crate::checks::{output, text};
use crate::tools;
use crate::workspace::{self, must_succeed, shown};
use anyhow::{Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// The default variant, those of the report, the one with shared lists, and the C face.
const FEATURES: &str = "arenas,option-abd,preload,superslab";
/// The hardened variant, whose code looks at free blocks: to the address sanitizer that is a fault.
const HARDENED: &str = "guard";

/// The tests that the thread sanitizer looks at, and those that it cannot.
const OF_THREADS: [&str; 3] = ["threads::", "by_address::threads", "by_address::what_a_thread"];
/// The sanitizer's own state is gone when a thread's last destructors run.
const AFTER_THE_END: &str = "key_destructors_run_after_the_heap";

/// The tests that the address sanitizer looks at, and those that it cannot.
const OF_BLOCKS: [&str; 4] = ["threads::", "shadow_map::", "by_address::", "recycling::"];
/// In a program with the sanitizer, the next allocator is not the one that serves `malloc`.
const OF_THE_NEXT: &str = "blocks_of_the_next_allocator";
/// A block that a tool watches never changes its size in place.
const IN_PLACE: &str = "grows_a_large_block_in_place";
/// The sanitizer has memory of its own, and this test counts what is resident.
const COUNTING: &str = "each_mapping_is_refused_in_turn";

/// Faults of `examples/faults.rs`, and what the address sanitizer or the library says of each.
const FAULTS: [(&str, &str); 5] = [
    ("after-free", "AddressSanitizer: use-after-poison"),
    ("after-realloc", "AddressSanitizer: use-after-poison"),
    ("overflow", "AddressSanitizer: use-after-poison"),
    ("underflow", "AddressSanitizer: use-after-poison"),
    ("double-free", "hakmem: fatal: double free, or free of what is no block: 0x"),
];

pub(super) fn run() -> Result<()> {
    tools::nightly_component("rust-src")?;
    thread()?;
    address()
}

fn thread() -> Result<()> {
    let (mut command, _) = with("thread", "test")?;
    let features = format!("{HARDENED},{FEATURES}");
    command.args(["-Zbuild-std", "--features", &features, "--test", "suite", "--"]);
    command.args(["--test-threads=1", "--skip", AFTER_THE_END]).args(OF_THREADS);
    // A child of a fork goes on, though it has lost the sanitizer's other threads.
    must_succeed(command.env("TSAN_OPTIONS", "die_after_fork=0"))
}

fn address() -> Result<()> {
    let features = format!("asan,{FEATURES}");
    let (mut command, _) = with("address", "test")?;
    command.args(["--features", &features, "--test", "suite", "--"]);
    must_succeed(
        command
            .args(["--test-threads=1", "--skip", OF_THE_NEXT, "--skip", IN_PLACE])
            .args(["--skip", COUNTING])
            .args(OF_BLOCKS),
    )?;
    let (mut command, folder) = with("address", "build")?;
    must_succeed(command.args(["--features", "asan", "--example", "faults"]))?;
    let program = folder.join(TRIPLE).join("debug/examples/faults");
    for size in ["24", "3000000"] {
        finds(&program, "none", size, None)?;
        FAULTS.iter().try_for_each(|(fault, says)| finds(&program, fault, size, Some(says)))?;
    }
    Ok(())
}

/// A cargo command of a build with a sanitizer, and the folder of its results.
fn with(sanitizer: &str, command: &str) -> Result<(Command, PathBuf)> {
    let folder = workspace::target().join("sanitizers").join(sanitizer);
    let mut cargo = tools::nightly(Path::new("cargo"))?;
    cargo.args([command, "--quiet", "--target", TRIPLE, "--target-dir"]).arg(&folder);
    cargo.env("RUSTFLAGS", format!("-Zsanitizer={sanitizer}"));
    // What a program keeps to its end is no fault here.
    cargo.env("ASAN_OPTIONS", "detect_leaks=0");
    Ok((cargo, folder))
}

/// Runs the program with a fault, which must end it with a message; without one it must succeed.
fn finds(program: &Path, fault: &str, size: &str, says: Option<&str>) -> Result<()> {
    let mut command = Command::new(program);
    let output = output(command.args([fault, size]).env("ASAN_OPTIONS", "detect_leaks=0"))?;
    let report = text(&output.stderr);
    let is_right = match says {
        Some(says) => !output.status.success() && report.contains(says),
        None => output.status.success() && report.is_empty(),
    };
    ensure!(is_right, "{} ended by {}: {report}", shown(&command), output.status);
    Ok(())
}
