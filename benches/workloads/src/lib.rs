//! The programs that the benchmarks run. They name no allocator.
//!
//! A workload is prepared, run (the timed part), and finished, which checks its result. It allocates through the
//! allocator that it is given, and allocates its own tables through the program's. The workloads that are real Rust
//! code ([`Workload::is_of_program`]) know only the program's allocator.

mod after_peak;
mod batches;
mod block;
mod boxed_map;
mod buffers;
mod cache;
mod idle;
mod job;
mod json;
mod large_mix;
mod larson;
mod littered;
mod makers_consumers;
pub mod measures;
mod parallel;
mod peak_mark;
mod phase_shift;
mod producer_consumer;
mod random_mixed;
mod realloc_grow;
mod regexes;
mod ring;
mod slots;
mod string_map;
mod thread_storm;
mod xorshift;
mod zeroed;

use after_peak::{AfterPeak, Survivors};
use job::Job;
use std::alloc::GlobalAlloc;
use std::fmt;
use std::str::FromStr;

/// Threads of the workloads that have more than one.
const THREADS: u64 = 2;

/// The option of the `prctl` by which a program marks both ends of its measured part for a tracer. The kernel knows no
/// option of this number, and refuses it.
pub const MARK: i32 = 0x6861_6b6d;

/// A run's length, its slots, and its random numbers.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Args {
    /// Operations, each one allocation, one free, or one `realloc`.
    pub cycles: u64,
    /// Slots: how many blocks can live at once, per thread where there are several.
    pub ws: usize,
    /// Start of the random numbers.
    pub seed: u64,
}

/// The error of a workload that found a block with content that it did not write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongAnswer(String);

impl fmt::Display for WrongAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongAnswer {}

/// The workloads. Each one's file says what it exercises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Workload {
    /// The founding report's: sizes 16 to 1039 bytes, uniform.
    RandomMixed,
    /// Sizes that drift from class to class.
    PhaseShift,
    /// Threads that inherit blocks.
    Larson,
    /// False sharing that the allocator brings about.
    CacheThrash,
    /// False sharing that the allocator keeps up.
    CacheScratch,
    /// Blocks born in one thread, freed in another that never allocates.
    ProducerConsumer,
    /// Two makers and two consumers of small blocks, at full speed.
    MakersConsumers,
    /// Batches, freed newest first.
    Lifo,
    /// Batches, freed oldest first.
    Fifo,
    /// Vectors that grow.
    ReallocGrow,
    /// Zeroed blocks.
    Zeroed,
    /// 16 bytes to 4 MiB.
    LargeMix,
    /// 64 KiB to 4 MiB, written whole.
    Buffers,
    /// Short-lived threads.
    ThreadStorm,
    /// Resident memory after a peak of which the oldest tenth lives on.
    AfterPeakOldest,
    /// Resident memory after a peak of which a random tenth lives on.
    AfterPeakRandom,
    /// Resident memory after a peak and three seconds in which no thread does anything.
    Idle,
    /// Parsing and printing a large JSON document.
    Json,
    /// An ordered map of strings.
    StringMap,
    /// A hash map of boxes, filled and dropped.
    BoxedMap,
    /// Lists in the gaps of a heap.
    Littered,
    /// A work-stealing pool that sorts and groups strings.
    Parallel,
    /// Compiling regular expressions.
    Regexes,
}

/// A workload that is ready to run.
pub struct Prepared<'a>(Box<dyn Job + 'a>);

/// The constants of a workload.
struct Facts {
    name: &'static str,
    /// Slots, unless asked otherwise.
    ws: usize,
    /// It gets so many times fewer operations than `random_mixed`, for a run of about equal length.
    divisor: u64,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One thread, and blocks of at most 2048 bytes.
    Small,
    /// One thread, and larger blocks, or more of them.
    Sized,
    /// More than one thread.
    Threads,
    /// Real Rust code, which allocates through the program's allocator.
    Program,
}

const fn facts(name: &'static str, ws: usize, divisor: u64, kind: Kind) -> Facts {
    Facts { name, ws, divisor, kind }
}

impl Workload {
    /// Every workload.
    pub const ALL: [Self; 23] = [
        Self::RandomMixed,
        Self::PhaseShift,
        Self::Larson,
        Self::CacheThrash,
        Self::CacheScratch,
        Self::ProducerConsumer,
        Self::MakersConsumers,
        Self::Lifo,
        Self::Fifo,
        Self::ReallocGrow,
        Self::Zeroed,
        Self::LargeMix,
        Self::Buffers,
        Self::ThreadStorm,
        Self::AfterPeakOldest,
        Self::AfterPeakRandom,
        Self::Idle,
        Self::Json,
        Self::StringMap,
        Self::BoxedMap,
        Self::Littered,
        Self::Parallel,
        Self::Regexes,
    ];

    /// The founding report's, and the one where its fixes have something to fix.
    pub const REPORT: [Self; 2] = [Self::RandomMixed, Self::PhaseShift];

    /// Also named in the report, as a guard against regressions.
    pub const GUARDS: [Self; 2] = [Self::Larson, Self::CacheThrash];

    const fn facts(self) -> Facts {
        match self {
            Self::RandomMixed => facts("random_mixed", 8192, 1, Kind::Small),
            Self::PhaseShift => facts("phase_shift", phase_shift::DEFAULT_WS, 1, Kind::Small),
            Self::Larson => facts("larson", 1000, 1, Kind::Threads),
            Self::CacheThrash => facts("cache_thrash", 1, 2, Kind::Threads),
            Self::CacheScratch => facts("cache_scratch", 1, 2, Kind::Threads),
            Self::ProducerConsumer => facts("producer_consumer", 1024, 2, Kind::Threads),
            Self::MakersConsumers => facts("makers_consumers", 1024, 2, Kind::Threads),
            Self::Lifo => facts("lifo", 1000, 1, Kind::Small),
            Self::Fifo => facts("fifo", 1000, 1, Kind::Small),
            Self::ReallocGrow => facts("realloc_grow", 64, 50, Kind::Sized),
            Self::Zeroed => facts("zeroed", 256, 5, Kind::Sized),
            Self::LargeMix => facts("large_mix", 64, 200, Kind::Sized),
            Self::Buffers => facts("buffers", 16, 500, Kind::Sized),
            Self::ThreadStorm => facts("thread_storm", 100, 5, Kind::Threads),
            Self::AfterPeakOldest => facts("after_peak_oldest", 200_000, 10, Kind::Sized),
            Self::AfterPeakRandom => facts("after_peak_random", 200_000, 10, Kind::Sized),
            Self::Idle => facts("idle", 200_000, 10, Kind::Sized),
            Self::Json => facts("json", 2000, 100, Kind::Program),
            Self::StringMap => facts("string_map", 10_000, 10, Kind::Program),
            Self::BoxedMap => facts("boxed_map", 10_000, 10, Kind::Program),
            Self::Littered => facts("littered", 20_000, 10, Kind::Program),
            Self::Parallel => facts("parallel", 20_000, 20, Kind::Program),
            Self::Regexes => facts("regexes", 1, 20_000, Kind::Program),
        }
    }

    /// The name on command lines and in results.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// Slots unless asked otherwise.
    pub const fn default_ws(self) -> usize {
        self.facts().ws
    }

    /// Operations for a run about as long as `random_mixed` takes for `cycles`.
    pub const fn scaled(self, cycles: u64) -> u64 {
        cycles / self.facts().divisor
    }

    /// The nearest number of operations that it can do: at least one round, since batches, documents and maps are done
    /// whole.
    pub fn whole(self, cycles: u64, ws: usize) -> u64 {
        let unit = match self {
            Self::Lifo | Self::Fifo => 2 * ws as u64,
            Self::Buffers => 2,
            Self::Json => ws as u64,
            Self::MakersConsumers => makers_consumers::ROUND,
            Self::BoxedMap => boxed_map::MAPS * ws as u64,
            Self::Littered | Self::Parallel => ws as u64,
            _ => 1,
        };
        cycles.next_multiple_of(unit.max(1))
    }

    /// True if it has more than one thread, so that its events differ from run to run.
    pub fn has_threads(self) -> bool {
        self.facts().kind == Kind::Threads || self == Self::Parallel
    }

    /// True if it is real Rust code, which allocates through the program's own allocator.
    pub fn is_of_program(self) -> bool {
        self.facts().kind == Kind::Program
    }

    /// True if it has one thread, gets its allocator, and asks for no more than 2048 bytes.
    pub fn is_small(self) -> bool {
        self.facts().kind == Kind::Small
    }

    /// Does everything that is not timed.
    pub fn prepare<A: GlobalAlloc + Sync>(self, allocator: &A, args: Args) -> Prepared<'_> {
        Prepared(match self {
            Self::RandomMixed => Box::new(random_mixed::RandomMixed::new(allocator, args)),
            Self::PhaseShift => Box::new(phase_shift::PhaseShift::new(allocator, args)),
            Self::Larson => Box::new(larson::Larson::new(allocator, args)),
            Self::CacheThrash => Box::new(cache::Cache::active(allocator, args)),
            Self::CacheScratch => Box::new(cache::Cache::passive(allocator, args)),
            Self::ProducerConsumer => {
                Box::new(producer_consumer::ProducerConsumer::new(allocator, args))
            }
            Self::MakersConsumers => {
                Box::new(makers_consumers::MakersConsumers::new(allocator, args))
            }
            Self::Lifo => Box::new(batches::Batches::new(allocator, args, true)),
            Self::Fifo => Box::new(batches::Batches::new(allocator, args, false)),
            Self::ReallocGrow => Box::new(realloc_grow::ReallocGrow::new(allocator, args)),
            Self::Zeroed => Box::new(zeroed::Zeroed::new(allocator, args)),
            Self::LargeMix => Box::new(large_mix::LargeMix::new(allocator, args)),
            Self::Buffers => Box::new(buffers::Buffers::new(allocator, args)),
            Self::ThreadStorm => Box::new(thread_storm::ThreadStorm::new(allocator, args)),
            Self::AfterPeakOldest => Box::new(AfterPeak::new(allocator, args, Survivors::Oldest)),
            Self::AfterPeakRandom => Box::new(AfterPeak::new(allocator, args, Survivors::Random)),
            Self::Idle => Box::new(idle::Idle::new(allocator, args)),
            Self::Json => Box::new(json::Json::new(args)),
            Self::StringMap => Box::new(string_map::StringMap::new(args)),
            Self::BoxedMap => Box::new(boxed_map::BoxedMap::new(args)),
            Self::Littered => Box::new(littered::Littered::new(args)),
            Self::Parallel => Box::new(parallel::Parallel::new(args)),
            Self::Regexes => Box::new(regexes::Regexes::new(args)),
        })
    }
}

impl Prepared<'_> {
    /// The timed part.
    pub fn run(&mut self) {
        self.0.run();
    }

    /// Frees the remaining blocks, and checks that every block held its content.
    ///
    /// # Errors
    /// If one did not, or an allocation failed.
    pub fn finish(self) -> Result<(), WrongAnswer> {
        self.0.finish()
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        // Hidden, or the compiler unrolls the search and takes twice as long for each workload more: minutes for twenty.
        let all = std::hint::black_box(Self::ALL.as_slice());
        all.iter().copied().find(|workload| workload.name() == name).ok_or_else(|| {
            let names: Vec<_> = all.iter().map(|workload| workload.name()).collect();
            format!("no workload `{name}`; allowed: {}", names.join(", "))
        })
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
