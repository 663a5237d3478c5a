//! Running the benchmark, and reading what it wrote.

use crate::measures::{How, MEASURES};
use crate::tools;
use crate::workspace::{self, cargo, must_succeed};
use anyhow::{Context, Result, bail};
use object::{Object, ObjectSegment};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The benchmark, with the caches that it has simulated.
const BENCHMARK: &str = include_str!("../../../benches/cell/benches/instructions.rs");

/// What an operation takes.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Count {
    pub(crate) instructions: f64,
    /// Misses of the first-level data cache, and of the last level: simulated.
    pub(crate) l1_misses: f64,
    pub(crate) ll_misses: f64,
}

/// By variant and measure.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Counts(BTreeMap<String, BTreeMap<String, Count>>);

impl Counts {
    pub(crate) fn get(&self, variant: &str, measure: &str) -> Option<Count> {
        self.0.get(variant)?.get(measure).copied()
    }

    /// Counts, or reads what was counted before of the same programs: the figures of a program are
    /// always the same.
    pub(crate) fn take() -> Result<Self> {
        let runner = tools::runner()?;
        must_succeed(bench(&runner).arg("--no-run"))?;
        let program = cell();
        let known =
            workspace::target().join("instructions").join(format!("{}.json", key(&program)?));
        let before = std::fs::read_to_string(&known).ok();
        if let Some(counts) = before.and_then(|text| serde_json::from_str(&text).ok()) {
            return Ok(counts);
        }
        let counts = Self::count(&runner)?;
        if let Some(folder) = known.parent() {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        std::fs::write(&known, serde_json::to_string(&counts)?)
            .with_context(|| known.display().to_string())?;
        Ok(counts)
    }

    fn count(runner: &Path) -> Result<Self> {
        let folder = workspace::target().join("gungraun");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        eprintln!("counting the instructions of every variant: some minutes");
        let mut command = bench(runner);
        command.args(["--", "--parallel=auto", "--save-summary=json"]).stdout(Stdio::null());
        command.env("GUNGRAUN_HOME", &folder);
        must_succeed(&mut command)?;
        let folder = folder.join("hakmem-cell/instructions/variants");
        let mut counts = BTreeMap::new();
        for variant in workspace::variants()?.variants.keys() {
            let measured = MEASURES.iter().filter_map(|measure| {
                let read = |end: &str| {
                    let name = format!("{}.{}{end}", variant.replace('-', "_"), measure.name);
                    read(&folder.join(name).join("summary.json"))
                };
                let count = match measure.how {
                    How::Region { ops } => read("").map(|all| all.map(|all| all.over(ops))),
                    How::Slope { ops, .. } => read("_short").and_then(|short| {
                        Ok(read("_long")?
                            .zip(short)
                            .map(|(long, short)| long.minus(short).over(ops)))
                    }),
                };
                count.map(|count| Some((measure.name.to_owned(), count?))).transpose()
            });
            counts.insert(variant.clone(), measured.collect::<Result<_>>()?);
        }
        Ok(Self(counts))
    }
}

impl Count {
    fn minus(self, other: Self) -> Self {
        Self {
            instructions: self.instructions - other.instructions,
            l1_misses: self.l1_misses - other.l1_misses,
            ll_misses: self.ll_misses - other.ll_misses,
        }
    }

    fn over(self, ops: u64) -> Self {
        let per_op = |count: f64| count / ops as f64;
        Self {
            instructions: per_op(self.instructions),
            l1_misses: per_op(self.l1_misses),
            ll_misses: per_op(self.ll_misses),
        }
    }
}

/// The program that was counted.
pub(super) fn cell() -> PathBuf {
    workspace::target().join("release/hakmem-cell")
}

fn bench(runner: &Path) -> Command {
    let mut command = cargo();
    command
        .args(["bench", "--quiet", "--package", "hakmem-cell", "--bench", "instructions"])
        .env("GUNGRAUN_RUNNER", runner);
    command
}

/// Names what the figures depend on: the program, the measures, and who counts.
fn key(program: &Path) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    let bytes = std::fs::read(program).with_context(|| program.display().to_string())?;
    // What is loaded: not the debug information, which knows where the source's lines are.
    for segment in object::File::parse(&*bytes)?.segments() {
        segment.data()?.hash(&mut hasher);
    }
    (format!("{MEASURES:?}"), BENCHMARK, tools::RUNNER_VERSION).hash(&mut hasher);
    workspace::output_of("valgrind", &["--version"]).hash(&mut hasher);
    workspace::output_of("ldd", &["--version"]).hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

/// What a run took in all; `None` for one that is not run (a lookup where nothing is looked up).
fn read(file: &Path) -> Result<Option<Count>> {
    if !file.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let summary: Value = serde_json::from_str(&text)?;
    let metrics = &summary["profiles"][0]["data"]["total"]["metrics"];
    let number = |key: &str| metrics[key]["values"]["new"].as_f64();
    let all = |keys: &[&str]| keys.iter().map(|key| number(key)).sum::<Option<f64>>();
    let counted = || {
        Some(Count {
            instructions: number("Ir")?,
            l1_misses: all(&["D1mr", "D1mw"])?,
            ll_misses: all(&["DLmr", "DLmw"])?,
        })
    };
    match counted() {
        Some(count) => Ok(Some(count)),
        None => bail!("{}: no counts in it", file.display()),
    }
}
