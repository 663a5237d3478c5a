//! A process that is measured, and ended with all that it started.

use anyhow::{Context, Result, bail};
use libc::{c_int, pid_t, sighandler_t};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How soon an interruption is seen.
const LOOK_EVERY_MS: c_int = 100;

/// How it ended, and what it took.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) wall: Duration,
    /// Of the largest process among it and all that it waited for.
    pub(super) peak_rss_kib: u64,
}

/// Runs a command to its end, unless that takes longer than `limit`.
pub(super) fn run(command: &mut Command, limit: Duration) -> Result<Ended> {
    let start = Instant::now();
    let group = Group::start(command)?;
    group.wait(start, limit)?;
    let wall = start.elapsed();
    let (status, peak_rss_kib) = group.end()?;
    Ok(Ended { status, wall, peak_rss_kib })
}

/// A process group by its leader, which is ours to wait for: until then, its number is nobody else's.
struct Group(pid_t);

impl Group {
    fn start(command: &mut Command) -> Result<Self> {
        let with_us = || {
            // SAFETY: this call takes numbers and is allowed between fork and exec.
            match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        };
        // SAFETY: the closure neither allocates nor locks: it makes one system call.
        unsafe { command.process_group(0).pre_exec(with_us) };
        let child = command.spawn().context("it does not start")?;
        // Nobody waits for it by this handle, which lets go of it without a word.
        Ok(Self(pid_t::try_from(child.id()).context("its number")?))
    }

    /// Waits for the leader to end, and leaves it to be waited for.
    fn wait(&self, start: Instant, limit: Duration) -> Result<()> {
        // SAFETY: this call takes numbers.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, self.0, 0) };
        let fd = c_int::try_from(fd).ok().filter(|&fd| fd >= 0);
        let fd = fd.with_context(|| failed("pidfd_open"))?;
        // SAFETY: the call above has opened it for us alone.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut polled = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        loop {
            // SAFETY: `polled` is one entry, and it outlives the call.
            if unsafe { libc::poll(&mut polled, 1, LOOK_EVERY_MS) } == 1 {
                return Ok(());
            }
            if Interrupts::came() {
                bail!("it was interrupted");
            }
            if start.elapsed() >= limit {
                bail!("it did not end within {} s", limit.as_secs());
            }
        }
    }

    /// Ends what is left of the group. Returns how the leader ended, and its peak RSS in KiB.
    fn end(self) -> Result<(ExitStatus, u64)> {
        let ended = self.kill_and_reap();
        // It is reaped: its number is nobody's now.
        std::mem::forget(self);
        ended
    }

    fn kill_and_reap(&self) -> Result<(ExitStatus, u64)> {
        // SAFETY: this call takes numbers; the group is ours, since its leader is not reaped yet.
        unsafe { libc::kill(-self.0, libc::SIGKILL) };
        let mut status = 0;
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: both outlive the call, and each is of the type that it writes.
        if unsafe { libc::wait4(self.0, &mut status, 0, usage.as_mut_ptr()) } != self.0 {
            bail!(failed("wait4"));
        }
        // SAFETY: all its fields are integers, for which the zeros that it began with are values.
        let usage = unsafe { usage.assume_init() };
        Ok((ExitStatus::from_raw(status), u64::try_from(usage.ru_maxrss).unwrap_or(0)))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        _ = self.kill_and_reap();
    }
}

fn failed(call: &str) -> String {
    format!("{call} failed: {}", io::Error::last_os_error())
}

/// The signals that would end us and leave the processes running: while this lives, they are noted.
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
                // Somebody has asked for that, as `nohup` does.
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

    #[test]
    fn what_a_program_leaves_running_is_ended() {
        let out = tempfile::NamedTempFile::new().expect("a file");
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 250 & echo $!"]).stdout(out.reopen().expect("the file"));
        let ended = run(&mut command, Duration::from_secs(10)).expect("an end");
        assert!(ended.status.success() && ended.peak_rss_kib > 0);
        let left = std::fs::read_to_string(out.path()).expect("its number");
        let state = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", left.trim())).ok()?;
            stat.rsplit_once(')').and_then(|(_, rest)| rest.trim().chars().next())
        };
        let is_gone = || matches!(state(), None | Some('Z' | 'X'));
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_gone() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(is_gone(), "process {left} is still there");
    }

    #[test]
    fn a_program_that_does_not_start_is_an_error() {
        let error = run(&mut Command::new("/nowhere/program"), Duration::from_secs(1)).err();
        assert!(error.expect("an error").to_string().contains("does not start"));
    }
}
