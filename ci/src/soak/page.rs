//! The page of `cargo ci soak`: memory and latency over time, for each run.

use super::{Run, Sample};
use crate::page::chart::{self, Mark};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::{Value, json};

/// The height of a chart, in pixels.
const HEIGHT: usize = 340;

pub(super) fn html(runs: &[Run]) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "hakmem: endurance" }
                style { (PreEscaped(include_str!("../page/style.css"))) }
            }
            body {
                header { h1 { "Endurance" } }
                main { @for run in runs { (section(run)) } }
                footer { p.small { "Written by " code { "cargo ci soak" } "." } }
                (chart::scripts())
            }
        }
    }
    .into_string()
}

fn section(run: &Run) -> Markup {
    let mib = |kib: u64| kib as f64 / 1024.0;
    let micros = |ns: u64| ns as f64 / 1000.0;
    let memory = vec![
        line(run, "resident", "--ours", |sample| mib(sample.rss_kib)),
        line(run, "counted by the limit", "--peer", |sample| mib(sample.counted_kib)),
        line(run, "in blocks", "--muted", |sample| mib(sample.live_kib)),
    ];
    let latency = vec![
        line(run, "p50", "--ours", |sample| micros(sample.p50_ns)),
        line(run, "p99", "--peer", |sample| micros(sample.p99_ns)),
        line(run, "p99.9", "--muted", |sample| micros(sample.p999_ns)),
        line(run, "longest", "--ink", |sample| micros(sample.max_ns)),
    ];
    let x = json!({ "title": { "text": "seconds" }, "rangemode": "tozero" });
    let mib = json!({ "title": { "text": "MiB" }, "rangemode": "tozero" });
    let micros = json!({ "title": { "text": "µs a call" }, "type": "log" });
    let layout = |y: &Value| json!({ "xaxis": x, "yaxis": y });
    html! {
        section id=(run.variant) {
            h2 { code { (run.variant) } }
            p { (run.failure.as_deref().unwrap_or("no fault")) }
            (chart::figure(&format!("Memory of {}", run.variant), HEIGHT, memory, &layout(&mib)))
            (chart::figure(&format!("Latency of {}", run.variant), HEIGHT, latency, &layout(&micros)))
        }
    }
}

fn line(run: &Run, name: &str, colour: &str, of: impl Fn(&Sample) -> f64) -> Value {
    let marks: Vec<Mark> =
        run.samples.iter().map(|sample| Mark::at(sample.seconds, of(sample))).collect();
    json!({
        "type": "scatter", "mode": "lines", "name": name, "line": { "color": colour, "width": 1.5 },
        "marks": marks,
    })
}
