//! Counts the system calls of a program's measured part.
//!
//! The program runs once more, traced by ptrace, which every Linux has: it needs no tool, and no knowledge of the
//! allocator, so all peers are counted alike. The run is not timed. The program marks both ends of the part
//! (`hakmem_workloads::MARK`), and the calls of all its threads between the marks count.
//!
//! `sched_yield` does not count: the workloads' waiting threads pass time by it, so its number is one of time.

use anyhow::{Context, Result, bail, ensure};
use hakmem_workloads::MARK;
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Output, Stdio};

/// Runs a command to its end; returns its output, and the number of system calls in its measured part.
///
/// The output must fit into a pipe: nothing reads it before the end.
pub(super) fn count(command: &mut Command) -> Result<(Output, u64)> {
    let traced = || ptrace::traceme().map_err(io::Error::from);
    // SAFETY: the closure neither allocates nor locks: it makes one system call.
    unsafe { command.pre_exec(traced) };
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("ptrace")?;
    let leader = Pid::from_raw(i32::try_from(child.id())?);
    let followed = follow(leader).context("ptrace");
    if followed.is_err() {
        // It may stand still at its start, or at a system call.
        _ = child.kill();
        _ = child.wait();
    }
    let (status, calls) = followed?;
    let mut output = Output { status, stdout: Vec::new(), stderr: Vec::new() };
    child.stdout.take().map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut output.stdout))?;
    child.stderr.take().map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut output.stderr))?;
    Ok((output, calls))
}

/// Follows a process, which is about to stop at the start of its program, and its threads to their end.
fn follow(leader: Pid) -> Result<(ExitStatus, u64)> {
    // Only children of this thread, and threads that it traces: other threads may wait for children of their own.
    let all = Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD);
    let start = waitpid(leader, all)?;
    ensure!(matches!(start, WaitStatus::Stopped(..)), "the program did not start: {start:?}");
    let options =
        Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_EXITKILL;
    ptrace::setoptions(leader, options)?;
    resume(leader, None)?;
    let (mut marks, mut calls) = (0, 0);
    loop {
        match waitpid(Pid::from_raw(-1), all)? {
            WaitStatus::PtraceSyscall(thread) => {
                match entered(thread)? {
                    Some((libc::SYS_prctl, MARK)) => marks += 1,
                    Some((libc::SYS_sched_yield, _)) | None => {}
                    Some(_) => calls += u64::from(marks == 1),
                }
                resume(thread, None)?;
            }
            // A thread's first stop, and the stop of the one that started it.
            WaitStatus::Stopped(thread, Signal::SIGSTOP) | WaitStatus::PtraceEvent(thread, ..) => {
                resume(thread, None)?;
            }
            WaitStatus::Stopped(thread, signal) => resume(thread, Some(signal))?,
            WaitStatus::Exited(thread, code) if thread == leader => {
                let status = ExitStatus::from_raw(code << 8);
                ensure!(marks == 2 || code != 0, "{marks} marks, not 2");
                return Ok((status, calls));
            }
            WaitStatus::Signaled(thread, signal, _) if thread == leader => {
                return Ok((ExitStatus::from_raw(signal as i32), calls));
            }
            _ => {}
        }
    }
}

/// The number and the first argument of the system call that a stopped thread enters; `None` if it leaves one.
fn entered(thread: Pid) -> Result<Option<(i64, i32)>> {
    let info = match ptrace::syscall_info(thread) {
        Err(Errno::ESRCH) => return Ok(None),
        info => info?,
    };
    if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return Ok(None);
    }
    // SAFETY: `op` says that the kernel has filled in this member.
    let entry = unsafe { info.u.entry };
    Ok(Some((entry.nr as i64, entry.args[0] as i32)))
}

/// Lets a stopped thread run to its next stop. It may be gone: the end of the program ends all its threads.
fn resume(thread: Pid, signal: Option<Signal>) -> Result<()> {
    match ptrace::syscall(thread, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => bail!(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::env;

    /// How many calls the traced program makes by a second thread.
    const CALLS: &str = "HAKMEM_TRACED_CALLS";

    /// The traced program: the test below starts it.
    #[test]
    #[ignore = "does nothing by itself"]
    fn traced() {
        let calls = env::var(CALLS).map_or(0, |calls| calls.parse().expect("a number"));
        let mark = || {
            // SAFETY: the kernel refuses this option.
            unsafe { libc::prctl(MARK, 0, 0, 0, 0) };
        };
        let ask = || {
            // SAFETY: it only asks for a number.
            unsafe { libc::getppid() };
        };
        ask();
        mark();
        std::thread::spawn(move || (0..calls).for_each(|_| ask())).join().expect("no panic");
        std::thread::yield_now();
        mark();
        ask();
    }

    #[test]
    fn the_calls_of_all_threads_between_the_marks_count() {
        let count = |calls: u64| {
            let mut command = Command::new(env::current_exe().expect("this program"));
            command.args(["--exact", "bench::system_calls::tests::traced", "--ignored"]);
            count(command.arg("--test-threads=1").env(CALLS, calls.to_string()))
        };
        let (output, none) = match count(0) {
            Ok(counted) => counted,
            // As in a container, or under another tracer.
            Err(error) if format!("{error:#}").contains("not permitted") => return,
            Err(error) => panic!("{error:#}"),
        };
        assert!(output.status.success() && !output.stdout.is_empty());
        let (_, many) = count(1000).expect("as before");
        // Those of the thread itself, of which the C library makes some.
        assert!(none > 0 && none < 100, "{none}");
        assert!(many.abs_diff(none + 1000) < 10, "{none} and {many}");
    }

    #[test]
    fn a_program_that_fails_or_has_no_marks_has_no_count() {
        let mut fails = Command::new("sh");
        let counted = count(fails.args(["-c", "echo wrong >&2; kill -9 $$"]));
        let is_forbidden = |error: &anyhow::Error| format!("{error:#}").contains("not permitted");
        match counted {
            Ok((output, calls)) => {
                assert_eq!((output.status.signal(), calls), (Some(9), 0));
                assert_eq!(output.stderr, b"wrong\n");
                let error = count(&mut Command::new("true")).expect_err("no marks");
                assert_eq!(format!("{error:#}"), "ptrace: 0 marks, not 2");
            }
            Err(error) => assert!(is_forbidden(&error), "{error:#}"),
        }
        assert!(count(&mut Command::new("/nonexistent")).is_err());
    }
}
