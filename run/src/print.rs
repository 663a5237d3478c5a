//! The block at the end.

use crate::child::Run;
use crate::heap::Heap;
use std::fmt::Write;
use std::process::ExitStatus;

const MIB: f64 = 1_048_576.0;

/// A figure's name, its digits, its unit, and its value.
type Figure = (&'static str, usize, &'static str, fn(&Run) -> f64);

const FIGURES: [Figure; 4] = [
    ("wall time", 3, "s", |run| run.wall.as_secs_f64()),
    ("user", 3, "s", |run| run.user.as_secs_f64()),
    ("system", 3, "s", |run| run.system.as_secs_f64()),
    ("peak RSS", 2, "MiB", |run| run.peak_rss_bytes as f64 / MIB),
];

/// The block of a run on hakmem.
pub(crate) fn alone(ours: &Run, heap: Option<&Heap>) -> String {
    let mut rows = Vec::new();
    for (name, digits, unit, value) in FIGURES {
        rows.push([name.to_owned(), format!("{:.digits$} {unit}", value(ours))]);
    }
    rows.push(["exit".to_owned(), ending(ours.status)]);
    for (name, value) in heap.map(Heap::figures).unwrap_or_default() {
        rows.push([name.to_owned(), value]);
    }
    block(heap, &rows, &[])
}

/// The block of a run on hakmem beside one under the system's malloc.
pub(crate) fn beside(system: &Run, ours: &Run, heap: Option<&Heap>) -> String {
    let mut rows = vec![["", "system", "hakmem", "ratio"].map(str::to_owned)];
    for (name, digits, unit, value) in FIGURES {
        let [first, second] = [system, ours].map(value);
        let ratio = if first > 0.0 { format!("{:.2}", second / first) } else { "-".to_owned() };
        let shown = [first, second].map(|value| format!("{value:.digits$} {unit}"));
        let [first, second] = shown;
        rows.push([name.to_owned(), first, second, ratio]);
    }
    let [first, second] = [system, ours].map(|run| ending(run.status));
    let note = (system.status != ours.status)
        .then(|| format!("the exit statuses differ: {first} without hakmem, {second} with it"));
    rows.push(["exit".to_owned(), first, second, String::new()]);
    for (name, value) in heap.map(Heap::figures).unwrap_or_default() {
        rows.push([name.to_owned(), String::new(), value, String::new()]);
    }
    block(heap, &rows, note.as_slice())
}

/// Bytes, as text.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{:.2} MiB", bytes as f64 / MIB)
}

/// An exit code, or the signal's name.
fn ending(status: ExitStatus) -> String {
    status.code().map_or_else(|| status.to_string(), |code| code.to_string())
}

/// A heading, the rows, aligned, and notes.
fn block<const N: usize>(heap: Option<&Heap>, rows: &[[String; N]], notes: &[String]) -> String {
    let mut text = "hakmem run".to_owned();
    if let Some(variant) = heap.and_then(Heap::variant) {
        text.push_str(", variant ");
        text.push_str(variant);
    }
    text.push('\n');
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            // Writing to a string does not fail.
            let _ = match column {
                0 => write!(line, "  {cell:width$}"),
                _ => write!(line, "  {cell:>width$}"),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let silence = match heap {
        Some(Heap::Silent(why)) => Some(format!("no summary: {why}")),
        _ => None,
    };
    for note in notes.iter().chain(&silence) {
        text.push_str("  ");
        text.push_str(note);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::time::Duration;

    fn run(status: i32, millis: u64) -> Run {
        Run {
            status: ExitStatus::from_raw(status),
            wall: Duration::from_millis(millis),
            user: Duration::from_millis(millis),
            system: Duration::ZERO,
            peak_rss_bytes: 3 << 20,
            told_to_stop: false,
        }
    }

    #[test]
    fn a_run_is_a_block() {
        let heap = Heap::Told(serde_json::json!({"variant": "apex", "mapped_bytes": 2 << 20}));
        let expected = "\
hakmem run, variant apex
  wall time        0.500 s
  user             0.500 s
  system           0.000 s
  peak RSS        3.00 MiB
  exit                   7
  mapped at exit  2.00 MiB
";
        assert_eq!(alone(&run(7 << 8, 500), Some(&heap)), expected);
    }

    #[test]
    fn two_runs_are_two_columns() {
        let heap = Heap::Silent("gone".to_owned());
        let expected = "\
hakmem run
               system               hakmem  ratio
  wall time   0.500 s              0.250 s   0.50
  user        0.500 s              0.250 s   0.50
  system      0.000 s              0.000 s      -
  peak RSS   3.00 MiB             3.00 MiB   1.00
  exit              0  signal: 9 (SIGKILL)
  the exit statuses differ: 0 without hakmem, signal: 9 (SIGKILL) with it
  no summary: gone
";
        assert_eq!(beside(&run(0, 500), &run(9, 250), Some(&heap)), expected);
    }
}
