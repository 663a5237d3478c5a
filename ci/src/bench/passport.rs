//! Where a result comes from.

use crate::workspace::output_of;
use serde::Serialize;

#[derive(Clone, Debug, Serialize)]
pub(super) struct Passport {
    pub(super) commit: String,
    /// Whether files differed from the commit.
    pub(super) dirty: bool,
    pub(super) cpu: String,
    pub(super) cores: usize,
    pub(super) kernel: String,
    pub(super) rustc: String,
    /// Where cycles come from: `hardware`, or `tsc` for processor time at the time-stamp counter's
    /// rate.
    pub(super) counter: String,
    pub(super) date: String,
}

impl Passport {
    pub(super) fn here(counter: &str) -> Self {
        let unknown = || "unknown".to_owned();
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model =
            cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let changes = output_of("git", &["status", "--porcelain"]);
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease");
        Self {
            commit: output_of("git", &["rev-parse", "HEAD"]).unwrap_or_else(unknown),
            dirty: changes.is_none_or(|changes| !changes.is_empty()),
            cpu: model.map_or_else(unknown, |(_, model)| model.trim().to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: kernel.map_or_else(|_| unknown(), |kernel| kernel.trim().to_owned()),
            rustc: output_of("rustc", &["--version"]).unwrap_or_else(unknown),
            counter: counter.to_owned(),
            date: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
        }
    }

    /// One line for people.
    pub(super) fn line(&self) -> String {
        let Self { commit, dirty, cpu, cores, kernel, rustc, counter, date } = self;
        let short = commit.get(..12).unwrap_or(commit);
        let dirty = if *dirty { " (dirty)" } else { "" };
        let counter = match counter.as_str() {
            "hardware" => "hardware counter",
            _ => "processor time at the time-stamp counter's rate",
        };
        format!(
            "commit {short}{dirty} · {cpu}, {cores} cores · Linux {kernel} · {rustc} · cycles: {counter} · {date}"
        )
    }
}
