//! Every figure of every cell, a table per row.

use super::number::{NONE, count, or_none, percent, percent_range, plain, range};
use super::rows::title;
use super::table;
use crate::bench::result::{AgainstParent, CONTROL, Matrix, Measured};
use crate::bench::table::per_1000;
use maud::{Markup, html};

/// The columns, each with the figure of a cell that it shows.
type Figure = (&'static str, fn(&Measured) -> String);

const TIME: [Figure; 17] = [
    ("M ops/s", |cell| plain(cell.median.ops_per_s / 1e6)),
    ("cycles/op, median", |cell| plain(cell.median.cycles_per_op)),
    ("95 % interval", |cell| or_none(cell.cycles_interval, range)),
    ("best", |cell| plain(cell.min.cycles_per_op)),
    ("against the parent", |cell| or_none(cell.against_parent, against)),
    ("user, s", |cell| plain(cell.median.user_s)),
    ("kernel, % of time", |cell| plain(cell.kernel_percent)),
    ("kernel cycles/op", |cell| or_none(cell.median.kernel_cycles_per_op, plain)),
    ("instructions/op", |cell| or_none(cell.median.instructions_per_op, plain)),
    ("branches/op", |cell| or_none(cell.median.branches_per_op, plain)),
    ("branch misses/op", |cell| or_none(cell.median.branch_misses_per_op, plain)),
    ("last-level misses/op", |cell| or_none(cell.median.misses_per_op, plain)),
    ("TLB misses/op", |cell| or_none(cell.median.tlb_misses_per_op, plain)),
    ("page faults/1000", |cell| per_1000(cell.median.page_faults_per_op)),
    ("system calls/1000", |cell| per_1000(cell.system_calls_per_op)),
    ("switches/1000", |cell| per_1000(cell.median.voluntary_switches_per_op)),
    ("peak RSS, MiB", |cell| plain(cell.median.peak_rss_kib as f64 / 1024.0)),
];

/// Columns of the allocator itself: only our own variants count these.
const EVENTS: [Figure; 14] = [
    ("SuperSlabs", |cell| count(cell.events.superslabs)),
    ("slabs acquired, stage 0.5/1/2/3", acquired),
    ("stage 1, %", |cell| or_none(cell.events.stage1_percent(), plain)),
    ("fallbacks", |cell| count(cell.events.all_fallbacks())),
    ("slabs retired", |cell| count(cell.events.retired)),
    ("drains", |cell| count(cell.events.drains)),
    ("remote frees", |cell| count(cell.events.remote_frees)),
    ("lookups", |cell| count(cell.events.lookups)),
    ("probes", |cell| count(cell.events.probes)),
    ("refills", |cell| count(cell.events.refills)),
    ("transfers", |cell| count(cell.events.transfers)),
    ("atomics", |cell| count(cell.events.atomics)),
    ("lock waits", |cell| count(cell.events.lock_waits)),
    ("pages purged", |cell| count(cell.events.purged_pages)),
];

pub(super) fn section(run: &Matrix) -> Markup {
    let figures = TIME.iter().chain(&EVENTS).map(|(head, _)| *head);
    let heads: Vec<&str> = ["variant", "lookup"].into_iter().chain(figures).collect();
    html! {
        p {
            "Times are medians over " (run.rounds) " rounds; “best” is the round with the fewest \
             cycles. Page faults, system calls and voluntary context switches are per 1000 \
             operations. Events come from one more run, of a build that counts them, and system \
             calls from another, which is traced. “" (NONE) "” stands where there is no figure."
        }
        @for row in run.rows() {
            @let cells: Vec<&Measured> = run.cells.iter().filter(|cell| cell.is_in(row)).collect();
            @let lines: Vec<Vec<String>> = cells.iter().map(|cell| line(cell)).collect();
            @let operations = cells.first().map_or(0, |cell| cell.args.cycles);
            @let summary = format!("{}: {} operations", title(row), count(operations));
            (table::folded(&summary, &table::table(&title(row), &heads, &lines)))
        }
    }
}

fn line(cell: &Measured) -> Vec<String> {
    let has_events = !cell.peer && cell.id != CONTROL;
    let note = if cell.peer { "\nglobal allocator" } else { "" };
    let lookup = if has_events { cell.lookup() } else { NONE };
    let mut line = vec![format!("{}{note}", cell.variant), lookup.to_owned()];
    line.extend(TIME.iter().map(|(_, figure)| figure(cell)));
    let event = |(_, figure): &Figure| if has_events { figure(cell) } else { NONE.to_owned() };
    line.extend(EVENTS.iter().map(event));
    line
}

fn against(change: AgainstParent) -> String {
    let interval = change.interval.map(|ends| format!(" ({})", percent_range(ends)));
    format!("{}{}", percent(change.percent), interval.unwrap_or_default())
}

fn acquired(cell: &Measured) -> String {
    let acquire = &cell.events.acquire;
    [acquire.empty_scan, acquire.freelist, acquire.unused, acquire.grow].map(count).join("/")
}
