//! The origin of a result.

use super::cells::Sample;
use crate::workspace::{Profile, output_of};
use itertools::Itertools;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The counter's name where time is wall time.
pub(crate) const WALL: &str = "wall";

/// The counter's name where the processor counts the cycles.
pub(crate) const HARDWARE: &str = "hardware";

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Passport {
    pub(crate) commit: String,
    /// Whether files differed from the commit.
    pub(crate) dirty: bool,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    /// Source of the cycles: [`HARDWARE`], or `tsc` for processor time at the time-stamp counter's rate; [`WALL`] where
    /// there are none.
    pub(crate) counter: String,
    /// The counts that this machine does not have, and why.
    #[serde(default)]
    pub(crate) unavailable: BTreeMap<String, String>,
    /// How the programs were built; as they ship, in results from before this field.
    #[serde(default)]
    pub(crate) profile: Profile,
    pub(crate) date: String,
}

impl Passport {
    /// The passport of a run that starts here and now; the first sample adds the counter.
    pub(crate) fn here(profile: Profile) -> Self {
        let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
        let read = |file| std::fs::read_to_string(file).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model =
            cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let kernel = Some(read("/proc/sys/kernel/osrelease").trim().to_owned());
        let changes = output_of("git", &["status", "--porcelain"]);
        Self {
            commit: or_unknown(output_of("git", &["rev-parse", "HEAD"])),
            dirty: changes.is_none_or(|changes| !changes.is_empty()),
            cpu: or_unknown(model.map(|(_, model)| model.trim().to_owned())),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: or_unknown(kernel.filter(|kernel| !kernel.is_empty())),
            rustc: or_unknown(output_of("rustc", &["--version"])),
            counter: String::new(),
            unavailable: BTreeMap::new(),
            profile,
            date: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
        }
    }

    pub(crate) fn counted_by(self, counter: &str) -> Self {
        Self { counter: counter.to_owned(), ..self }
    }

    /// Takes the source of the cycles from a sample, and the names of the counts that it lacks.
    pub(crate) fn counted_as(self, sample: &Sample) -> Self {
        let why = || "no hardware counter that may be read".to_owned();
        let unavailable = sample.lacking().map(|name| (name.to_owned(), why())).collect();
        Self { unavailable, ..self.counted_by(&sample.counter) }
    }

    /// Everything but the date: runs with equal origins can go into one result.
    pub(crate) fn identity(&self) -> [(&'static str, String); 8] {
        [
            ("commit", self.commit.clone()),
            ("dirty", self.dirty.to_string()),
            ("cpu", self.cpu.clone()),
            ("cores", self.cores.to_string()),
            ("kernel", self.kernel.clone()),
            ("rustc", self.rustc.clone()),
            ("counter", self.counter.clone()),
            ("profile", self.profile.name().to_owned()),
        ]
    }

    /// [`line`](Self::line), and in a second line the counts that this machine does not have, if any.
    pub(crate) fn lines(&self) -> String {
        [Some(self.line()), self.lacks()].into_iter().flatten().join("\n")
    }

    /// The counts that this machine does not have, and why, in one line.
    pub(crate) fn lacks(&self) -> Option<String> {
        let by_reason = self.unavailable.iter().map(|(name, why)| (why, name)).into_group_map();
        let lacks = by_reason
            .into_iter()
            .map(|(why, names)| format!("{} ({why})", names.iter().join(", ")));
        let lacks = lacks.sorted().join("; ");
        (!lacks.is_empty()).then(|| format!("not counted here: {lacks}"))
    }

    /// One line for people; it names processor cycles only if they were counted.
    pub(crate) fn line(&self) -> String {
        let Self { commit, dirty, cpu, cores, kernel, rustc, counter, profile, date, .. } = self;
        let short = commit.get(..12).unwrap_or(commit);
        let dirty = if *dirty { " (dirty)" } else { "" };
        let counted = match counter.as_str() {
            WALL => String::new(),
            HARDWARE => format!("{rustc} · cycles: hardware counter · "),
            _ => format!("{rustc} · cycles: processor time at the time-stamp counter's rate · "),
        };
        let built = if *profile == Profile::Release { "" } else { "built without fat LTO · " };
        format!(
            "commit {short}{dirty} · {cpu}, {cores} cores · Linux {kernel} · {counted}{built}{date}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_are_lacking_are_named_in_one_line() {
        let sample = r#"{"ops": 10, "counter": "tsc", "cycles": 1.0, "wall_s": 1.0, "user_s": 1.0,
            "sys_s": 0.0, "peak_rss_kib": 100, "instructions": 7.0, "branches": 3.0}"#;
        let sample: Sample = serde_json::from_str(sample).expect("a sample");
        let mut passport = Passport::here(Profile::Release).counted_as(&sample);
        passport.unavailable.insert("system calls".to_owned(), "ptrace: no".to_owned());
        assert_eq!(
            passport.lines().lines().nth(1),
            Some(
                "not counted here: TLB misses, branch misses, cache misses, cycles, kernel cycles \
                 (no hardware counter that may be read); system calls (ptrace: no)"
            )
        );
        passport.unavailable.clear();
        assert_eq!(passport.lines(), passport.line());
    }
}
