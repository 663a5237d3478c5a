//! The page as a whole, from made-up results.

use super::sample::{BEST, VARIANTS, ledger, passport, run};
use super::*;

const PEERS: [(&str, f64); 4] =
    [("hakmem", 0.5), ("system", 1.0), ("mimalloc3", 0.6), ("null", 0.2)];
const ROWS: [(&str, usize); 3] = [("random_mixed", 8192), ("phase_shift", 512), ("larson", 1000)];

#[test]
fn a_full_page_has_every_section_and_nothing_that_is_no_number() {
    let matrix = run(&VARIANTS, &PEERS, &ROWS, 7);
    let ledger = ledger(&matrix, &VARIANTS);
    let mut earlier = run(&VARIANTS, &[], &ROWS, 7);
    earlier.passport = passport("fedcba9876543210", 1);
    let page = html(&matrix, Some(&ledger), &[earlier], BEST).expect("a page");
    for (id, heading) in SECTIONS {
        assert!(page.contains(&format!("<section id=\"{id}\"><h2>{heading}</h2>")), "{id}");
    }
    for text in
        ["fedcba9", "not separable", "✗ not met", "mimalloc3", "Some &lt;Processor&gt; &amp; more"]
    {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf ") && !page.contains("<Processor>"));
}

#[test]
fn a_page_of_next_to_nothing_says_what_is_missing() {
    let page = html(&run(&VARIANTS[..2], &[], &ROWS[..1], 1), None, &[], BEST).expect("a page");
    for text in ["cargo ci ledger", "cargo ci bench --peers", "No run has both"] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn a_page_of_nothing_is_still_one() {
    let page = html(&run(&[], &[], &[], 1), None, &[], BEST).expect("a page");
    assert!(page.contains("</html>"));
}

#[test]
fn what_is_no_number_is_in_no_chart() {
    let mut matrix = run(&VARIANTS, &PEERS, &ROWS[..1], 3);
    for cell in &mut matrix.cells[..3] {
        cell.median.cycles_per_op = f64::NAN;
        cell.cycles_interval = Some([f64::NAN, f64::INFINITY]);
        for sample in &mut cell.samples {
            sample.ops = 0;
        }
    }
    let ledger = ledger(&matrix, &VARIANTS);
    let page = html(&matrix, Some(&ledger), &[], BEST).expect("a page");
    assert!(!page.contains("NaN"), "{page}");
}

#[test]
fn what_is_wrong_with_the_run_is_on_its_page() {
    let mut matrix = run(&VARIANTS, &[], &ROWS[..1], 3);
    matrix.noisy = true;
    for control in matrix.control.values_mut() {
        control.moved_percent = 22.0;
    }
    matrix.failed.push("option-a on larson ended with <signal 9>".to_owned());
    matrix.parts = vec![passport("aaaaaaaaaaaaaaaa", 1), passport("bbbbbbbbbbbbbbbb", 2)];
    let page = html(&matrix, None, &[], BEST).expect("a page");
    for text in
        ["NOISY", "moved by 22.0 %", "&lt;signal 9&gt;", "Merged from 2 runs", "bbbbbbbbbbbb"]
    {
        assert!(page.contains(text), "{text}");
    }
}

/// The browser itself, where there is one: a page that is right, and one that is not.
#[test]
fn a_browser_finds_what_is_wrong() {
    let Some(browser) = browser::chromium() else { return };
    let matrix = run(&VARIANTS, &PEERS, &ROWS[..2], 3);
    let page = html(&matrix, Some(&ledger(&matrix, &VARIANTS)), &[], BEST).expect("a page");
    let file = std::env::temp_dir().join(format!("hakmem-page-{}.html", std::process::id()));
    let check = |text: &str| {
        std::fs::write(&file, text).expect("a file");
        browser::check(&browser, &file, true).map_err(|error| format!("{error:#}"))
    };
    assert_eq!(check(&page), Ok(()));
    let broken = page
        .replace(
            "<footer>",
            "<div style=\"width:3000px\">wide</div><img src=\"https://example.org/x.png\"><footer>",
        )
        .replace("<section id=\"tree\">", "<section>");
    let wrong = check(&broken).expect_err("it is broken");
    for text in ["390 pixels", "scrolls sideways", "section tree is missing", "leaves the page"] {
        assert!(wrong.contains(text), "{text}: {wrong}");
    }
    std::fs::remove_file(&file).expect("it was there");
}
