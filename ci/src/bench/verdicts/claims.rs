//! Every prediction, success criterion and risk of the report.

use super::super::result::{Matrix, Measured};
use super::{Claim, Verdict};
use crate::tree::Tree;
use anyhow::{Context, Result};
use hakmem_workloads::Workload;

/// The report's own workload, at its own working set.
const REPORT: (Workload, usize) = (Workload::RandomMixed, 8192);
/// The guard against regressions at a small working set.
const SMALL: (Workload, usize) = (Workload::RandomMixed, 256);
/// Where recycling has something to recycle.
const SHIFT: (Workload, usize) = (Workload::PhaseShift, Workload::PhaseShift.default_ws());

/// Baseline of every prediction, in M ops/s.
const REPORT_NOW: f64 = 16.5;
/// A change in time that is no regression, in percent.
const TOLERANCE: f64 = 5.0;

struct Bench<'a> {
    matrix: &'a Matrix,
    tree: &'a Tree,
}

pub(super) fn all(matrix: &Matrix, tree: &Tree) -> Result<Vec<Claim>> {
    let bench = Bench { matrix, tree };
    let mut claims = bench.baseline()?;
    for id in ["option-a", "option-ab"] {
        claims.extend(bench.option(id)?);
    }
    claims.push(bench.scan_limit("option-ad", "A+D: scan limit 64 brings another 3–8 %")?);
    claims.push(bench.scan_limit("option-abd", "the same on top of A+B")?);
    claims.extend(bench.lookup()?);
    claims.extend(bench.criteria()?);
    Ok(claims)
}

impl Bench<'_> {
    fn cell(&self, id: &str, (workload, ws): (Workload, usize)) -> Result<&Measured> {
        let cell = self.matrix.cell(id, workload, ws);
        cell.with_context(|| format!("{id} on {workload} {ws} gave no result to judge"))
    }

    /// Change of speed against another cell in percent, by each one's best round, which other programs on
    /// the machine disturbed least.
    fn faster(&self, id: &str, than: &str, row: (Workload, usize)) -> Result<f64> {
        let (own, other) = (self.cell(id, row)?, self.cell(than, row)?);
        Ok(100.0 * (other.min.cycles_per_op / own.min.cycles_per_op - 1.0))
    }

    fn baseline(&self) -> Result<Vec<Claim>> {
        let (off, on) = (self.cell("legacy", REPORT)?, self.cell("superslab", REPORT)?);
        let change = self.faster("superslab", "legacy", REPORT)?;
        let class7 = on.events.fallbacks.last().copied().unwrap_or(0);
        let kernel = on.kernel_percent;
        Ok(vec![
            Claim {
                claim: "SuperSlab on is no faster than off: 16.15 against 16.23 M ops/s, −0.51 %".into(),
                measured: format!(
                    "{:.1} against {:.1} M ops/s, {change:+.1} % by cycles",
                    on.median.ops_per_s / 1e6,
                    off.median.ops_per_s / 1e6
                ),
                verdict: Verdict::of(change <= TOLERANCE),
                reason: format!("holds if not more than {TOLERANCE} % faster than the system's malloc"),
            },
            Claim {
                claim: "4 `shared_fail→legacy cls=7` events per run".into(),
                measured: format!("{class7} requests of class 7 fell back"),
                verdict: Verdict::of(class7 <= 40),
                reason: "every request that the pool refuses is counted here; the soft cap cannot hold class 7, so refusals go on for the whole run. Four is what a log that stops repeating itself would show".into(),
            },
            Claim {
                claim: "without recycling 55 % of the time is kernel time".into(),
                measured: format!("{kernel:.1} %"),
                verdict: Verdict::of((kernel - 55.0).abs() <= 5.0),
                reason: "holds within 5 points; memory that is never given back is mapped once".into(),
            },
            Claim {
                claim: "without recycling stage 1 serves nothing".into(),
                measured: format!("{} of its acquisitions", on.events.acquire.freelist),
                verdict: Verdict::of(on.events.acquire.freelist == 0),
                reason: "nothing pushes to the freelist".into(),
            },
        ])
    }

    /// The three predictions of an option, from its file.
    fn option(&self, id: &str) -> Result<Vec<Claim>> {
        let variant =
            self.tree.variants.get(id).with_context(|| format!("no variants/{id}.toml"))?;
        let own = self.cell(id, REPORT)?;
        let mut claims = Vec::new();
        if let Some((low, high)) = variant.report.m_ops_per_s {
            let change = self.faster(id, "superslab", REPORT)?;
            let shift = self.faster(id, "superslab", SHIFT)?;
            let least = 100.0 * (low / REPORT_NOW - 1.0);
            claims.push(Claim {
                claim: format!("{id}: {low}–{high} M ops/s, from {REPORT_NOW}"),
                measured: format!(
                    "{change:+.0} % against `superslab` ({:.1} M ops/s); `phase_shift` {shift:+.0} %",
                    own.median.ops_per_s / 1e6
                ),
                verdict: Verdict::of(change >= least),
                reason: format!("the prediction is at least {least:+.0} %, on `random_mixed` 8192"),
            });
        }
        if let Some(kernel) = variant.report.kernel_percent {
            let (before, now) =
                (self.cell("superslab", REPORT)?.kernel_percent, own.kernel_percent);
            claims.push(Claim {
                claim: format!("{id}: the kernel's share falls to {kernel} %"),
                measured: format!("{now:.1} %, from {before:.1} % in `superslab`"),
                verdict: Verdict::of(now <= kernel && before > kernel),
                reason: "holds if it falls to that from above it; a share that was below all along has not fallen".into(),
            });
        }
        if let Some(predicted) = variant.report.stage1_percent {
            let hits = own.events.stage1_percent().unwrap_or(0.0);
            let shift = self.cell(id, SHIFT)?.events.stage1_percent().unwrap_or(0.0);
            claims.push(Claim {
                claim: format!("{id}: stage 1 serves {predicted} % of the acquisitions"),
                measured: format!("{hits:.0} % on `random_mixed`; {shift:.0} % on `phase_shift`"),
                verdict: Verdict::of((hits - predicted).abs() <= 10.0),
                reason: "within 10 points on `random_mixed`: with frees spread at random hardly a slab becomes EMPTY, and the thread's list absorbs the churn".into(),
            });
        }
        Ok(claims)
    }

    fn scan_limit(&self, id: &str, claim: &str) -> Result<Claim> {
        let parent = self.tree.variants.get(id).and_then(|variant| variant.parent.as_deref());
        let parent = parent.with_context(|| format!("no parent of {id}"))?;
        let change = self.faster(id, parent, REPORT)?;
        let same = [REPORT, SHIFT].iter().all(|&row| {
            let acquired = |id| self.cell(id, row).map(|cell| cell.events.acquire.empty_scan).ok();
            acquired(id) == Some(0) && acquired(parent) == Some(0)
        });
        Ok(Claim {
            claim: claim.into(),
            measured: format!("{change:+.1} % against `{parent}`"),
            verdict: if same { Verdict::Refuted } else { Verdict::of(change >= 3.0) },
            reason: if same {
                "one thread never finds anything in stage 0.5, at either limit: its drains put every EMPTY slab on the freelist. What differs is noise".into()
            } else {
                "holds at +3 % or more".into()
            },
        })
    }

    fn lookup(&self) -> Result<Vec<Claim>> {
        let change = self.faster("superslab-hash", "superslab", REPORT)?;
        let probes = |id: &str| -> Result<f64> {
            let events = &self.cell(id, REPORT)?.events;
            Ok(events.probes as f64 / events.lookups.max(1) as f64)
        };
        let (linear, hash) = (probes("superslab")?, probes("superslab-hash")?);
        let per_op = |id: &str| self.cell(id, REPORT).map(|cell| cell.min.cycles_per_op);
        let saved = per_op("superslab")? - per_op("superslab-hash")?;
        let best = per_op("option-abd-hash")?;
        Ok(vec![
            Claim {
                claim: "9-1: hash lookup alone brings 23–25 M ops/s, from 16.5".into(),
                measured: format!("{change:+.0} % against the linear registry"),
                verdict: Verdict::of(change >= 100.0 * (23.0 / REPORT_NOW - 1.0)),
                reason: "the prediction is at least +39 %".into(),
            },
            Claim {
                claim: "9-1: a lookup falls from 50–80 to 8–12 cycles".into(),
                measured: format!(
                    "{linear:.1} probes per lookup become {hash:.1}; {saved:+.1} cycles per op saved, half of them lookups"
                ),
                verdict: Verdict::of(2.0 * saved >= 38.0),
                reason: "the least that it claims is 38 cycles per lookup; with the report's soft cap there are too few SuperSlabs for a walk over them to cost 50".into(),
            },
            Claim {
                claim: "after 9-1 and 9-2: 95 cycles per op, from 212".into(),
                measured: format!("{best:.0} cycles per op in `option-abd-hash`, from {:.0}", per_op("superslab")?),
                verdict: Verdict::of(best <= 95.0),
                reason: "judged as a bound; the whole of `superslab` is below 212 on this machine".into(),
            },
            Claim {
                claim: "the budget's parts: fallback 30–50 cycles per op, fragmentation 30–50, drain 10–15, actual work 30–40".into(),
                measured: "–".into(),
                verdict: Verdict::NotTestable,
                reason: "the parts overlap in the processor, and only what a variant changes can be measured by itself; no variant takes out the drain or the fragmentation alone".into(),
            },
        ])
    }

    fn criteria(&self) -> Result<Vec<Claim>> {
        let own = self.cell("option-a", REPORT)?;
        let fallbacks = own.events.all_fallbacks();
        let shift = (self.cell("superslab", SHIFT)?, self.cell("option-a", SHIFT)?);
        let small = self.faster("option-a", "superslab", SMALL)?;
        let guard = |workload: Workload| {
            self.faster("option-a", "superslab", (workload, workload.default_ws()))
        };
        let [larson, thrash] = Workload::GUARDS;
        let guards = [guard(larson)?, guard(thrash)?];
        let rss = |id| self.cell(id, REPORT).map(|cell| cell.median.peak_rss_kib as f64 / 1024.0);
        let (rss_before, rss_now) = (rss("superslab")?, rss("option-a")?);
        Ok(vec![
            Claim {
                claim: "criterion: zero `shared_fail→legacy`".into(),
                measured: format!(
                    "{fallbacks} on `random_mixed`; on `phase_shift` {} become {}",
                    shift.0.events.all_fallbacks(),
                    shift.1.events.all_fallbacks()
                ),
                verdict: Verdict::of(fallbacks == 0),
                reason: "recycling brings back only slabs that are wholly empty, and a class holds four times as many live blocks as its soft cap admits".into(),
            },
            Claim {
                claim: "criterion: no regression at WS 256".into(),
                measured: format!("{small:+.1} % against `superslab`"),
                verdict: Verdict::of(small >= -TOLERANCE),
                reason: format!("holds if not more than {TOLERANCE} % slower; no slab is ever retired there"),
            },
            Claim {
                claim: "criterion: no regression on cache_thrash and larson".into(),
                measured: format!(
                    "{:+.1} % and {:+.1} % against `superslab`",
                    guards[1], guards[0]
                ),
                verdict: Verdict::of(guards.iter().all(|&change| change >= -TOLERANCE)),
                reason: format!("holds if neither is more than {TOLERANCE} % slower"),
            },
            Claim {
                claim: "criterion: RSS does not grow".into(),
                measured: format!("{rss_now:.1} MiB, from {rss_before:.1} MiB"),
                verdict: Verdict::of(rss_now <= 1.02 * rss_before),
                reason: "holds within 2 %, peak, on `random_mixed`".into(),
            },
        ])
    }
}

/// The report's risks, each of which is a test: risk, test, and what it shows.
pub(super) const RISKS: &[[&str; 3]] = &[
    [
        "a double free is taken for EMPTY",
        "`tests/misuse.rs`: double_free_does_not_pass_for_empty",
        "real: the report's guard, `used > 0`, does not see a block that came home twice while another is out. A slab is retired only after its blocks have been counted, each once",
    ],
    [
        "EMPTY → ACTIVE → EMPTY is a race",
        "`models/src/models/freelist.rs`",
        "real: without the tag on the freelist's head the model checker finds a slab that two threads hold; with it there is none",
    ],
    [
        "the release deadlocks",
        "`models/src/models/freelist.rs`, `tests/threads.rs`",
        "not here: there is no lock to wait for, and the models end in every interleaving",
    ],
    [
        "slabs leak through the freelist",
        "`tests/recycling.rs`: no_slab_is_lost_over_a_thousand_cycles",
        "not here: after a thousand rounds of filling and emptying there are as many SuperSlabs as after the first ones",
    ],
];
