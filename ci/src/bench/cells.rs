//! The program that runs one cell: building it, and running it.

use super::peers::NULL;
use crate::workspace::{self, shown};
use anyhow::{Context, Result, bail};
use hakmem_workloads::{Args, Workload};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The two builds of `hakmem-cell`, and the peers' programs.
pub(crate) struct Programs {
    speed: PathBuf,
    events: PathBuf,
    pub(crate) peers: BTreeMap<String, PathBuf>,
}

/// One place of the matrix.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Cell {
    /// The variant's id, its lookup included; or a peer's name.
    pub(crate) id: String,
    pub(crate) peer: bool,
    pub(crate) workload: Workload,
    pub(crate) args: Args,
}

/// What one run took.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Sample {
    pub(crate) ops: u64,
    pub(crate) counter: String,
    pub(crate) cycles: f64,
    pub(crate) wall_s: f64,
    pub(crate) user_s: f64,
    pub(crate) sys_s: f64,
    pub(crate) peak_rss_kib: u64,
    /// Cycles in the kernel, and last-level cache misses: by the hardware's counters, or not at all.
    #[serde(default)]
    pub(crate) kernel_cycles: Option<f64>,
    #[serde(default)]
    pub(crate) cache_misses: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) events: Option<Events>,
}

/// What the allocator did, in numbers of events.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Events {
    pub(crate) acquire: Acquire,
    /// Per size class.
    pub(crate) fallbacks: Vec<u64>,
    pub(crate) retired: u64,
    pub(crate) adopted: u64,
    pub(crate) drains: u64,
    pub(crate) remote_frees: u64,
    pub(crate) lookups: u64,
    pub(crate) probes: u64,
    pub(crate) superslabs: u64,
    /// Missing in results from before there was a central backend, as are the next three.
    #[serde(default)]
    pub(crate) refills: u64,
    #[serde(default)]
    pub(crate) transfers: u64,
    /// Atomic read-modify-writes on lines that threads share.
    #[serde(default)]
    pub(crate) atomics: u64,
    #[serde(default)]
    pub(crate) purged_pages: u64,
}

/// Slabs acquired, by stage.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Acquire {
    pub(crate) empty_scan: u64,
    pub(crate) freelist: u64,
    pub(crate) unused: u64,
    pub(crate) grow: u64,
}

impl Cell {
    /// Whether there is anything to run: the null allocator can serve small blocks to one thread only.
    pub(crate) fn can_run(&self) -> bool {
        !self.peer || self.id != NULL || self.workload.is_small()
    }
}

impl Acquire {
    pub(crate) fn all(&self) -> u64 {
        let Self { empty_scan, freelist, unused, grow } = self;
        empty_scan + freelist + unused + grow
    }
}

impl Events {
    pub(crate) fn all_fallbacks(&self) -> u64 {
        self.fallbacks.iter().sum()
    }

    /// Share of the acquisitions that stage 1 served, in percent; `None` without any.
    pub(crate) fn stage1_percent(&self) -> Option<f64> {
        let all = self.acquire.all();
        (all > 0).then(|| 100.0 * self.acquire.freelist as f64 / all as f64)
    }
}

impl Sample {
    pub(crate) fn cycles_per_op(&self) -> f64 {
        self.cycles / self.ops as f64
    }
}

impl Programs {
    /// Builds both; the peers come from [`super::peers::build`], where they are asked for.
    pub(crate) fn build() -> Result<Self> {
        Ok(Self {
            speed: build("speed", &[])?,
            events: build("events", &["--features", "stats"])?,
            peers: BTreeMap::new(),
        })
    }

    /// The files of all of them.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        [&self.speed, &self.events].into_iter().chain(self.peers.values()).cloned().collect()
    }

    /// One run of the build that is for speed.
    pub(crate) fn time(&self, cell: &Cell) -> Result<Sample> {
        match self.peers.get(&cell.id).filter(|_| cell.peer) {
            Some(program) => run(program, cell),
            None => run(&self.speed, cell),
        }
    }

    /// One run of a path through a variant, of so many operations.
    pub(crate) fn path(&self, variant: &str, path: &str, ops: u64) -> Result<Sample> {
        run_path(&self.speed, variant, path, ops)
    }

    /// The same in the build that counts events.
    pub(crate) fn count_path(&self, variant: &str, path: &str, ops: u64) -> Result<Sample> {
        run_path(&self.events, variant, path, ops)
    }

    /// One run of the build that counts events.
    pub(crate) fn count(&self, cell: &Cell) -> Result<Sample> {
        run(&self.events, cell)
    }
}

fn build(name: &str, features: &[&str]) -> Result<PathBuf> {
    eprintln!("building the cell program ({name})");
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--quiet", "--release", "--package", "hakmem-cell"]).args(features);
    workspace::must_succeed(&mut cargo)?;
    install(&workspace::target().join("release/hakmem-cell"), name)
}

/// Puts a program where the next build does not overwrite it.
pub(crate) fn install(built: &Path, name: &str) -> Result<PathBuf> {
    let folder = workspace::target().join("cells");
    let program = folder.join(name);
    let copy = || {
        std::fs::create_dir_all(&folder)?;
        // Renamed into place, so that a program that is running is not written to.
        let fresh = folder.join(format!("{name}.new"));
        std::fs::copy(built, &fresh)?;
        std::fs::rename(&fresh, &program)
    };
    copy().with_context(|| format!("{}", program.display()))?;
    Ok(program)
}

fn run(program: &PathBuf, cell: &Cell) -> Result<Sample> {
    let Cell { id, workload, args, .. } = cell;
    let mut command = Command::new(program);
    if !cell.peer {
        command.arg(id);
    }
    command.arg(workload.name());
    command.arg("--cycles").arg(args.cycles.to_string());
    command.arg("--ws").arg(args.ws.to_string());
    command.arg("--seed").arg(args.seed.to_string());
    sample(&mut command).with_context(|| format!("{id} on {workload}"))
}

fn run_path(program: &Path, variant: &str, path: &str, ops: u64) -> Result<Sample> {
    sample(Command::new(program).args([variant, path, "--cycles", &ops.to_string()]))
        .with_context(|| format!("{path} of {variant}"))
}

/// Runs a program that prints a sample.
fn sample(command: &mut Command) -> Result<Sample> {
    let output = command.output().with_context(|| format!("{} does not start", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("ended with {}: {}", output.status, said.trim());
    }
    serde_json::from_slice(&output.stdout).context("the program's output is not as expected")
}
