//! The checks that find planted bugs: each is a part of a step of `cargo ci test`.

use super::copy::Copy;
use super::table::Bug;
use crate::checks;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fmt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

/// The most seconds that a build may take, and then a check.
const MOST_BUILD: u64 = 500;
const MOST: u64 = 100;

/// The end of a planted bug.
pub(super) enum Verdict {
    Found,
    /// The check passed.
    Missed,
    /// The check failed, but it did not say what the bug should make it say.
    OtherReason,
    /// The compiler rejects the bug, so it tells nothing about the check.
    NotCompiled,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Found => "yes",
            Self::Missed => "NO",
            Self::OtherReason => "NO: another reason",
            Self::NotCompiled => "NO: does not compile",
        })
    }
}

/// One check.
pub(super) struct Check {
    kind: Kind,
    name: String,
    says: String,
}

enum Kind {
    /// A model.
    Model,
    /// A unit test of the library, of the default variant or of a build with this feature.
    Unit(Option<String>),
    /// A test of the suite, in the same way.
    Suite(Option<String>),
    /// A test of the suite, in the same way, as it ships: without its own assertions.
    Optimised(Option<String>),
    /// A whole step of `cargo ci test`.
    Step,
    /// A program in `preload/tests`, under the default variant's library.
    CFace,
}

impl Check {
    pub(super) fn of(bug: &Bug) -> Result<Self> {
        let (kind, name) = bug.check.split_once(' ').context("`check` is a kind and a name")?;
        let (kind, feature) = kind.split_once(':').unzip();
        let kind = kind.unwrap_or(bug.check.split(' ').next().unwrap_or_default());
        let feature = feature.map(str::to_owned);
        let kind = match kind {
            "model" => Kind::Model,
            "unit" => Kind::Unit(feature),
            "suite" => Kind::Suite(feature),
            "optimised" => Kind::Optimised(feature),
            "step" => Kind::Step,
            "c-face" => Kind::CFace,
            _ => {
                bail!("`{kind}` is no check; there are model, unit, suite, optimised, step, c-face")
            }
        };
        let says = bug.says.clone().unwrap_or_else(|| match kind {
            Kind::CFace => "expected".to_owned(),
            Kind::Step => format!("── {name}: FAILED"),
            _ => format!("test {name} ... FAILED"),
        });
        Ok(Self { kind, name: name.to_owned(), says })
    }

    /// Builds and runs the check. Returns true if it passed, and its output.
    pub(super) fn run(&self, copy: &Copy) -> Result<(bool, String)> {
        let test = |target: &[&str], feature: Option<&str>| {
            let mut command = copy.cargo();
            command.arg("test").args(target);
            command.args(feature.map(|feature| format!("--features={feature}")));
            // One thread, so that what a test prints stands beside its name.
            command.args(["--", "--exact", "--nocapture", "--test-threads=1", &self.name]);
            command
        };
        let mut command = match &self.kind {
            Kind::Model => test(&["--package", "hakmem-models", "--test", "models"], None),
            Kind::Unit(feature) => test(&["--lib"], feature.as_deref()),
            Kind::Suite(feature) => test(&["--test", "suite"], feature.as_deref()),
            Kind::Optimised(feature) => {
                test(&["--profile", "optimised", "--test", "suite"], feature.as_deref())
            }
            Kind::Step => {
                let mut step = copy.cargo();
                step.args(["ci", "test", &self.name]);
                return limited(&mut step, MOST_BUILD);
            }
            Kind::CFace => return self.c_face(copy),
        };
        let mut build = copy.cargo();
        build.args(command.get_args().take_while(|word| *word != "--")).arg("--no-run");
        let (built, output) = limited(&mut build, MOST_BUILD)?;
        if !built {
            return Ok((built, output));
        }
        let (passed, output) = limited(&mut command, MOST)?;
        // Where no test has the name, cargo succeeds.
        Ok((passed && output.contains("1 passed"), output))
    }

    fn c_face(&self, copy: &Copy) -> Result<(bool, String)> {
        let mut build = copy.cargo();
        build.args(["build", "--profile", "optimised", "--package", "hakmem-preload"]);
        let (built, output) = limited(&mut build, MOST_BUILD)?;
        if !built {
            return Ok((built, output));
        }
        let (name, word) = self.name.split_once(' ').unzip();
        let mut program = Command::new(checks::program(name.unwrap_or(&self.name))?);
        program.args(word).env("LD_PRELOAD", copy.target().join("optimised/libhakmem.so"));
        limited(&mut program, MOST)
    }

    /// Tells whether a check that ended so found its bug.
    pub(super) fn verdict(&self, passed: bool, output: &str) -> Verdict {
        match () {
            () if passed => Verdict::Missed,
            () if output.contains("error: could not compile") => Verdict::NotCompiled,
            () if output.contains(&self.says) || self.is_named(output) => Verdict::Found,
            () => Verdict::OtherReason,
        }
    }

    /// True if the summary names the test as failed, or an assertion or the library's line ended it. A property test goes on
    /// after that, to find a smaller case, and may be out of time.
    fn is_named(&self, output: &str) -> bool {
        let is_failed = output.contains("test result: FAILED")
            && output.lines().any(|line| line.trim() == self.name);
        let is_ended = output.contains("panicked at ") || output.contains("hakmem: fatal:");
        let has_crashed = matches!(self.kind, Kind::CFace) && output.contains("signal: ");
        has_crashed || self.says.starts_with("test ") && (is_failed || is_ended)
    }
}

/// Runs a command, and returns whether it succeeded in time, with all that it printed.
fn limited(command: &mut Command, most: u64) -> Result<(bool, String)> {
    let file = tempfile::NamedTempFile::new()?;
    // One file with one position for both.
    let output = file.reopen()?;
    command.stdout(output.try_clone()?).stderr(output).process_group(0);
    let mut child = command.spawn().context("it does not start")?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if start.elapsed() > Duration::from_secs(most) {
            if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
                kill_process_group(group, Signal::KILL)?;
            }
            child.wait()?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let output = String::from_utf8_lossy(&fs_err::read(file.path())?).into_owned();
    Ok(match status {
        Some(status) => (status.success(), format!("{output}{status}\n")),
        None => (false, format!("{output}out of time after {most} s\n")),
    })
}
