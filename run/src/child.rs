//! A run of the program, and its cost.

use crate::os_error;
use crate::refusal::Refusal;
use crate::signals::{Event, Signals};
use anyhow::{Context, Result};
use libc::{pid_t, rusage, timeval};
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

/// The cost of the program and of the processes that it started and waited for; peak RSS is that of the largest
/// process.
pub(crate) struct Run {
    pub(crate) status: ExitStatus,
    pub(crate) wall: Duration,
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    pub(crate) peak_rss_bytes: u64,
    /// True if a signal came that asked for an end.
    pub(crate) told_to_stop: bool,
}

/// Runs a command to its end, and passes signals on to it.
pub(crate) fn run(command: &mut Command, signals: &Signals) -> Result<Run, Refusal> {
    signals.release_in(command);
    let start = Instant::now();
    let started = command.spawn();
    let child = started.map_err(|error| Refusal::no_start(command.get_program(), &error))?;
    let pid = pid_t::try_from(child.id()).context("the program's number")?;
    let mut told_to_stop = false;
    loop {
        let event = signals.next();
        told_to_stop |= event.says_stop();
        match event {
            Event::Child => {
                let Some((status, usage)) = ended(pid)? else { continue };
                return Ok(Run {
                    status,
                    wall: start.elapsed(),
                    user: duration(usage.ru_utime),
                    system: duration(usage.ru_stime),
                    peak_rss_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
                    told_to_stop,
                });
            }
            // SAFETY: it takes numbers; the child is not waited for yet, so its number is its own.
            Event::PassOn(signal) => _ = unsafe { libc::kill(pid, signal) },
            Event::Known => {}
        }
    }
}

/// The child's end and cost, if it has ended.
fn ended(pid: pid_t) -> Result<Option<(ExitStatus, rusage)>> {
    let mut status = 0;
    let mut usage = MaybeUninit::<rusage>::uninit();
    // SAFETY: there is room for both answers.
    match unsafe { libc::wait4(pid, &mut status, libc::WNOHANG, usage.as_mut_ptr()) } {
        0 => Ok(None),
        // SAFETY: filled, as the call succeeded.
        1.. => Ok(Some((ExitStatus::from_raw(status), unsafe { usage.assume_init() }))),
        _ => Err(os_error("waiting for the program failed")),
    }
}

fn duration(time: timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}
