//! Instructions per operation of every variant, counted by callgrind; exact, so they can be limits.
//!
//! The benchmark is `benches/cell/benches/instructions.rs`; the limits are in `variants/*.toml`, under
//! `[instructions]`.

mod bless;
mod counts;
mod golden;
mod limits;

pub(crate) use bless::bless;
pub(crate) use counts::{Count, Counts};

use crate::tree::Tree;
use crate::workspace;
use anyhow::{Result, bail};

/// The step of `cargo ci test`: no figure above its limit, and the hot paths are as written down.
pub(crate) fn check() -> Result<()> {
    let tree = workspace::variants()?;
    let mut wrong = limits::violations(&tree, &Counts::take()?);
    wrong.extend(golden::differences(&golden::take(&tree)?)?);
    if wrong.is_empty() {
        return Ok(());
    }
    for line in wrong.iter().chain(&golden::other_toolchain()) {
        eprintln!("{line}");
    }
    bail!("{} figures are not as blessed; `cargo ci bless` accepts what was measured", wrong.len())
}

/// The variants that have limits: all but the control, whose instructions are the C library's.
fn limited(tree: &Tree) -> impl Iterator<Item = &crate::tree::Variant> {
    tree.variants.values().filter(|variant| variant.id != crate::bench::result::CONTROL)
}
