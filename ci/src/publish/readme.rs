//! The figures of README: a few cells and rows of the pages that `cargo ci publish` writes.
//!
//! README is made of the pages' text, so nothing is measured for it, and a test holds it against the pages.

use crate::bench::table::{align_right, markdown};
use anyhow::{Context, Result, ensure};
use std::iter;

/// Columns of README's lines.
const WIDTH: usize = 120;

/// The rows of README's table, by workload and slots: the founding report's, threads, real Rust code, and the two that
/// cost most beside others.
const ROWS: [[&str; 2]; 5] = [
    ["random_mixed", "8192"],
    ["producer_consumer", "1024"],
    ["json", "2000"],
    ["large_mix", "64"],
    ["after_peak_random", "200000"],
];

/// Each column of README's table, and the column of the page that it repeats.
const COLUMNS: [[&str; 2]; 9] = [
    ["workload", "workload"],
    ["slots", "slots"],
    ["cycles/op", "cycles/op"],
    ["fastest other", "the fastest other"],
    ["ratio", "median"],
    ["RSS MiB", "RSS MiB"],
    ["leanest other", "the leanest other but the system"],
    ["ratio", "RSS"],
    ["to glibc", "RSS, the system's malloc"],
];

const MEAN: [&str; 2] = ["geometric mean", ""];

/// A part's name in its markers, and its text.
pub(super) type Quote = (&'static str, String);

/// The parts of README: of `docs/benchmarks.md`, of `docs/c-face.md`, which has the real programs, and of
/// `docs/hot-paths.md`.
pub(super) fn quotes(
    default: &str,
    benchmarks: &str,
    c_face: &str,
    hot_paths: &str,
) -> Result<[Quote; 2]> {
    let (peers, hits) = (table(benchmarks, "workload")?, table(hot_paths, "variant")?);
    let programs = table(c_face, "allocator")?;
    let passport = benchmarks.lines().find(|line| line.starts_with("commit "));
    let passport = passport.context("docs/benchmarks.md names no commit")?;

    let mean = |column| peers.cell(&MEAN, column);
    let bullets = [
        format!(
            "**Cycles**: {} times those of the fastest other allocator on each workload, the geometric mean of {} rows\n  \
             (`cargo ci bench --suite --peers --variants {default}`).",
            mean("median")?,
            peers.rows.len() - 1,
        ),
        format!(
            "**Memory**: {} times the resident memory of the leanest other but the system's (the same command).",
            mean("RSS")?
        ),
        format!(
            "**After a peak** of which a random tenth lives on: {} times the leanest other's resident memory\n  \
             (`cargo ci bench --peers --workloads after_peak_random`).",
            peers.cell(&["after_peak_random"], "RSS")?
        ),
        format!(
            "**Under `LD_PRELOAD`**: {} times the system's wall time, the mean of {} real programs\n  \
             (`cargo ci programs --peers`).",
            programs.cell(&[default], "mean")?,
            programs.head.len() - 2,
        ),
        format!(
            "**A hit**: `malloc` of `libhakmem.so` takes {} instructions (`cargo ci test instructions`).",
            hits.cell(&[&format!("{default}, libhakmem.so"), "malloc"], "instructions")?
        ),
    ];
    let bullets = bullets.map(|bullet| format!("- {bullet}")).join("\n");

    let mut rows = markdown(COLUMNS.map(|[here, _]| here));
    for key in ROWS.iter().chain(iter::once(&MEAN)) {
        let cells = COLUMNS.map(|[_, column]| peers.cell(key, column));
        rows.add_row(cells.into_iter().collect::<Result<Vec<_>>>()?);
    }
    align_right(&mut rows, 1..COLUMNS.len());
    Ok([("figures", bullets), ("standing", format!("{}\n\n{rows}", wrapped(passport)))])
}

/// A line's words in as many lines as it takes.
fn wrapped(line: &str) -> String {
    let mut out = String::new();
    let mut columns = 0;
    for word in line.split(' ') {
        let width = word.chars().count();
        let fits = columns + 1 + width <= WIDTH;
        out += if columns == 0 {
            ""
        } else if fits {
            " "
        } else {
            "\n"
        };
        columns = if columns > 0 && fits { columns + 1 + width } else { width };
        out += word;
    }
    out
}

struct Table<'a> {
    head: Vec<&'a str>,
    rows: Vec<Vec<&'a str>>,
}

/// The first table of a page whose head starts with this.
fn table<'a>(page: &'a str, start: &str) -> Result<Table<'a>> {
    let start = format!("| {start}");
    let mut lines = page.lines().skip_while(|line| !line.starts_with(&start));
    let head = lines.next().with_context(|| format!("no table `{start} …`"))?;
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    Ok(Table { head: cells(head), rows: rows.map(cells).collect() })
}

fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split('|').map(str::trim).collect()
}

impl<'a> Table<'a> {
    /// The cell in the first row that starts with these cells.
    fn cell(&self, row: &[&str], column: &str) -> Result<&'a str> {
        let row_of = self.rows.iter().find(|cells| cells.starts_with(row));
        let at = self.head.iter().position(|name| *name == column);
        let cell = row_of.zip(at).and_then(|(cells, at)| cells.get(at));
        ensure!(cell.is_some(), "no cell in row {row:?}, column `{column}`");
        Ok(cell.copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_found_by_its_row_and_column() {
        let page =
            "text\n| a | b | c |\n|---|---|---|\n| x | 1 | 2 |\n| x | 3 | 4 |\n\n| z | 5 | 6 |\n";
        let table = table(page, "a").expect("a table");
        assert_eq!(table.rows.len(), 2);
        assert_eq!(table.cell(&["x", "3"], "c").expect("a cell"), "4");
        assert!(table.cell(&["z"], "c").is_err());
        assert!(table.cell(&["x"], "d").is_err());
    }

    #[test]
    fn a_long_line_is_wrapped_between_words() {
        let word = "w".repeat(59);
        assert_eq!(wrapped(&[&*word; 3].join(" ")), format!("{word} {word}\n{word}"));
        assert_eq!(wrapped("short"), "short");
    }
}
