//! Opens a page in a headless browser, as its readers do: at the widths of a phone and a desk, in light and in dark.
//!
//! A page of our own shows the page in two frames of these widths. A browser's window has a least width that is more
//! than a phone's; a frame has none. The outer page measures the content of the frames, and writes its complaints down.

use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;

/// The frames are files as well, and the outer page needs to look into them.
const OPTIONS: &str = "--headless --no-sandbox --disable-gpu --disable-background-networking \
    --disable-component-update --disable-sync --hide-scrollbars --allow-file-access-from-files \
    --window-size=1700,9000 --virtual-time-budget=20000 --dump-dom";

/// Fails, in one line, if the page has a fault. Leaves pictures beside it, `report.light.png` and `report.dark.png`,
/// with both widths.
pub(super) fn check(page: &Path) -> Result<()> {
    for (scheme, number) in [("dark", 0), ("light", 1)] {
        let beside = |what: &str| page.with_extension(format!("{scheme}.{what}"));
        let outer = beside("html");
        std::fs::write(&outer, outer_page(page, scheme)?)?;
        let mut command = Command::new("timeout");
        // A browser that takes longer than this hangs.
        command.args(["120", "chromium"]).args(OPTIONS.split_whitespace());
        command.arg(format!("--blink-settings=preferredColorScheme={number}"));
        command.arg(format!("--user-data-dir={}", beside("profile").display()));
        command.arg(format!("--screenshot={}", beside("png").display())).arg(&outer);
        let output = command.output().context("timeout does not start")?;
        ensure!(output.status.success(), "chromium ended with {}", output.status);
        let dump = String::from_utf8_lossy(&output.stdout);
        let found = dump.split_once("<pre>").and_then(|(_, rest)| rest.split_once("</pre>"));
        let (found, _) = found.context("the browser did not load the page")?;
        let wrong: Vec<String> =
            serde_json::from_str(found).context("the browser did not measure the page")?;
        ensure!(wrong.is_empty(), "{}, {scheme}: {}", page.display(), wrong.join("; "));
    }
    Ok(())
}

/// A page that shows the page in two frames and checks them.
fn outer_page(page: &Path, scheme: &str) -> Result<String> {
    let page = page.canonicalize()?;
    Ok(format!(
        "<!DOCTYPE html><meta charset=utf-8><style>:root{{color-scheme:light dark}}\
         body{{margin:0;display:flex;gap:20px}}iframe{{border:0;height:9000px}}pre{{display:none}}</style>\
         <iframe width=390 src=\"{page}\"></iframe><iframe width=1280 src=\"{page}\"></iframe>\
         <pre></pre><script>const SCHEME = \"{scheme}\";\n{check}</script>",
        page = page.display(),
        check = include_str!("check.js"),
    ))
}
