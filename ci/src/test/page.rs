//! The page, in a browser: `cargo ci report` writes it from what `cargo ci bench` and `cargo ci ledger` write,
//! and it can be read on a phone and on a desk.

use crate::page::browser;
use crate::tools;
use crate::workspace::{cargo, must_succeed, target};
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;

/// A browser, installed where there is none and we may.
pub(super) fn browser() -> Result<PathBuf> {
    if browser::chromium().is_none() {
        tools::debian("chromium", "chromium")?;
    }
    browser::chromium().context("chromium is missing")
}

pub(super) fn run() -> Result<()> {
    let folder = target().join("page-smoke");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let file = |name: &str| folder.join(name);
    let (run, ledger, page) = (file("run.json"), file("ledger.json"), file("report.html"));
    must_succeed(
        cargo()
            .args(["ci", "bench", "--ledger", "--rounds", "6", "--cycles", "20000", "--json"])
            .arg(&run),
    )?;
    must_succeed(cargo().args(["ci", "ledger", "--from"]).arg(&run).arg("--json").arg(&ledger))?;
    let mut report = cargo();
    report.args(["ci", "report", "--from"]).arg(&run).arg("--ledger").arg(&ledger);
    must_succeed(report.arg("--out").arg(&page))?;

    let browser = browser()?;
    // Not where every label stands: that depends on the figures, and so on this machine's mood. A test
    // beside the page looks at that, with figures that are always the same.
    browser::check(&browser, &page, false)?;
    for (name, width, dark) in [("desk", 1280, false), ("phone", 390, true)] {
        let png = file(&format!("{name}.png"));
        browser::screenshot(&browser, &page, width, 4000, dark, &png)?;
        let bytes = std::fs::metadata(&png).with_context(|| png.display().to_string())?.len();
        ensure!(bytes > 10_000, "{}: {bytes} bytes are no picture of a page", png.display());
    }
    Ok(())
}
