//! The page of `cargo ci report` in a browser, from a recorded run: it can be read on a phone and on a
//! desk. Pictures of it are left in `page` in cargo's output folder.

use crate::tools;
use crate::workspace::{cargo, must_succeed};
use anyhow::Result;

pub(super) fn run() -> Result<()> {
    tools::need(&[tools::CHROMIUM])?;
    let mut command = cargo();
    command.args(["test", "--quiet", "--profile", "tool", "--package", "hakmem-ci", "--"]);
    must_succeed(command.args(["--ignored", "page::tests::a_browser_finds_what_is_wrong"]))
}
