//! The sweep that the report's soft cap asks for.

use super::Options;
use super::cells::{Cell, Events, Programs};
use crate::tree::Tree;
use anyhow::{Context, Result, bail};
use hakmem_workloads::{Args, Workload};

/// One line of the soft cap's sweep.
pub(super) struct SweepLine {
    pub(super) cap: String,
    pub(super) recycles: bool,
    pub(super) workload: &'static str,
    pub(super) events: Events,
    pub(super) peak_rss_kib: u64,
}

/// Fallbacks by soft cap, with and without recycling, on both workloads: event runs only.
pub(super) fn run(tree: &Tree, programs: &Programs, options: &Options) -> Result<Vec<SweepLine>> {
    let mut lines = Vec::new();
    for workload in Workload::REPORT {
        for base in ["superslab", "option-a"] {
            for cap in ["2", "4", "8", "16", "none"] {
                let id = if cap == "2" { base.to_owned() } else { format!("{base}-cap-{cap}") };
                let variant =
                    tree.variants.get(&id).with_context(|| format!("no variants/{id}.toml"))?;
                let set = variant.knobs.get("soft_cap").map(ToString::to_string);
                if set.as_deref() != Some(cap) {
                    bail!("variants/{id}.toml: soft_cap is not {cap}");
                }
                let ws = workload.default_ws();
                let args = Args { cycles: options.cycles(workload, ws), ws, seed: options.seed };
                let sample = programs.count(&Cell { id, peer: false, workload, args })?;
                lines.push(SweepLine {
                    cap: cap.to_owned(),
                    recycles: base == "option-a",
                    workload: workload.name(),
                    events: sample.events.unwrap_or_default(),
                    peak_rss_kib: sample.peak_rss_kib,
                });
            }
        }
    }
    Ok(lines)
}
