//! Runs a process, measures it, and ends it with all that it started.

use anyhow::{Context, Result, bail, ensure};
use libc::{c_int, sighandler_t};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{self, Pid, PidfdFlags, Signal};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The interval at which a waiting run looks for an interruption: a tenth of a second.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// A process's end, and its cost.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) wall: Duration,
    /// Peak RSS of the largest among it and the processes that it waited for.
    pub(super) peak_rss_kib: u64,
    /// Pages that it and the processes that it waited for had mapped at the first touch.
    pub(super) page_faults: u64,
}

/// Runs a command to its end, or to `limit`; ends the processes that it has left running.
pub(super) fn run(command: &mut Command, limit: Duration) -> Result<Ended> {
    let with_us = || Ok(process::set_parent_process_death_signal(Some(Signal::KILL))?);
    // SAFETY: the closure neither allocates nor locks: it makes one system call.
    unsafe { command.process_group(0).pre_exec(with_us) };
    let start = Instant::now();
    let leader = Pid::from_child(&command.spawn().context("it does not start")?);
    let waited = wait(leader, start, limit);
    let wall = start.elapsed();
    // The group's number belongs to no other group until its leader is reaped.
    _ = process::kill_process_group(leader, Signal::KILL);
    let (status, usage) = reap(leader)?;
    waited?;
    let [peak_rss_kib, page_faults] =
        [usage.ru_maxrss, usage.ru_minflt].map(|figure| u64::try_from(figure).unwrap_or(0));
    Ok(Ended { status, wall, peak_rss_kib, page_faults })
}

/// Waits for a process to end, and leaves it to be reaped.
fn wait(leader: Pid, start: Instant, limit: Duration) -> Result<()> {
    let fd = process::pidfd_open(leader, PidfdFlags::empty()).context("pidfd_open failed")?;
    while poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&LOOK_EVERY)) != Ok(1) {
        ensure!(!Interrupts::came(), "it was interrupted");
        ensure!(start.elapsed() < limit, "it did not end within {} s", limit.as_secs());
    }
    Ok(())
}

/// How a process ended, and what it used.
fn reap(leader: Pid) -> Result<(ExitStatus, libc::rusage)> {
    let (pid, mut status) = (leader.as_raw_nonzero().get(), 0);
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both outlive the call, and each is of the type that it writes.
    if unsafe { libc::wait4(pid, &mut status, 0, usage.as_mut_ptr()) } != pid {
        bail!("wait4 failed: {}", io::Error::last_os_error());
    }
    // SAFETY: all its fields are integers, for which the zeros that it began with are values.
    let usage = unsafe { usage.assume_init() };
    Ok((ExitStatus::from_raw(status), usage))
}

/// Notes the signals that would end this program and leave the processes running, as long as it lives.
pub(super) struct Interrupts([(c_int, sighandler_t); 3]);

static CAME: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_signal: c_int) {
    CAME.store(true, Ordering::Relaxed);
}

impl Interrupts {
    pub(super) fn noted() -> Self {
        let handler: extern "C" fn(c_int) = note;
        Self([libc::SIGINT, libc::SIGTERM, libc::SIGHUP].map(|signal| {
            // SAFETY: the handler does nothing but a store to an atomic.
            let before = unsafe { libc::signal(signal, handler as sighandler_t) };
            if before == libc::SIG_IGN {
                // The signal was ignored from the start, as `nohup` arranges.
                // SAFETY: no handler of ours is involved.
                unsafe { libc::signal(signal, libc::SIG_IGN) };
            }
            (signal, before)
        }))
    }

    pub(super) fn came() -> bool {
        CAME.load(Ordering::Relaxed)
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        for (signal, before) in self.0 {
            // SAFETY: this is the handler that was there.
            unsafe { libc::signal(signal, before) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;

    #[test]
    fn what_a_program_leaves_running_is_ended() {
        let out = tempfile::NamedTempFile::new().expect("a file");
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 250 & echo $!"]).stdout(out.reopen().expect("the file"));
        let ended = run(&mut command, Duration::from_secs(10)).expect("an end");
        assert!(ended.status.success() && ended.peak_rss_kib > 0 && ended.page_faults > 0);
        let left = std::fs::read_to_string(out.path()).expect("its number");
        let is_there = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", left.trim())).ok()?;
            let (_, state) = stat.rsplit_once(") ")?;
            (!state.starts_with(['Z', 'X'])).then_some(())
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while is_there().is_some() {
            assert!(Instant::now() < deadline, "process {left} is still there");
            sleep(Duration::from_millis(10));
        }
    }
}
