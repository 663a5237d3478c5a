//! Tests of the whole page, from a recorded run; its budget, instructions and code sizes are made up.

use super::*;
use crate::workspace;
use serde_json::{Value, from_value};

const BEST: &str = "apex";

/// The run, its ledger, and earlier runs.
fn sample() -> (Matrix, Ledger, Vec<Matrix>) {
    let mut all: Value = serde_json::from_str(include_str!("sample.json")).expect("JSON");
    let mut part = |name: &str| all[name].take();
    let run: Matrix = from_value(part("run")).expect("a run");
    let mut history = vec![run.clone(); 24];
    (0..).zip(&mut history).for_each(|(n, kept)| kept.passport.commit = format!("{n:07}abc"));
    (run, from_value(part("ledger")).expect("a ledger"), history)
}

/// A page without its scripts; fails unless it contains `parts`.
fn text(run: &Matrix, ledger: Option<&Ledger>, history: &[Matrix], parts: &[&str]) -> String {
    let page = html(run, ledger, history, BEST);
    let (text, scripts) = page.split_once("<script").expect("scripts, at the end");
    assert!(scripts.contains("Plotly"));
    for part in parts {
        assert!(text.contains(part), "{part}: {text}");
    }
    text.to_owned()
}

#[test]
fn a_full_page_has_what_was_measured() {
    let (run, ledger, history) = sample();
    let parts = ["0000023", "not separable", "✗ not met", "mimalloc3", "Some &lt;Processor&gt;"];
    let text = text(&run, Some(&ledger), &history, &parts);
    assert!(!text.contains("NaN") && !text.contains("<Processor>"));
}

#[test]
fn a_page_of_little_says_what_is_missing() {
    let (mut run, ..) = sample();
    run.cells.retain(|cell| !cell.peer && cell.id != BEST);
    text(&run, None, &[], &["cargo ci ledger", "cargo ci bench --peers", "No run has both"]);
    run.cells.clear();
    text(&run, None, &[], &["</footer>"]);
}

#[test]
fn what_is_no_number_is_in_no_chart() {
    let (mut run, mut ledger, _) = sample();
    for cell in &mut run.cells[..3] {
        cell.median.cycles_per_op = f64::NAN;
        cell.cycles_interval = Some([f64::NAN, f64::INFINITY]);
        cell.samples.iter_mut().for_each(|sample| sample.ops = 0);
    }
    ledger.edges[0].rows[0].cycles_percent = Some(f64::NAN);
    assert!(!text(&run, Some(&ledger), &[], &[]).contains("NaN"));
}

#[test]
fn what_is_wrong_with_the_run_is_on_its_page() {
    let (mut run, ..) = sample();
    run.noisy = true;
    run.control.values_mut().for_each(|control| control.moved_percent = 22.5);
    run.failed.push("option-a on larson ended with <signal 9>".to_owned());
    run.parts = vec![run.passport.clone(), run.passport.clone()];
    text(&run, None, &[], &["NOISY", "by 22.5 %", "&lt;signal 9&gt;", "Merged from 2 runs"]);
}

/// A page without faults, and one with faults.
#[test]
#[ignore = "needs chromium, which `cargo ci test page` installs"]
fn a_browser_finds_what_is_wrong() {
    let (run, ledger, history) = sample();
    let page = html(&run, Some(&ledger), &history, BEST);
    let check = |name: &str, text: &str| {
        let folder = workspace::target().join("page").join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("report.html"), text).expect("a file");
        browser::check(&folder.join("report.html")).map_err(|error| format!("{error:#}"))
    };
    assert_eq!(check("right", &page), Ok(()));
    let elsewhere = "<p style='width:3000px'>wide</p><img src='https://example.org/x.png'><footer>";
    let long = "as a global allocator of a program that is any of those that are measured here";
    let broken = [
        ("<footer>", elsewhere),
        ("<section id=\"tree\">", "<section>"),
        ("&quot;name&quot;:&quot;measured&quot;", "&quot;visible&quot;:false"),
        ("size: 12.5", "size: 9"),
        ("font: { color: \"--ink\"", "font: { color: \"--grid\""),
        ("as a global allocator", long),
        ("const isPlaced = ", "const isPlaced = true || "),
    ];
    let broken = broken.iter().fold(page, |page, (right, wrong)| page.replace(right, wrong));
    let wrong = check("wrong", &broken).expect_err("it is broken");
    let kinds = ["sideways", "missing", "loads", "marks of", "high", "contrast", "cut", "overlap"];
    kinds.iter().for_each(|kind| assert!(wrong.contains(kind), "{kind}: {wrong}"));
}
