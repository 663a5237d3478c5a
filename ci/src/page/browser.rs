//! Looks at a page in a headless browser, as its readers do: on a phone and on a desk, in light and
//! in dark.
//!
//! The page is put into a frame of the width asked for, inside a page of our own: a browser's window
//! has a least width that is more than a phone's, a frame has none. The frame has the same origin,
//! so the outer page can measure what is in it, and write down what is wrong.

use super::SECTIONS;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A browser that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// Phone and desk, in pixels.
const WIDTHS: [u32; 2] = [390, 1280];

const OPTIONS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// What the outer page wrote down.
#[derive(Deserialize)]
struct Findings {
    /// What the page believes the window's width to be.
    width: u32,
    wrong: Vec<String>,
}

/// A browser that is installed, if there is one.
pub(crate) fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let named =
        |name: &str| folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file());
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(named)
}

/// Writes a picture of a page's first `height` pixels. Where `width` is less than a window's least
/// width, about 500, the picture is wider than the page, and empty at its right.
pub(crate) fn screenshot(
    browser: &Path,
    page: &Path,
    width: u32,
    height: u32,
    dark: bool,
    png: &Path,
) -> Result<()> {
    let outer = outer_page(page, width, height, "")?;
    let scheme = format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 });
    let window = format!("--window-size={},{height}", width.max(500));
    run(browser, &outer, &[&scheme, &window, &format!("--screenshot={}", png.display())])?;
    ensure!(png.is_file(), "{} wrote no picture", browser.display());
    Ok(())
}

/// Fails, in one line, if the page is not as it should be on a phone or on a desk; `labels` says whether to
/// look at the places of the charts' labels too.
pub(crate) fn check(browser: &Path, page: &Path, labels: bool) -> Result<()> {
    WIDTHS.into_iter().try_for_each(|width| {
        let findings = look(browser, page, width, labels)
            .with_context(|| format!("{} at {width} pixels", page.display()))?;
        ensure!(
            findings.width == width,
            "the frame is {} pixels wide, not {width}",
            findings.width
        );
        ensure!(
            findings.wrong.is_empty(),
            "{} at {width} pixels: {}",
            page.display(),
            findings.wrong.join("; ")
        );
        Ok(())
    })
}

fn look(browser: &Path, page: &Path, width: u32, labels: bool) -> Result<Findings> {
    let sections = serde_json::to_string(&SECTIONS.map(|(id, _)| id))?;
    let script =
        format!("const SECTIONS = {sections}, LABELS = {labels};\n{}", include_str!("check.js"));
    let outer = outer_page(page, width, 800, &format!("<pre></pre><script>{script}</script>"))?;
    let window = format!("--window-size={},900", width.max(500));
    let dump = run(browser, &outer, &[&window, "--virtual-time-budget=5000", "--dump-dom"])?;
    let found = dump.split_once("<pre>").and_then(|(_, rest)| rest.split_once("</pre>"));
    let (found, _) = found.context("the browser did not load the page")?;
    serde_json::from_str(found).context("the browser did not measure the page")
}

/// A page with a frame with the page in it, and what else is asked for.
fn outer_page(page: &Path, width: u32, height: u32, more: &str) -> Result<String> {
    let text = fs::read_to_string(page).with_context(|| page.display().to_string())?;
    let text = maud::html! { (text) }.into_string();
    // A frame has its surroundings' colour scheme.
    Ok(format!(
        "<!DOCTYPE html><meta charset=utf-8><style>:root{{color-scheme:light dark}}body{{margin:0}}\
         iframe{{border:0;display:block}}</style>\
         <iframe width={width} height={height} srcdoc=\"{text}\"></iframe>{more}"
    ))
}

/// Opens a page; what the browser wrote.
fn run(browser: &Path, page: &str, options: &[&str]) -> Result<String> {
    let folder = Folder::new()?;
    let (file, output) = (folder.0.join("outer.html"), folder.0.join("output"));
    fs::write(&file, page)?;
    let mut child = Command::new(browser)
        .args(OPTIONS)
        .arg(format!("--user-data-dir={}", folder.0.join("profile").display()))
        .args(options)
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(File::create(&output)?)
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{} does not start", browser.display()))?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() > LIMIT {
            child.kill()?;
            child.wait()?;
            bail!("{} did not end within {} s", browser.display(), LIMIT.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    ensure!(status.success(), "{} ended with {status}", browser.display());
    Ok(String::from_utf8_lossy(&fs::read(&output)?).into_owned())
}

/// A folder that is gone when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // ORDERING: alone; only that no two are the same matters.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hakmem-browser-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What the browser still holds open stays; it is in the system's folder for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}
