//! The cost of a stretch of this process: cycles, time, memory, and what the kernel counts.

use crate::hardware::Hardware;
use std::time::Instant;

pub(crate) struct Meter {
    hardware: Hardware,
    start: Reading,
}

/// A point in time, by three clocks.
struct Reading {
    tsc: u64,
    wall: Instant,
    usage: libc::rusage,
    /// Nanoseconds of processor time, finer than `usage`.
    cpu_ns: u64,
}

pub(crate) struct Took {
    /// The source of `cycles`.
    pub(crate) counter: &'static str,
    pub(crate) cycles: f64,
    /// What else the hardware counted, each with its key in the output; `None` where the machine does not count it.
    pub(crate) hardware: [(&'static str, Option<f64>); 6],
    pub(crate) wall_s: f64,
    pub(crate) user_s: f64,
    pub(crate) sys_s: f64,
    pub(crate) peak_rss_kib: u64,
    /// Pages that the kernel mapped at the first touch, without reading a file.
    pub(crate) page_faults: i64,
    /// Times that a thread gave its core up to wait: for a lock, a sleep, or the end of another thread.
    pub(crate) voluntary_switches: i64,
}

impl Meter {
    pub(crate) fn start() -> Self {
        let hardware = Hardware::start();
        Self { hardware, start: Reading::now() }
    }

    pub(crate) fn stop(mut self) -> Took {
        let counted = self.hardware.cycles();
        let (start, end) = (self.start, Reading::now());
        let wall_s = end.wall.duration_since(start.wall).as_secs_f64();
        let cpu_s = (end.cpu_ns - start.cpu_ns) as f64 / 1e9;
        // Processor time, not wall time: another program on this core takes none of it.
        let tsc_per_s = (end.tsc - start.tsc) as f64 / wall_s;
        let (counter, cycles) = match counted {
            Some(cycles) => ("hardware", cycles),
            None => ("tsc", cpu_s * tsc_per_s),
        };
        // The kernel splits user from system time by sampling; its sum is exact.
        let user = seconds(end.usage.ru_utime) - seconds(start.usage.ru_utime);
        let sys = seconds(end.usage.ru_stime) - seconds(start.usage.ru_stime);
        let sys_share = if user + sys > 0.0 { sys / (user + sys) } else { 0.0 };
        Took {
            counter,
            cycles,
            hardware: self.hardware.others(),
            wall_s,
            user_s: cpu_s * (1.0 - sys_share),
            sys_s: cpu_s * sys_share,
            peak_rss_kib: peak_rss_kib(),
            page_faults: end.usage.ru_minflt - start.usage.ru_minflt,
            voluntary_switches: end.usage.ru_nvcsw - start.usage.ru_nvcsw,
        }
    }
}

impl Reading {
    fn now() -> Self {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is writable.
        unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
        // SAFETY: all zero is a valid `rusage`: numbers.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: `usage` is writable.
        unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
        Self {
            tsc: time_stamp(),
            wall: Instant::now(),
            usage,
            cpu_ns: time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64,
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn time_stamp() -> u64 {
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
compile_error!("a time-stamp counter for this processor is missing");

fn seconds(time: libc::timeval) -> f64 {
    time.tv_sec as f64 + time.tv_usec as f64 / 1e6
}

/// The most memory that was resident at once. Not `ru_maxrss`, which a process inherits from the one
/// that started it.
fn peak_rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok()).unwrap_or(0)
}
