//! Builds and runs the program that runs one cell.

use super::passport::HARDWARE;
use super::peers::NULL;
use super::result::CONTROL;
use super::system_calls;
use crate::workspace::{self, Profile, shown};
use anyhow::{Context, Result, ensure};
use fs_err as fs;
use hakmem_workloads::{Args, Workload};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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

/// The figures of one run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Sample {
    pub(crate) ops: u64,
    pub(crate) counter: String,
    pub(crate) cycles: f64,
    pub(crate) wall_s: f64,
    pub(crate) user_s: f64,
    pub(crate) sys_s: f64,
    pub(crate) peak_rss_kib: u64,
    /// Only by the hardware's counters: this, and the next five.
    pub(crate) kernel_cycles: Option<f64>,
    pub(crate) instructions: Option<f64>,
    pub(crate) branches: Option<f64>,
    pub(crate) branch_misses: Option<f64>,
    /// Misses of the last level.
    pub(crate) cache_misses: Option<f64>,
    /// Loads of data whose page the processor did not know.
    pub(crate) tlb_misses: Option<f64>,
    /// Pages mapped at the first touch. This and the next are missing in results from before they were counted.
    pub(crate) page_faults: Option<u64>,
    /// Times that a thread gave its core up to wait.
    pub(crate) voluntary_switches: Option<u64>,
    /// Only of a run that was traced, and not timed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) system_calls: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) events: Option<Events>,
}

/// Numbers of events in the allocator.
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
    /// This and the next three are missing in results from before there was a central backend.
    #[serde(default)]
    pub(crate) refills: u64,
    #[serde(default)]
    pub(crate) transfers: u64,
    /// Atomic read-modify-writes on lines that threads share.
    #[serde(default)]
    pub(crate) atomics: u64,
    #[serde(default)]
    pub(crate) purged_pages: u64,
    /// Waits for locks in the kernel; missing in results from before they were counted.
    #[serde(default)]
    pub(crate) lock_waits: u64,
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
    pub(crate) fn is_control(&self) -> bool {
        self.id == CONTROL && !self.peer
    }

    /// False for rows that the null allocator cannot serve: it has small blocks for one thread only.
    pub(crate) fn can_run(&self) -> bool {
        !self.peer || self.id != NULL || self.workload.is_small()
    }
}

impl Acquire {
    pub(crate) fn all(&self) -> u64 {
        self.empty_scan + self.freelist + self.unused + self.grow
    }
}

impl Events {
    pub(crate) fn all_fallbacks(&self) -> u64 {
        self.fallbacks.iter().sum()
    }

    /// Fallbacks of the largest class; 7 is its number in the founding report.
    pub(crate) fn class7_fallbacks(&self) -> u64 {
        self.fallbacks.last().copied().unwrap_or(0)
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

    pub(crate) fn system_calls_per_op(&self) -> Option<f64> {
        Some(self.system_calls? as f64 / self.ops as f64)
    }

    /// The counts that need a counter of the hardware, and have none here.
    pub(crate) fn lacking(&self) -> impl Iterator<Item = &'static str> {
        let counts = [
            ("cycles", (self.counter == HARDWARE).then_some(self.cycles)),
            ("kernel cycles", self.kernel_cycles),
            ("instructions", self.instructions),
            ("branches", self.branches),
            ("branch misses", self.branch_misses),
            ("cache misses", self.cache_misses),
            ("TLB misses", self.tlb_misses),
        ];
        counts.into_iter().filter(|(_, count)| count.is_none()).map(|(name, _)| name)
    }
}

impl Programs {
    /// Builds both; [`super::peers::build`] builds the peers, if the command asks for them.
    pub(crate) fn build(profile: Profile) -> Result<Self> {
        let built = profile.build("hakmem-cell", &[])?;
        let speed = install(&built.join("hakmem-cell"), "speed")?;
        let built = Profile::Events.build("hakmem-cell", &["--features", "stats"])?;
        let events = install(&built.join("hakmem-cell"), "events")?;
        Ok(Self { speed, events, peers: BTreeMap::new() })
    }

    /// The files of all of them.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        [&self.speed, &self.events].into_iter().chain(self.peers.values()).cloned().collect()
    }

    /// One run of the build for speed.
    pub(crate) fn time(&self, cell: &Cell) -> Result<Sample> {
        sample(&mut command(self.for_speed(cell), cell)).with_context(|| of_whom(cell))
    }

    /// One run of the build for speed that counts its system calls, and takes its time with that.
    pub(crate) fn trace(&self, cell: &Cell) -> Result<Sample> {
        let mut command = command(self.for_speed(cell), cell);
        let (output, calls) = system_calls::count(command.arg("--marked"))?;
        let sample = parsed(&shown(&command), &output).with_context(|| of_whom(cell))?;
        Ok(Sample { system_calls: Some(calls), ..sample })
    }

    /// One run of the build for events.
    pub(crate) fn count(&self, cell: &Cell) -> Result<Sample> {
        sample(&mut command(&self.events, cell)).with_context(|| of_whom(cell))
    }

    fn for_speed(&self, cell: &Cell) -> &Path {
        self.peers.get(&cell.id).filter(|_| cell.peer).unwrap_or(&self.speed)
    }

    /// One run, for speed, of a path through a variant, with so many operations.
    pub(crate) fn time_path(&self, variant: &str, path: &str, ops: u64) -> Result<Sample> {
        sample(Command::new(&self.speed).args([variant, path, "--cycles", &ops.to_string()]))
    }

    /// One run, for events, of a path through a variant, with so many operations.
    pub(crate) fn count_path(&self, variant: &str, path: &str, ops: u64) -> Result<Sample> {
        sample(Command::new(&self.events).args([variant, path, "--cycles", &ops.to_string()]))
    }
}

/// Puts a program where the next build does not overwrite it.
pub(crate) fn install(built: &Path, name: &str) -> Result<PathBuf> {
    let folder = workspace::target().join("cells");
    fs::create_dir_all(&folder)?;
    // Renamed into place, since writing to a running program would fail.
    let (program, fresh) = (folder.join(name), folder.join(format!("{name}.new")));
    fs::copy(built, &fresh)?;
    fs::rename(&fresh, &program)?;
    Ok(program)
}

/// One run of a cell, by a program that can run it.
fn command(program: &Path, cell: &Cell) -> Command {
    let Args { cycles, ws, seed } = cell.args;
    let mut command = Command::new(program);
    // A peer's program has its allocator built in.
    command.args((!cell.peer).then_some(&cell.id)).arg(cell.workload.name());
    command.args(format!("--cycles {cycles} --ws {ws} --seed {seed}").split(' '));
    command
}

fn of_whom(cell: &Cell) -> String {
    format!("{} on {}", cell.id, cell.workload)
}

/// Runs a program that prints a sample.
fn sample(command: &mut Command) -> Result<Sample> {
    let shown = shown(command);
    let output = command.output().with_context(|| format!("{shown} does not start"))?;
    parsed(&shown, &output)
}

/// The sample that a program has printed.
fn parsed(shown: &str, output: &Output) -> Result<Sample> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{shown} ended with {}: {}", output.status, said.trim());
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the output of {shown} is not as expected"))
}
