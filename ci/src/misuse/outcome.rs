//! The outcome of one run, judged by its end and by the lines that the program printed.

use super::Library;
use super::programs::{Case, Program};
use crate::checks::text;
use anyhow::{Context, Result, bail};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

/// The line that a program prints right after the misuse, and the start of its line about the first harm.
const SURVIVED: &str = "survived the misuse";
const HARM: &str = "harm: ";
/// The line of a program that cannot break its rule under this library.
const IMPOSSIBLE: &str = "impossible";
/// The exit code of a program that got no block where it needs one.
const NO_MEMORY: i32 = 2;
/// The start of the library's line.
const FATAL: &str = "hakmem: fatal: ";

/// Seconds after which a program hangs.
const LIMIT_S: u32 = 30;

/// The effect of a misuse, in the words of the table.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The program ended before or after it went on, and nothing else was harmed before.
    Detected { at_once: bool, by: By },
    /// The program ended as if nothing had happened, and every other block had its content.
    Contained,
    /// The program died without a message, or something was harmed: and then a message may have ended it.
    Undefined { harm: String, then: Option<String> },
    /// There is no way to break the rule under this library.
    Impossible,
}

impl Outcome {
    /// The badness of what is undefined.
    pub(super) const HARM: u8 = 4;

    /// The worse an outcome is, the higher.
    pub(super) fn badness(&self) -> u8 {
        match self {
            Self::Impossible => 0,
            Self::Detected { at_once: true, .. } => 1,
            Self::Detected { at_once: false, .. } => 2,
            Self::Contained => 3,
            Self::Undefined { .. } => Self::HARM,
        }
    }
}

/// How a misuse was detected.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The library ended the program, with this message.
    Library(String),
    /// The C library ended the program, which used its malloc.
    CLibrary,
    /// The processor found no memory at the address.
    Fault,
}

/// Runs a case under a library.
pub(super) fn of(
    program: &Program,
    case: &Case,
    library: &Library,
    is_loud: bool,
) -> Result<Outcome> {
    let mut command = Command::new(&program.file);
    command.args([case.size, case.number].map(|number| number.to_string()));
    // No other setting of an allocator may change the result.
    command.env_clear();
    command.envs(library.file.as_ref().map(|file| ("LD_PRELOAD", file)));
    command.envs(library.copy.as_ref().map(|file| ("COPY", file)));
    command.envs(library.setting);
    let alone = || {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the call reads the limit, which outlives it.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) };
        // SAFETY: a system call without conditions; the program that follows keeps the alarm.
        unsafe { libc::alarm(LIMIT_S) };
        Ok(())
    };
    // SAFETY: the closure neither allocates nor locks: it makes two system calls.
    unsafe { command.pre_exec(alone) };
    let output = command.output().context("it does not start")?;
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    if is_loud {
        println!("{case}: {}\n{said}{errors}", output.status);
    }
    judge(output.status, &said, &errors, program.wants_fault, library.file.is_none())
}

/// Classifies a run. `of_c_library` says that the malloc under test is the C library's.
fn judge(
    status: ExitStatus,
    said: &str,
    errors: &str,
    wants_fault: bool,
    of_c_library: bool,
) -> Result<Outcome> {
    let at_once = !said.lines().any(|line| line == SURVIVED);
    let harm = said.lines().find_map(|line| line.strip_prefix(HARM)).map(str::to_owned);
    let is_harmed = harm.is_some();
    let undefined = |otherwise: &str, then: Option<String>| Outcome::Undefined {
        harm: harm.unwrap_or_else(|| otherwise.to_owned()),
        then,
    };
    let dies = if at_once { "dies at once" } else { "dies later" };
    Ok(match (status.signal(), status.code()) {
        (Some(libc::SIGABRT), _) => match (message(errors), of_c_library && at_once) {
            (then @ Some(_), _) if is_harmed => undefined("", then),
            (Some(message), _) => Outcome::Detected { at_once, by: By::Library(message) },
            (None, true) if !is_harmed => Outcome::Detected { at_once, by: By::CLibrary },
            _ => undefined(dies, None),
        },
        // A report of a fault in a sampled block.
        (Some(libc::SIGSEGV), _) if message(errors).is_some() => match message(errors) {
            then if is_harmed => undefined("", then),
            message => {
                let by = By::Library(message.unwrap_or_default());
                Outcome::Detected { at_once, by }
            }
        },
        (Some(libc::SIGSEGV | libc::SIGBUS), _) if at_once && wants_fault && !is_harmed => {
            Outcome::Detected { at_once, by: By::Fault }
        }
        (Some(libc::SIGSEGV | libc::SIGBUS), _) => undefined(dies, None),
        (Some(libc::SIGALRM), _) => undefined("hangs", None),
        (_, Some(NO_MEMORY)) => undefined("no more blocks", None),
        (_, Some(0)) if said.starts_with(IMPOSSIBLE) => Outcome::Impossible,
        (_, Some(0)) if is_harmed => undefined("", None),
        (_, Some(0)) if !at_once => Outcome::Contained,
        _ => bail!("ended by {status}: {said}{errors}"),
    })
}

/// The library's message, without its address.
fn message(errors: &str) -> Option<String> {
    let line = errors.lines().find_map(|line| line.strip_prefix(FATAL))?;
    let (message, address) = line.rsplit_once(" 0x")?;
    u64::from_str_radix(address, 16).is_ok().then(|| message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABORT: i32 = libc::SIGABRT;
    const FAULT: i32 = libc::SIGSEGV;
    const LINE: &str = "hakmem: fatal: double free: 0x7f00\n";
    const OVER: &str = "survived the misuse\n";

    fn judged(status: i32, said: &str, errors: &str, wants_fault: bool) -> Outcome {
        judge(ExitStatus::from_raw(status), said, errors, wants_fault, false).expect("an outcome")
    }

    fn undefined(harm: &str, then: Option<&str>) -> Outcome {
        Outcome::Undefined { harm: harm.to_owned(), then: then.map(str::to_owned) }
    }

    #[test]
    fn a_detection_says_when_and_by_which_message() {
        let detected = |at_once| {
            let by = By::Library("double free:".to_owned());
            Outcome::Detected { at_once, by }
        };
        assert_eq!(judged(ABORT, "", LINE, false), detected(true));
        assert_eq!(judged(ABORT, OVER, LINE, false), detected(false));
        let harmed = format!("{OVER}harm: two owners\n");
        let then = undefined("two owners", Some("double free:"));
        assert_eq!(judged(ABORT, &harmed, LINE, false), then);
        assert_eq!(judged(0, &harmed, "", false), undefined("two owners", None));
    }

    #[test]
    fn a_message_of_the_c_library_is_a_detection_in_its_own_column() {
        let line = "free(): invalid pointer\n";
        assert_eq!(judged(ABORT, "", line, false), undefined("dies at once", None));
        let own = |said| judge(ExitStatus::from_raw(ABORT), said, line, false, true);
        let detected = Outcome::Detected { at_once: true, by: By::CLibrary };
        assert_eq!(own("").expect("an outcome"), detected);
        assert_eq!(own(OVER).expect("an outcome"), undefined("dies later", None));
    }

    #[test]
    fn a_fault_is_a_detection_only_where_it_is_wanted_and_at_once() {
        let detected = Outcome::Detected { at_once: true, by: By::Fault };
        assert_eq!(judged(FAULT, "", "", true), detected);
        assert_eq!(judged(FAULT, "", "", false), undefined("dies at once", None));
        assert_eq!(judged(FAULT, OVER, "", true), undefined("dies later", None));
    }

    #[test]
    fn a_report_of_a_fault_is_a_detection() {
        let line = "hakmem: fatal: use after free: 0x7f00\n  a read\n";
        let detected = |at_once| {
            let by = By::Library("use after free:".to_owned());
            Outcome::Detected { at_once, by }
        };
        assert_eq!(judged(FAULT, "", line, true), detected(true));
        assert_eq!(judged(FAULT, OVER, line, false), detected(false));
        let harmed = format!("{OVER}harm: two owners\n");
        let then = undefined("two owners", Some("use after free:"));
        assert_eq!(judged(FAULT, &harmed, line, false), then);
    }

    #[test]
    fn an_end_without_a_word_is_no_outcome() {
        assert_eq!(judged(0, OVER, "", false), Outcome::Contained);
        assert_eq!(judged(0, "impossible\n", "", false), Outcome::Impossible);
        assert!(judge(ExitStatus::from_raw(0), "", "", false, false).is_err());
    }
}
