//! The ledger as tables.

use super::model::{Change, Edge, EdgeRow, Ledger, Stage};
use crate::bench::table::{align_right, markdown, or_dash, per_1000};
use itertools::Itertools;

const HEAD: &str = "variant|against|knob|instructions/op|cycles/op|change, 95 %|L1 misses, simulated|\
    LL misses, simulated|RSS MiB|kernel %|faults/1000|calls/1000|code bytes|expected";

pub(crate) fn text(ledger: &Ledger) -> String {
    let noisy =
        "\nNOISY: cycles and kernel shares moved by more than their intervals; the rest repeats";
    let parts = [
        ledger.passport.lines(),
        if ledger.noisy { noisy.to_owned() } else { String::new() },
        edges("Each variant against its parent", &ledger.edges),
        edges("The best variant with one knob left out", &ledger.leave_one_out),
        budget(&ledger.budget),
    ];
    parts.concat()
}

/// A table per row of the matrix.
fn edges(title: &str, edges: &[Edge]) -> String {
    let mut text = String::new();
    let rows = edges.iter().flat_map(|edge| &edge.rows);
    for (workload, ws) in rows.map(|row| (&row.workload, row.ws)).unique() {
        let mut table = markdown(HEAD.split('|'));
        align_right(&mut table, 3..13);
        for edge in edges {
            let mut rows = edge.rows.iter();
            if let Some(row) = rows.find(|row| row.workload == *workload && row.ws == ws) {
                table.add_row(line(edge, row));
            }
        }
        text += &format!("\n\n{title}: {workload}, {ws} slots\n\n{table}");
    }
    text
}

fn line(edge: &Edge, row: &EdgeRow) -> [String; 14] {
    let mib = row.peak_rss_kib.map(|kib| Change { from: kib.from / 1024.0, to: kib.to / 1024.0 });
    let percent = row.cycles_percent.map(|percent| {
        let ends = row.cycles_percent_interval;
        let ends = ends.map(|[low, high]| format!(" ({low:+.1} … {high:+.1})"));
        format!("{percent:+.1} %{}", ends.unwrap_or_default())
    });
    let expected = row.expected.iter().map(|expectation| {
        let [low, high] = expectation.range;
        let verdict = if expectation.met { "met" } else { "not met" };
        format!("{} {low:+.0} … {high:+.0} %: {verdict}", expectation.metric)
    });
    [
        edge.variant.clone(),
        edge.against.clone(),
        edge.knob.clone(),
        change(row.instructions, 2),
        from_to(row.cycles, 1),
        or_dash(percent),
        change(row.l1_misses_simulated, 3),
        change(row.ll_misses_simulated, 3),
        change(mib, 1),
        from_to(row.kernel_percent, 0),
        per_1000_each(row.page_faults),
        per_1000_each(row.system_calls),
        or_dash(edge.code_bytes.map(|code| format!("{:+.0}", code.to - code.from))),
        { expected }.join(", "),
    ]
}

fn from_to(change: Option<Change>, places: usize) -> String {
    or_dash(change.map(|Change { from, to }| format!("{from:.places$} → {to:.places$}")))
}

/// Numbers per operation, for a thousand of them.
fn per_1000_each(change: Option<Change>) -> String {
    or_dash(change.map(|change| {
        let [from, to] = [change.from, change.to].map(|per_op| per_1000(Some(per_op)));
        format!("{from} → {to}")
    }))
}

/// From, to, and the change in percent.
fn change(change: Option<Change>, places: usize) -> String {
    let percent = change.and_then(Change::percent);
    let percent = percent.map_or(String::new(), |percent| format!(" ({percent:+.1} %)"));
    format!("{}{percent}", from_to(change, places))
}

fn budget(budget: &[Stage]) -> String {
    let mut text = String::new();
    if !budget.is_empty() {
        text += "\n\nThe founding report's budget, rebuilt: random_mixed, 8192 slots, cycles per operation";
    }
    for stage in budget {
        let mut table = markdown(["", "the report", "measured", "how"]);
        align_right(&mut table, 1..3);
        for part in &stage.parts {
            let said = part.said.map(|[low, high]| match low < high {
                true => format!("{low:.0}–{high:.0}"),
                false => format!("{low:.0}"),
            });
            let cycles = or_dash(part.cycles.map(|cycles| format!("{cycles:.1}")));
            table.add_row([&part.name, &or_dash(said), &cycles, &part.method]);
        }
        let rest = format!("{:.1}", stage.not_separated());
        let why = "the total without the lines: each is measured by itself, and their costs overlap in the processor";
        table.add_row(["not separated", "–", &rest, why]);
        let (said, measured) = (format!("{:.0}", stage.said), format!("{:.1}", stage.measured));
        let name = format!("`{}`, median", stage.variant);
        table.add_row(["total", &said, &measured, &name]);
        text += &format!("\n\n{} (`{}`)\n\n{table}", stage.name, stage.variant);
    }
    text
}
