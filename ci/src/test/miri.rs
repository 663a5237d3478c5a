//! The step `miri`: Miri runs the unit tests of the parts that need no kernel: lists, batches, the page map, the addresses
//! of huge blocks.
//!
//! Miri runs no assembly. `src/sys/asm.rs` and `src/sys/kernel.rs` have a substitute for it each: what the compiler makes
//! of an instruction, and the standard library's allocator as the source of pages.

use crate::tools;
use crate::workspace::{self, must_succeed};
use anyhow::Result;
use std::path::Path;

/// The tests. Those of other modules call the kernel or the C library, or take Miri many minutes.
const TESTS: [&str; 12] = [
    "base::",
    "batch::",
    "free_list::",
    "linked::",
    "page_map::",
    "slab::segment::tests::at_a_multiple",
    "central::huge_blocks::",
    "central::low_water::",
    "report::list::",
    "tail::tests::a_byte_before",
    "tail::tests::a_tail_is_of",
    "tail::tests::a_wiped_block",
];

pub(super) fn run() -> Result<()> {
    tools::nightly_component("miri")?;
    tools::nightly_component("rust-src")?;
    let mut command = tools::nightly(Path::new("cargo"))?;
    command.args(["miri", "test", "--quiet", "--lib", "--target-dir"]);
    command.arg(workspace::target().join("miri")).arg("--").args(TESTS);
    // The kernel gives addresses without a pointer, and the tests leave their pages mapped.
    must_succeed(command.env("MIRIFLAGS", "-Zmiri-permissive-provenance -Zmiri-ignore-leaks"))
}
