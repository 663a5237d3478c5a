//! `docs/report-verdicts.md`: the founding report's claims, judged by a run.

mod arithmetic;
mod claims;

use super::result::Matrix;
use super::sweep::SweepLine;
use super::table::{markdown, movement};
use crate::tree::Tree;
use anyhow::{Context, Result};
use comfy_table::Table;

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Confirmed,
    Refuted,
    NotTestable,
}

/// One claim of the report, with what was measured here.
struct Claim {
    claim: String,
    measured: String,
    verdict: Verdict,
    reason: String,
}

impl Verdict {
    fn of(holds: bool) -> Self {
        if holds { Self::Confirmed } else { Self::Refuted }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Refuted => "refuted",
            Self::NotTestable => "not testable here",
        }
    }
}

pub(super) fn write(matrix: &Matrix, sweep: &[SweepLine], tree: &Tree) -> Result<()> {
    let file = crate::workspace::root().join("docs/report-verdicts.md");
    let text = text(matrix, sweep, tree)?;
    std::fs::write(&file, text).with_context(|| format!("{}", file.display()))?;
    println!("\nwritten: docs/report-verdicts.md");
    Ok(())
}

fn text(matrix: &Matrix, sweep: &[SweepLine], tree: &Tree) -> Result<String> {
    let noise = if matrix.noisy {
        format!(
            "\n**Noisy**: the control cell moved by more than its interval ({}). Event counts, shares and\nmemory repeat exactly or nearly so; trust differences in time only where they are larger than that.\n",
            movement(matrix)
        )
    } else {
        String::new()
    };
    let claims = claims::all(matrix, tree)?;
    let count = |verdict| claims.iter().filter(|claim| claim.verdict == verdict).count();
    Ok(format!(
        "# The founding report's claims, judged\n\n\
         Written by `cargo ci bench --verdicts`; do not edit. The report measured its baseline and predicted\n\
         the rest. A figure in M ops/s depends on the machine, so predictions are judged by the *change* that\n\
         they imply, on this machine, in one run, by each variant's best round; each reason states the rule.\n\n\
         {}\n{noise}\n\
         {} confirmed, {} refuted, {} not testable here.\n\n\
         ## Predictions and criteria\n\n{}\n\n\
         ## Risks, each of which is a test\n\n{}\n\n\
         ## Fallbacks by soft cap\n\n{}\n\n{}\n\n\
         ## Where the report contradicts itself\n\n{}\n",
        matrix.passport.line(),
        count(Verdict::Confirmed),
        count(Verdict::Refuted),
        count(Verdict::NotTestable),
        claims_table(&claims),
        risks_table(),
        sweep_table(sweep),
        sweep_reading(sweep),
        arithmetic::text(matrix)?,
    ))
}

fn claims_table(claims: &[Claim]) -> Table {
    let mut table = markdown(&["the report", "here", "verdict", "why"]);
    for Claim { claim, measured, verdict, reason } in claims {
        table.add_row([claim, measured, verdict.word(), reason]);
    }
    table
}

fn risks_table() -> Table {
    let mut table = markdown(&["the report", "test", "what it shows"]);
    for risk in claims::RISKS {
        table.add_row(risk);
    }
    table
}

fn sweep_table(sweep: &[SweepLine]) -> Table {
    let head = [
        "workload",
        "soft cap",
        "recycling",
        "fallbacks",
        "of them class 7",
        "SuperSlabs",
        "peak RSS MiB",
    ];
    let mut table = markdown(&head);
    for line in sweep {
        table.add_row([
            line.workload.to_owned(),
            line.cap.clone(),
            if line.recycles { "freelist" } else { "none" }.to_owned(),
            line.events.all_fallbacks().to_string(),
            line.events.fallbacks.last().copied().unwrap_or(0).to_string(),
            line.events.superslabs.to_string(),
            format!("{:.1}", line.peak_rss_kib as f64 / 1024.0),
        ]);
    }
    table
}

/// What the sweep says, in a sentence per workload, from its figures.
fn sweep_reading(sweep: &[SweepLine]) -> String {
    let first_without = |workload: &str, recycles: bool| {
        let none = |line: &&SweepLine| {
            line.workload == workload
                && line.recycles == recycles
                && line.events.all_fallbacks() == 0
        };
        sweep.iter().find(none).map_or("no cap", |line| line.cap.as_str())
    };
    let sentence = |workload: &str| {
        format!(
            "- `{workload}`: the smallest cap without any fallback is {} without recycling and {} with it.",
            first_without(workload, false),
            first_without(workload, true),
        )
    };
    format!(
        "SuperSlabs of 512 KiB, linear registry.\n\n{}\n{}",
        sentence("random_mixed"),
        sentence("phase_shift")
    )
}
