//! The edges of the tree: each variant against its parent, and against the best with a knob left out.

use super::model::{Change, Edge, EdgeRow, Expectation};
use crate::bench::plan::{depth_first, matrix};
use crate::bench::result::{Matrix, Measured, Row};
use crate::instructions::{Count, Counts};
use crate::tree::{Tree, Variant};
use hakmem_workloads::Workload;
use itertools::Itertools;
use std::collections::BTreeMap;

/// The row that the report's predictions are about.
const REPORT: Row<'static> = (Workload::RandomMixed.name(), 8192);

/// The sources of the figures.
pub(super) struct Sources<'a> {
    pub(super) matrix: &'a Matrix,
    pub(super) counts: Option<&'a Counts>,
    /// Bytes of code, by variant.
    pub(super) sizes: Option<&'a BTreeMap<String, f64>>,
}

/// Variants that differ from the best in one knob, and that knob. Their knob has the root's value, or its default if
/// the root does not know it.
pub(super) fn left_out(tree: &Tree) -> impl Iterator<Item = (&Variant, &'static str)> {
    let best = tree.default_variant();
    let parent = |variant: &&Variant| tree.variants.get(variant.parent.as_ref()?);
    let root = std::iter::successors(Some(best), parent).last().unwrap_or(best);
    let changed = best.knobs.iter().filter(|(key, value)| root.knobs.get(*key) != Some(value));
    changed.filter_map(move |(key, _)| {
        let mut knobs = best.knobs.clone();
        match root.knobs.get(key) {
            Some(value) => knobs.insert(key, value.clone()),
            None => knobs.remove(key),
        };
        let variant = tree.variants.values().find(|variant| variant.knobs == knobs)?;
        Some((variant, *key))
    })
}

/// The one knob in which two variants differ, as the first has it.
fn knob(variant: &Variant, other: &Variant) -> String {
    let own = variant.knobs.iter().find(|(key, value)| other.knobs.get(*key) != Some(value));
    let unset = || other.knobs.keys().find(|key| !variant.knobs.contains_key(*key));
    own.map(|(key, value)| format!("{key} = {value}"))
        .or_else(|| unset().map(|key| format!("{key} unset")))
        .unwrap_or_default()
}

impl Sources<'_> {
    /// The variants of the matrix that have a parent, parents first.
    pub(super) fn edges(&self, tree: &Tree) -> Vec<Edge> {
        let variants = matrix(tree).sorted_by_key(|variant| depth_first(tree, &variant.id));
        let edges = variants.filter_map(|variant| {
            let parent = tree.variants.get(variant.parent.as_ref()?)?;
            Some(self.edge(variant, parent, true))
        });
        edges.collect()
    }

    /// The best variant with one knob set back to what the tree's root has.
    pub(super) fn leave_one_out(&self, tree: &Tree) -> Vec<Edge> {
        let best = tree.default_variant();
        left_out(tree).map(|(variant, _)| self.edge(variant, best, false)).collect()
    }

    fn edge(&self, variant: &Variant, against: &Variant, judge: bool) -> Edge {
        let size = |id: &str| self.sizes.and_then(|sizes| sizes.get(id)).copied();
        let rows = self.matrix.rows().into_iter().filter_map(|row| {
            let to = self.matrix.in_row(&variant.id, row)?;
            let from = self.matrix.in_row(&against.id, row)?;
            Some(self.row(variant, from, to, judge))
        });
        Edge {
            variant: variant.id.clone(),
            against: against.id.clone(),
            knob: knob(variant, against),
            question: variant.question.clone(),
            code_bytes: change(size(&against.id), size(&variant.id)),
            rows: rows.collect(),
        }
    }

    fn row(&self, variant: &Variant, from: &Measured, to: &Measured, judge: bool) -> EdgeRow {
        let measure = format!("{}_{}", to.workload, to.args.ws);
        let count = |id: &str| self.counts.and_then(|counts| counts.get(id, &measure));
        let counted = |figure: fn(Count) -> Option<f64>| {
            change(count(&from.id).and_then(figure), count(&to.id).and_then(figure))
        };
        // Both ran on one machine, or they are not compared side by side.
        let measured = |figure: fn(&Measured) -> Option<f64>| {
            let is_one = self.matrix.machine_of(from) == self.matrix.machine_of(to);
            change(figure(from), figure(to)).filter(|_| is_one)
        };
        let against = self.matrix.against(to, from);
        let mut row = EdgeRow {
            workload: to.workload.clone(),
            ws: to.args.ws,
            instructions: counted(|count| Some(count.figure)),
            l1_misses_simulated: counted(|count| Some(count.misses?[0])),
            ll_misses_simulated: counted(|count| Some(count.misses?[1])),
            cycles: measured(|cell| Some(cell.median.cycles_per_op)),
            cycles_percent: against.map(|against| against.percent),
            cycles_percent_interval: against.and_then(|against| against.interval),
            peak_rss_kib: measured(|cell| Some(cell.median.peak_rss_kib as f64)),
            kernel_percent: Some(Change { from: from.kernel_percent, to: to.kernel_percent }),
            page_faults: measured(|cell| cell.median.page_faults_per_op),
            system_calls: measured(|cell| cell.system_calls_per_op),
            expected: Vec::new(),
        };
        if judge && to.is_in(REPORT) {
            row.expected = expected(variant, &row);
        }
        row
    }
}

fn change(from: Option<f64>, to: Option<f64>) -> Option<Change> {
    Some(Change { from: from?, to: to? })
}

/// The expectation of a variant's file for a row, and whether it was met.
fn expected(variant: &Variant, row: &EdgeRow) -> Vec<Expectation> {
    let lines = variant.expect.iter().filter_map(|(metric, &(low, high))| {
        let measured_percent = match metric.as_str() {
            "cycles_per_op" => row.cycles_percent?,
            _ => row.peak_rss_kib?.percent()?,
        };
        let met = (low..=high).contains(&measured_percent);
        Some(Expectation { metric: metric.clone(), range: [low, high], measured_percent, met })
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_knob_of_the_best_is_left_out_once() {
        let tree = crate::workspace::variants().expect("the variants");
        let out: Vec<_> =
            left_out(&tree).map(|(variant, key)| (variant.id.as_str(), key)).collect();
        assert_eq!(out, [("stepwise-access", "thread_slot")]);
        let unset = knob(&tree.variants["stepwise-access"], tree.default_variant());
        assert_eq!(unset, "thread_slot unset");
        let abd = &tree.variants["option-abd-hash"];
        assert_eq!(knob(&tree.variants["option-bd-hash"], abd), "recycle = none");
    }
}
