//! The ledger as tables.

use super::model::{Change, Edge, EdgeRow, Ledger, Stage};
use crate::bench::table::{align_right, markdown};

const HEAD: &[&str] = &[
    "variant",
    "against",
    "knob",
    "instructions/op",
    "cycles/op",
    "change, 95 %",
    "L1 misses, simulated",
    "LL misses, simulated",
    "RSS MiB",
    "kernel %",
    "code bytes",
    "expected",
];

pub(super) fn print(ledger: &Ledger) {
    println!("{}", ledger.passport.line());
    if ledger.noisy {
        println!(
            "NOISY: cycles and kernel shares moved by more than their intervals; the rest repeats"
        );
    }
    print_edges("Each variant against its parent", &ledger.edges);
    print_edges("The best variant with one knob left out", &ledger.leave_one_out);
    print_budget(&ledger.budget);
}

/// A table per row of the matrix.
fn print_edges(title: &str, edges: &[Edge]) {
    let mut rows: Vec<(&str, usize)> = Vec::new();
    for row in edges.iter().flat_map(|edge| &edge.rows) {
        if !rows.contains(&(&row.workload, row.ws)) {
            rows.push((&row.workload, row.ws));
        }
    }
    for (workload, ws) in rows {
        let mut table = markdown(HEAD);
        align_right(&mut table, 3..HEAD.len() - 1);
        for edge in edges {
            let here = |row: &&EdgeRow| row.workload == workload && row.ws == ws;
            if let Some(row) = edge.rows.iter().find(here) {
                table.add_row(line(edge, row));
            }
        }
        println!("\n{title}: {workload}, {ws} slots\n{table}");
    }
}

fn line(edge: &Edge, row: &EdgeRow) -> Vec<String> {
    let mib =
        row.peak_rss_kib.map(|Change { from, to }| Change { from: from / 1024.0, to: to / 1024.0 });
    let points = |Change { from, to }: Change| format!("{from:.0} → {to:.0}");
    vec![
        edge.variant.clone(),
        edge.against.clone(),
        edge.knob.clone(),
        change(row.instructions, 2),
        row.cycles.map_or("–".to_owned(), |Change { from, to }| format!("{from:.1} → {to:.1}")),
        cycles_change(row),
        change(row.l1_misses_simulated, 3),
        change(row.ll_misses_simulated, 3),
        change(mib, 1),
        row.kernel_percent.map_or("–".to_owned(), points),
        edge.code_bytes.map_or("–".to_owned(), |code| format!("{:+.0}", code.to - code.from)),
        expected(row),
    ]
}

/// The change of cycles, with its interval.
fn cycles_change(row: &EdgeRow) -> String {
    let Some(percent) = row.cycles_percent else { return "–".to_owned() };
    let interval = row.cycles_percent_interval;
    let ends = interval.map_or(String::new(), |[low, high]| format!(" ({low:+.1} … {high:+.1})"));
    format!("{percent:+.1} %{ends}")
}

/// From, to, and the change in percent.
fn change(change: Option<Change>, places: usize) -> String {
    let Some(change) = change else { return "–".to_owned() };
    let Change { from, to } = change;
    let percent = change.percent().map_or(String::new(), |percent| format!(" ({percent:+.1} %)"));
    format!("{from:.places$} → {to:.places$}{percent}")
}

fn expected(row: &EdgeRow) -> String {
    let lines = row.expected.iter().map(|expectation| {
        let [low, high] = expectation.range;
        let verdict = if expectation.met { "met" } else { "not met" };
        format!("{} {low:+.0} … {high:+.0} %: {verdict}", expectation.metric)
    });
    lines.collect::<Vec<_>>().join(", ")
}

fn print_budget(budget: &[Stage]) {
    if budget.is_empty() {
        return;
    }
    println!(
        "\nThe founding report's budget, rebuilt: random_mixed, 8192 slots, cycles per operation"
    );
    for stage in budget {
        let mut table = markdown(["", "the report", "measured", "how"]);
        align_right(&mut table, 1..3);
        for part in &stage.parts {
            let said = part.said.map_or("–".to_owned(), |[low, high]| {
                if low < high { format!("{low:.0}–{high:.0}") } else { format!("{low:.0}") }
            });
            let cycles = part.cycles.map_or("–".to_owned(), |cycles| format!("{cycles:.1}"));
            table.add_row([part.name.clone(), said, cycles, part.method.clone()]);
        }
        let rest = format!("{:.1}", stage.not_separated());
        let why = "the total without the lines: they are measured apart, and their costs overlap in the processor";
        table.add_row(["not separated", "–", &rest, why]);
        let (said, measured) = (format!("{:.0}", stage.said), format!("{:.1}", stage.measured));
        let name = format!("`{}`, median", stage.variant);
        table.add_row(["total", &said, &measured, &name]);
        println!("\n{} (`{}`)\n{table}", stage.name, stage.variant);
    }
}
