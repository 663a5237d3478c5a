//! `cargo ci soak`: stresses variants for minutes, each in a process of its own, and looks for what grows or breaks.
//!
//! The program is `soak` of `benches/cell`. It ends at the first wrong content, lost block or broken invariant. Whether
//! memory grows without bound shows only here, in the figures of the whole run.

mod page;

use crate::bench::table::{align_right, markdown};
use crate::workspace::{self, Profile};
use anyhow::{Context, Result, ensure};
use itertools::Itertools;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Memory may grow by so much from the first third of a run to the last: the blocks have one budget all along.
const GROWTH: f64 = 1.5;
/// Memory below which growth means nothing: the program itself and its table.
const LITTLE_KIB: u64 = 32 << 10;
/// A run that takes so many times its time, and a minute more, hangs.
const PATIENCE: u32 = 2;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Minutes for each variant
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
    /// Variants, by their ids
    #[arg(long, value_delimiter = ',', default_value = "apex")]
    variants: Vec<String>,
    /// Write the figures to a file, for machines
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write the charts to a file [default: soak.html in cargo's output folder]
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Figures of one moment of a run. Counts are sums since its start, times those of the calls since the last moment.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Sample {
    seconds: f64,
    epoch: u64,
    operations: u64,
    threads: u64,
    forks: u64,
    nulls: u64,
    live_kib: u64,
    counted_kib: u64,
    rss_kib: u64,
    p50_ns: u64,
    p99_ns: u64,
    p999_ns: u64,
    max_ns: u64,
}

/// One run.
#[derive(Debug, Serialize)]
struct Run {
    variant: String,
    samples: Vec<Sample>,
    /// What went wrong, if anything did.
    failure: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let tree = workspace::variants()?;
    for id in &options.variants {
        let known = || tree.variants.keys().join(", ");
        ensure!(tree.variants.contains_key(id), "no variant `{id}`; allowed: {}", known());
    }
    let program = build()?;
    let seconds = (options.minutes * 60).to_string();
    let mut runs = Vec::new();
    for id in &options.variants {
        println!("{id}: {} min", options.minutes);
        let most = Duration::from_secs(options.minutes * 60) * PATIENCE + Duration::from_secs(60);
        let run = soak(&program, id, &["--seconds", &seconds], most)?;
        println!("{id}: {}", run.failure.as_deref().unwrap_or("no fault"));
        runs.push(run);
    }
    println!("\n{}", table(&runs));
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&runs)?;
        fs::write(file, text).with_context(|| file.display().to_string())?;
    }
    let out = options.out.clone().unwrap_or_else(|| workspace::target().join("soak.html"));
    fs::write(&out, page::html(&runs)).with_context(|| out.display().to_string())?;
    println!("written: {}", out.display());
    let failed =
        runs.iter().filter_map(|run| Some(format!("{}: {}", run.variant, run.failure.as_ref()?)));
    let failed = failed.collect::<Vec<_>>();
    ensure!(failed.is_empty(), "{}", failed.join("; "));
    Ok(())
}

/// A short run, and short runs with planted faults, each of which must be found.
pub(crate) fn check() -> Result<()> {
    let program = build()?;
    let short = |more: &[&str]| {
        let args = [&["--epochs", "18"], more].concat();
        soak(&program, "apex", &args, Duration::from_secs(300))
    };
    let run = short(&[])?;
    ensure!(run.failure.is_none(), "apex: {}", run.failure.unwrap_or_default());
    for (plant, found) in
        [("leak", "at the end"), ("lost", "1 blocks, 0 spans"), ("wrong", "wrong content")]
    {
        let said = short(&["--plant", plant])?.failure.unwrap_or_default();
        ensure!(said.contains(found), "a planted fault, {plant}, is not found, but: {said}");
    }
    Ok(())
}

fn build() -> Result<PathBuf> {
    let built = Profile::Optimised.build("hakmem-cell", &["--bin", "soak"])?;
    Ok(built.join("soak"))
}

/// Runs a variant, which is ended after `most`.
fn soak(program: &Path, variant: &str, args: &[&str], most: Duration) -> Result<Run> {
    let mut command = Command::new("timeout");
    command.arg("--signal=KILL").arg(most.as_secs().to_string()).arg(program).arg(variant);
    let mut child = command
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("`timeout` of coreutils does not start")?;
    let lines = BufReader::new(child.stdout.take().context("its output")?).lines();
    let mut samples: Vec<Sample> = Vec::new();
    for line in lines {
        let line = line?;
        samples.push(serde_json::from_str(&line).with_context(|| format!("it says {line}"))?);
    }
    let mut said = String::new();
    child.stderr.take().context("its errors")?.read_to_string(&mut said)?;
    let status = child.wait()?;
    let last = samples.last().map_or(0, |sample| sample.epoch);
    let failure = if status.success() {
        growth(&samples)
    } else {
        Some(format!("ended by {status} after epoch {last}: {}", said.trim()))
    };
    Ok(Run { variant: variant.to_owned(), samples, failure })
}

/// Says by how much memory grew, if it grew without bound: all of the last third lies far above all of the first.
fn growth(samples: &[Sample]) -> Option<String> {
    let third = samples.len() / 3;
    let rss =
        |samples: &[Sample]| samples.iter().map(|sample| sample.rss_kib).minmax().into_option();
    let (_, most) = rss(samples.get(..third)?)?;
    let (least, _) = rss(samples.get(samples.len() - third..)?)?;
    let grows = least > LITTLE_KIB && least as f64 > most as f64 * GROWTH;
    grows.then(|| {
        format!(
            "memory grows: at most {most} KiB in the first third, at least {least} KiB in the last"
        )
    })
}

const HEAD: &str = "variant|calls|threads|forks|nulls|RSS first third MiB|RSS last third MiB|\
    p50 ns|p99 ns|p99.9 ns|max µs|result";

fn table(runs: &[Run]) -> String {
    let mut table = markdown(HEAD.split('|'));
    align_right(&mut table, 1..11);
    for run in runs {
        let third = run.samples.len() / 3;
        let (first, last) = (&run.samples[..third], &run.samples[run.samples.len() - third..]);
        let rss = |part: &[Sample]| {
            let most = part.iter().map(|sample| sample.rss_kib).max();
            most.map_or("–".to_owned(), |kib| (kib >> 10).to_string())
        };
        let total = |of: fn(&Sample) -> u64| run.samples.last().map_or(0, of).to_string();
        let median = |of: fn(&Sample) -> u64| {
            let sorted: Vec<u64> = run.samples.iter().map(of).sorted().collect();
            sorted.get(sorted.len() / 2).map_or("–".to_owned(), u64::to_string)
        };
        let longest = run.samples.iter().map(|sample| sample.max_ns / 1000).max().unwrap_or(0);
        table.add_row([
            run.variant.clone(),
            total(|sample| sample.operations),
            total(|sample| sample.threads),
            total(|sample| sample.forks),
            total(|sample| sample.nulls),
            rss(first),
            rss(last),
            median(|sample| sample.p50_ns),
            median(|sample| sample.p99_ns),
            median(|sample| sample.p999_ns),
            longest.to_string(),
            run.failure.clone().unwrap_or_else(|| "no fault".to_owned()),
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(rss_mib: &[u64]) -> Vec<Sample> {
        let sample = |(n, mib): (usize, &u64)| Sample {
            seconds: n as f64,
            epoch: n as u64,
            operations: 1,
            threads: 1,
            forks: 0,
            nulls: 0,
            live_kib: 0,
            counted_kib: 0,
            rss_kib: mib << 10,
            p50_ns: 1,
            p99_ns: 1,
            p999_ns: 1,
            max_ns: 1,
        };
        rss_mib.iter().enumerate().map(sample).collect()
    }

    #[test]
    fn growth_is_what_never_comes_back() {
        assert_eq!(growth(&samples(&[80, 120, 90, 60, 70, 100, 90, 160, 200])), None);
        assert_eq!(growth(&samples(&[8, 9, 10, 11, 12, 13, 20, 21, 22])), None, "little memory");
        assert_eq!(growth(&samples(&[])), None);
        let said = growth(&samples(&[80, 120, 90, 150, 160, 170, 181, 190, 200])).expect("growth");
        assert!(said.contains("122880 KiB") && said.contains("185344 KiB"), "{said}");
    }

    #[test]
    fn the_page_has_each_run_and_its_failure() {
        let run = |variant: &str, failure: Option<&str>| Run {
            variant: variant.to_owned(),
            samples: samples(&[80, 90, 100]),
            failure: failure.map(str::to_owned),
        };
        let runs = [run("apex", None), run("guard", Some("1 blocks are left"))];
        let html = page::html(&runs);
        for part in ["apex", "guard", "no fault", "1 blocks are left", "data-chart", "Plotly"] {
            assert!(html.contains(part), "{part}");
        }
        assert!(table(&runs).contains("1 blocks are left"));
    }
}
