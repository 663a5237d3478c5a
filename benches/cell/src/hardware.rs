//! The processor's own counters, of this thread and of those that it starts.

use perf_event::events::{Cache, CacheId, CacheOp, CacheResult, Hardware as Event};
use perf_event::{Builder, Counter};

const TLB_MISSES: Cache =
    Cache { which: CacheId::DTLB, operation: CacheOp::READ, result: CacheResult::MISS };

/// Counters that count. One that the machine does not have is `None`.
pub(crate) struct Hardware {
    cycles: Option<Counter>,
    others: [(&'static str, Option<Counter>); 6],
}

impl Hardware {
    /// Counts in user and kernel, but for the counter whose name says otherwise.
    pub(crate) fn start() -> Self {
        let cycles = || Builder::new(Event::CPU_CYCLES);
        Self {
            cycles: start(&mut cycles()),
            others: [
                ("kernel_cycles", start(cycles().exclude_user(true))),
                ("instructions", start(&mut Builder::new(Event::INSTRUCTIONS))),
                ("branches", start(&mut Builder::new(Event::BRANCH_INSTRUCTIONS))),
                ("branch_misses", start(&mut Builder::new(Event::BRANCH_MISSES))),
                ("cache_misses", start(&mut Builder::new(Event::CACHE_MISSES))),
                ("tlb_misses", start(&mut Builder::new(TLB_MISSES))),
            ],
        }
    }

    pub(crate) fn cycles(&mut self) -> Option<f64> {
        read(&mut self.cycles)
    }

    /// The counts but for the cycles, each with its key in the output.
    pub(crate) fn others(&mut self) -> [(&'static str, Option<f64>); 6] {
        self.others.each_mut().map(|(name, counter)| (*name, read(counter)))
    }
}

fn start(builder: &mut Builder<'_>) -> Option<Counter> {
    let mut counter = builder.include_kernel().inherit(true).build().ok()?;
    counter.enable().ok()?;
    Some(counter)
}

/// The count. Where the processor has fewer counters than we asked for, they take turns, and the kernel's times say for
/// which share of the run this one counted.
fn read(counter: &mut Option<Counter>) -> Option<f64> {
    let read = counter.as_mut()?.read_count_and_time().ok()?;
    let share = read.time_running as f64 / read.time_enabled as f64;
    (share > 0.0).then(|| read.count as f64 / share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use perf_event::events::Software;

    /// The kernel's own counters are there without hardware, unless it forbids all.
    #[test]
    fn a_counter_that_runs_is_read() {
        let mut clock = start(&mut Builder::new(Software::TASK_CLOCK));
        if clock.is_some() {
            std::hint::black_box((0..100_000).map(std::hint::black_box).sum::<u64>());
            assert!(read(&mut clock) > Some(0.0));
        }
        assert_eq!(read(&mut None), None);
    }
}
