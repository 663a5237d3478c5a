//! `docs/report-verdicts.md`: judges the founding report's claims by a run.
//!
//! `verdicts/template.md` is the document, with the rule of each verdict in it. This module gives it the figures.

use super::Options;
use super::cells::{Cell, Programs};
use super::result::Matrix;
use super::table::movement;
use crate::tree::{Tree, Variant};
use anyhow::{Context, Result};
use hakmem_workloads::{Args, Workload};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value, context};
use std::collections::BTreeMap;

/// Runs the sweep over the soft cap, judges, and writes.
pub(crate) fn write(
    matrix: &Matrix,
    tree: &Tree,
    programs: &Programs,
    options: &Options,
) -> Result<()> {
    let text = text(matrix, &sweep(tree, programs, options)?, tree)?;
    fs_err::write(crate::workspace::root().join("docs/report-verdicts.md"), text)?;
    println!("\nwritten: docs/report-verdicts.md");
    Ok(())
}

/// Fallbacks with the report's soft cap, without it, and with recycling, on both workloads: event runs only.
fn sweep(tree: &Tree, programs: &Programs, options: &Options) -> Result<Vec<Value>> {
    let mut lines = Vec::new();
    for workload in Workload::REPORT {
        let ws = workload.default_ws();
        let args = Args { cycles: options.cycles(workload, ws), ws, seed: options.seed };
        for id in ["superslab", "superslab-cap-none", "option-a"] {
            let knobs =
                &tree.variants.get(id).with_context(|| format!("no variants/{id}.toml"))?.knobs;
            let knob = |key: &str| knobs.get(key).map(ToString::to_string);
            let (cap, recycling) = (knob("soft_cap"), knob("recycle"));
            let cell = Cell { id: id.to_owned(), peer: false, workload, args };
            let sample = programs.count(&cell)?;
            let events = sample.events.unwrap_or_default();
            lines.push(context! {
                workload => workload.name(),
                cap,
                recycling,
                fallbacks => events.all_fallbacks(),
                class7 => events.class7_fallbacks(),
                superslabs => events.superslabs,
                mib => sample.peak_rss_kib as f64 / 1024.0,
            });
        }
    }
    Ok(lines)
}

fn text(matrix: &Matrix, sweep: &[Value], tree: &Tree) -> Result<String> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_trim_blocks(true);
    env.set_lstrip_blocks(true);
    env.add_filter("to", |value: f64, places: usize| format!("{value:.places$}"));
    env.add_filter("signed", |value: f64, places: usize| format!("{value:+.places$}"));
    env.add_filter("times", |text: &str, word: &str| text.matches(word).count());
    env.add_function("verdict", |holds: bool| if holds { "confirmed" } else { "refuted" });
    env.add_function("faster", faster);
    let cells = matrix.clone();
    env.add_function("cell", move |id: &str, workload: Option<&str>, ws: Option<usize>| {
        figures(&cells, id, workload, ws)
    });
    let said = |Variant { parent, report, .. }: &Variant| {
        context! {
            parent,
            m_ops => report.m_ops_per_s,
            kernel => report.kernel_percent,
            stage1 => report.stage1_percent,
        }
    };
    let variants: BTreeMap<_, _> = tree.variants.iter().map(|(id, it)| (id, said(it))).collect();
    let context = context! {
        passport => matrix.passport.line(),
        noisy => matrix.noisy.then(|| movement(matrix)),
        sweep,
        variants,
    };
    Ok(env.render_named_str("template.md", include_str!("verdicts/template.md"), context)?)
}

/// The figures of a cell, for the template: of `random_mixed`, unless it names another workload, and with the
/// workload's own slots, unless it names others.
fn figures(
    matrix: &Matrix,
    id: &str,
    workload: Option<&str>,
    ws: Option<usize>,
) -> Result<Value, Error> {
    let error = |why: String| Error::new(ErrorKind::InvalidOperation, why);
    let workload: Workload = workload.unwrap_or("random_mixed").parse().map_err(error)?;
    let ws = ws.unwrap_or(workload.default_ws());
    let missing = || error(format!("{id} on {workload} {ws} gave no result to judge"));
    let cell = matrix.in_row(id, (workload.name(), ws)).ok_or_else(missing)?;
    let events = &cell.events;
    Ok(context! {
        m_ops => cell.median.ops_per_s / 1e6,
        cycles => cell.median.cycles_per_op,
        best => cell.min.cycles_per_op,
        kernel => cell.kernel_percent,
        mib => cell.median.peak_rss_kib as f64 / 1024.0,
        fallbacks => events.all_fallbacks(),
        class7 => events.class7_fallbacks(),
        stage1 => events.stage1_percent().unwrap_or(0.0),
        probes => events.probes as f64 / events.lookups.max(1) as f64,
        empty_scan => events.acquire.empty_scan,
        freelist => events.acquire.freelist,
        retired => events.retired,
    })
}

/// Change of speed of a cell against another in percent, by each one's best round, which other programs on the machine
/// disturbed least.
fn faster(own: &Value, other: &Value) -> Result<f64, Error> {
    let best = |cell: &Value| f64::try_from(cell.get_attr("best")?);
    Ok(100.0 * (best(other)? / best(own)? - 1.0))
}

#[cfg(test)]
mod tests {
    use super::super::result::made_up;
    use super::*;

    #[test]
    fn every_claim_is_judged() {
        let tree = crate::workspace::variants().expect("the variants");
        let [larson, thrash] = Workload::GUARDS.map(|guard| (guard.name(), guard.default_ws()));
        let rows = [("random_mixed", 8192), ("random_mixed", 256), ("phase_shift", 512)];
        let rows = [&rows, [larson, thrash].as_slice()].concat();
        let of = |id| rows.iter().map(move |&row| (id, row, 50.0));
        let cells: Vec<_> = tree.variants.keys().flat_map(|id| of(id.as_str())).collect();
        let text = text(&made_up::matrix("cpu", &cells), &[], &tree).expect("a document");
        let judged = text.lines().find(|line| line.ends_with("1 not testable here."));
        assert_eq!(judged, Some("8 confirmed, 11 refuted, 1 not testable here."), "{text}");
        let others: Vec<_> = cells.into_iter().filter(|(id, ..)| *id != "option-ab").collect();
        let error = super::text(&made_up::matrix("cpu", &others), &[], &tree).expect_err("missing");
        assert!(format!("{error:#}").contains("option-ab on random_mixed 8192 gave no result"));
    }
}
