//! Signals: those that are passed on to the program, and the one that ended it.
//!
//! Signals are blocked from the start and taken one by one. So there is no handler, and no moment at which a signal is
//! lost: one between two runs goes to the second. The program starts with the actions and the mask that this process
//! was started with. Only `SIGCHLD` changes its action, and gets it back.

use crate::os_error;
use anyhow::Result;
use libc::{c_int, sighandler_t, siginfo_t, sigset_t};
use std::mem::MaybeUninit;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus};
use std::ptr;

/// Signals that are passed on to the program.
const PASSED_ON: [c_int; 6] =
    [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2];

/// An event.
pub(crate) enum Event {
    /// A child ended, stopped or went on.
    Child,
    /// A signal for the program too.
    PassOn(c_int),
    /// A terminal's signal, which the program has got as well.
    Known,
}

impl Event {
    /// True for a signal that asks for an end.
    pub(crate) fn says_stop(&self) -> bool {
        match self {
            Self::Child | Self::PassOn(libc::SIGUSR1 | libc::SIGUSR2) => false,
            Self::PassOn(_) | Self::Known => true,
        }
    }
}

pub(crate) struct Signals {
    held: sigset_t,
    /// The signals that were blocked before.
    before: sigset_t,
    /// The action of `SIGCHLD` before.
    child: sighandler_t,
}

impl Signals {
    /// Blocks them.
    pub(crate) fn hold() -> Result<Self> {
        // A signal that was ignored from the start (`nohup`) stays ignored, by the program too.
        let passed_on: Vec<_> =
            PASSED_ON.into_iter().filter(|&signal| !is_ignored(signal)).collect();
        let held = set(passed_on.into_iter().chain([libc::SIGCHLD]));
        // If it were ignored, the kernel would not keep the program's cost.
        // SAFETY: no handler of ours is concerned.
        let child = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
        let mut before = set([]);
        // SAFETY: both are sets.
        if unsafe { libc::sigprocmask(libc::SIG_BLOCK, &held, &mut before) } != 0 {
            return Err(os_error("signals cannot be blocked"));
        }
        Ok(Self { held, before, child })
    }

    /// Lets a command start as if they were not blocked.
    pub(crate) fn release_in(&self, command: &mut Command) {
        let (before, child) = (self.before, self.child);
        let release = move || {
            // SAFETY: the action that it had when we started; `signal` may be called after a fork.
            unsafe { libc::signal(libc::SIGCHLD, child) };
            // SAFETY: a set, and nothing to be written; it may be called after a fork.
            match unsafe { libc::sigprocmask(libc::SIG_SETMASK, &before, ptr::null_mut()) } {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        };
        // SAFETY: it only makes the two calls, allocates nothing, and takes no lock.
        unsafe { command.pre_exec(release) };
    }

    /// Waits for the next event.
    pub(crate) fn next(&self) -> Event {
        loop {
            let mut info = MaybeUninit::<siginfo_t>::uninit();
            // SAFETY: a set, and room for the answer.
            let signal = unsafe { libc::sigwaitinfo(&self.held, info.as_mut_ptr()) };
            if signal < 0 {
                // The child stopped and went on.
                continue;
            }
            // SAFETY: filled, as the call succeeded.
            let info = unsafe { info.assume_init() };
            // From the kernel these two come from a terminal, which sends them to all processes that run in it.
            let by_terminal = matches!(signal, libc::SIGINT | libc::SIGQUIT) && info.si_code > 0;
            return match signal {
                libc::SIGCHLD => Event::Child,
                _ if by_terminal => Event::Known,
                _ => Event::PassOn(signal),
            };
        }
    }
}

/// Ends as the program did: with its exit code, or by its signal.
pub(crate) fn end_like(status: ExitStatus) -> ExitCode {
    let Some(signal) = status.signal() else {
        return ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
    };
    // One core is enough. A limit would not do: it does not bind programs that cores are piped to.
    // SAFETY: it reads numbers only.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
    // SAFETY: no handler of ours is concerned.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: a set, and nothing to be written.
    unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, &set([signal]), ptr::null_mut()) };
    // SAFETY: it takes a number.
    unsafe { libc::raise(signal) };
    // This process lives on: the kernel spares the first process of a container.
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
}

fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is changed, and there is room for the answer.
    if unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: filled, as the call succeeded.
    let action = unsafe { action.assume_init() };
    action.sa_sigaction == libc::SIG_IGN
}

fn set(signals: impl IntoIterator<Item = c_int>) -> sigset_t {
    let mut set = MaybeUninit::<sigset_t>::uninit();
    // SAFETY: there is room for it; it cannot fail.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: made empty above.
    let mut set = unsafe { set.assume_init() };
    for signal in signals {
        // SAFETY: a set; a number that is no signal leaves it as it is.
        unsafe { libc::sigaddset(&mut set, signal) };
    }
    set
}
