//! The step `bench`: `cargo ci bench` runs, in small, and its JSON has the keys that machines are promised.
//!
//! Nothing here looks at a time.

use crate::bench::plan;
use crate::workspace::{self, cargo, must_succeed, target};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;

pub(super) fn run() -> Result<()> {
    let file = target().join("bench-smoke.json");
    let mut command = cargo();
    command
        .args(["ci", "bench", "--quick", "--ledger", "--rounds", "1", "--cycles", "200000"])
        .arg("--json")
        .arg(&file);
    must_succeed(&mut command)?;
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let result: Value = serde_json::from_str(&text)?;

    for key in ["commit", "dirty", "cpu", "kernel", "rustc", "counter", "date"] {
        ensure!(!result["passport"][key].is_null(), "passport.{key} is missing");
    }
    let unavailable = result["passport"]["unavailable"].as_object().context("unavailable")?;
    let cells = result["cells"].as_array().context("cells is no list")?;
    let is_counted = |cell: &Value| cell["system_calls_per_op"].is_number();
    ensure!(
        unavailable.contains_key("system calls") || cells.iter().all(is_counted),
        "cells without system calls, and no word why"
    );
    let matrix = plan::matrix(&workspace::variants()?).count();
    ensure!(cells.len() > 3 * matrix, "{} cells, not {matrix} variants on 3 rows", cells.len());
    cells.iter().try_for_each(|cell| check(cell).with_context(|| cell.to_string()))?;
    reports(&file)?;
    joins()?;
    criterion()?;
    refuses()
}

/// The result becomes a ledger and a page; the step `page` checks that readers can read it.
fn reports(result: &Path) -> Result<()> {
    let page = target().join("bench-smoke.html");
    let mut report = cargo();
    must_succeed(report.args(["ci", "report", "--from"]).arg(result).arg("--out").arg(&page))?;
    let html = std::fs::read_to_string(&page).with_context(|| page.display().to_string())?;
    for part in ["not separated", "zero-dirty", "thread_slot = inline"] {
        ensure!(html.contains(part), "the page has no `{part}`");
    }
    Ok(())
}

/// Two parts make the whole result, real code included.
fn joins() -> Result<()> {
    let parts = ["1/2", "2/2"].map(|shard| {
        let file = target().join(format!("bench-smoke-{}.json", &shard[..1]));
        let mut bench = cargo();
        bench.args([
            "ci",
            "bench",
            "--quick",
            "--suite",
            "--variants",
            "option-a",
            "--rounds",
            "1",
        ]);
        bench.args(["--cycles", "2000", "--ws", "100", "--shard", shard, "--json"]).arg(&file);
        must_succeed(bench.stdout(Stdio::null())).map(|()| file)
    });
    let whole = target().join("bench-smoke-merged.json");
    let mut merge = cargo();
    merge
        .args(["ci", "merge", "--json"])
        .arg(&whole)
        .args(parts.into_iter().collect::<Result<Vec<_>>>()?);
    must_succeed(merge.stdout(Stdio::null()))?;
    let result: Value = serde_json::from_str(&std::fs::read_to_string(&whole)?)?;
    let cells = result["cells"].as_array().context("cells is no list")?;
    let of = |id: &str| cells.iter().filter(|cell| cell["id"] == id).count();
    let workloads = hakmem_workloads::Workload::ALL.len();
    let counts = [of("legacy"), of("option-a"), of("option-a-hash")];
    ensure!(counts == [2 * workloads, workloads, workloads], "merged: {counts:?} cells");
    Ok(())
}

/// Criterion finds a cell by its name, and runs it.
fn criterion() -> Result<()> {
    let mut bench = cargo();
    bench.args([
        "bench",
        "--quiet",
        "--profile",
        "optimised",
        "--package",
        "hakmem-cell",
        "--bench",
        "criterion",
        "--",
    ]);
    let output = bench.args(["--test", "phase_shift_512/option-a/"]).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    for figure in ["time", "cycles"] {
        let line = format!("Testing phase_shift_512/option-a/{figure}\nSuccess");
        ensure!(said.contains(&line), "no `{line}` in: {said}");
    }
    Ok(())
}

const FIGURES: [&str; 7] = [
    "ops_per_s",
    "cycles_per_op",
    "user_s",
    "sys_s",
    "peak_rss_kib",
    "page_faults_per_op",
    "voluntary_switches_per_op",
];

const EVENTS: [&str; 8] = [
    "retired",
    "drains",
    "remote_frees",
    "lookups",
    "probes",
    "superslabs",
    "atomics",
    "lock_waits",
];

fn check(cell: &Value) -> Result<()> {
    ensure!(cell["variant"].is_string() && cell["workload"].is_string(), "names");
    ensure!(cell["hash_lookup"].is_boolean(), "hash_lookup");
    for key in ["cycles", "ws", "seed"] {
        ensure!(cell["args"][key].is_u64(), "args.{key}");
    }
    for figures in ["median", "min"] {
        for key in FIGURES {
            ensure!(cell[figures][key].is_number(), "{figures}.{key}");
        }
        ensure!(cell[figures]["ops_per_s"].as_f64() > Some(0.0), "no speed");
    }
    let events = &cell["events"];
    for key in ["empty_scan", "freelist", "unused", "grow"] {
        ensure!(events["acquire"][key].is_u64(), "events.acquire.{key}");
    }
    for key in EVENTS {
        ensure!(events[key].is_u64(), "events.{key}");
    }
    let is_system = cell["variant"] == "legacy";
    let fallbacks = events["fallbacks"].as_array().context("events.fallbacks")?;
    ensure!(fallbacks.len() >= if is_system { 0 } else { 8 }, "a number per class");
    let counted = |key: &str| events[key].as_u64() > Some(0);
    ensure!(is_system || counted("lookups") || counted("refills"), "nothing was counted");
    Ok(())
}

/// Wrong arguments fail, with one line that says what is allowed.
fn refuses() -> Result<()> {
    for (args, says) in [
        (["--variants", "option-z"], "apex"),
        (["--workloads", "nonesuch"], "phase_shift"),
        (["--rounds", "0"], "1..=1000"),
        (["--shard", "4/3"], "allowed: I/N"),
        (["--cycles", "some"], "some"),
        (["--json", "/nonexistent/x.json"], "/nonexistent/x.json"),
    ] {
        let output = cargo().args(["ci", "bench"]).args(args).output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        if output.status.success() || !stderr.contains(says) {
            bail!("`bench {}` is not refused with `{says}`: {stderr}", args.join(" "));
        }
    }
    Ok(())
}
