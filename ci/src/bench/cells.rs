//! The program that runs one cell: building it, and running it.

use crate::workspace;
use anyhow::{Context, Result, bail};
use hakmem_workloads::{Args, Workload};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The two builds of `hakmem-cell`, and the peers' programs.
pub(super) struct Programs {
    speed: PathBuf,
    events: PathBuf,
    pub(super) peers: BTreeMap<String, PathBuf>,
}

/// One place of the matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// The variant's id, its lookup included; or a peer's name.
    pub(super) id: String,
    pub(super) peer: bool,
    pub(super) workload: Workload,
    pub(super) args: Args,
}

/// What one run took.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Sample {
    pub(super) ops: u64,
    pub(super) counter: String,
    pub(super) cycles: f64,
    pub(super) wall_s: f64,
    pub(super) user_s: f64,
    pub(super) sys_s: f64,
    pub(super) peak_rss_kib: u64,
    pub(super) events: Option<Events>,
}

/// What the allocator did, in numbers of events.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Events {
    pub(super) acquire: Acquire,
    /// Per size class.
    pub(super) fallbacks: Vec<u64>,
    pub(super) retired: u64,
    pub(super) adopted: u64,
    pub(super) drains: u64,
    pub(super) remote_frees: u64,
    pub(super) lookups: u64,
    pub(super) probes: u64,
    pub(super) superslabs: u64,
}

/// Slabs acquired, by stage.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Acquire {
    pub(super) empty_scan: u64,
    pub(super) freelist: u64,
    pub(super) unused: u64,
    pub(super) grow: u64,
}

impl Events {
    pub(super) fn all_fallbacks(&self) -> u64 {
        self.fallbacks.iter().sum()
    }

    /// Share of the acquisitions that stage 1 served, in percent; `None` without any.
    pub(super) fn stage1_percent(&self) -> Option<f64> {
        let Acquire { empty_scan, freelist, unused, grow } = self.acquire;
        let all = empty_scan + freelist + unused + grow;
        (all > 0).then(|| 100.0 * freelist as f64 / all as f64)
    }
}

impl Sample {
    pub(super) fn cycles_per_op(&self) -> f64 {
        self.cycles / self.ops as f64
    }
}

impl Programs {
    /// Builds both; the peers come from [`super::peers::build`], where they are asked for.
    pub(super) fn build() -> Result<Self> {
        Ok(Self {
            speed: build("speed", &[])?,
            events: build("events", &["--features", "stats"])?,
            peers: BTreeMap::new(),
        })
    }

    /// One run of the build that is for speed.
    pub(super) fn time(&self, cell: &Cell) -> Result<Sample> {
        match self.peers.get(&cell.id).filter(|_| cell.peer) {
            Some(program) => run(program, cell),
            None => run(&self.speed, cell),
        }
    }

    /// One run of the build that counts events.
    pub(super) fn count(&self, cell: &Cell) -> Result<Sample> {
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
pub(super) fn install(built: &Path, name: &str) -> Result<PathBuf> {
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
    let output =
        command.output().with_context(|| format!("{} does not start", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{id} on {workload} ended with {}: {}", output.status, said.trim());
    }
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{id} on {workload}: the cell's output is not as expected"))
}
