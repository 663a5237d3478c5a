//! The step `page`: opens the page of `cargo ci report` in a browser, from a recorded run, at the widths of a phone and
//! a desk. It leaves pictures in `page` in cargo's output folder.

use crate::tools;
use crate::workspace::{cargo, must_succeed};
use anyhow::Result;

pub(super) fn run() -> Result<()> {
    tools::need(&[tools::CHROMIUM])?;
    let mut command = cargo();
    command.args(["test", "--quiet", "--profile", "tool", "--package", "hakmem-ci", "--"]);
    must_succeed(command.args(["--ignored", "page::tests::a_browser_finds_what_is_wrong"]))
}
