//! What the benchmarks run: programs that name no allocator.
//!
//! A workload is prepared, run (the part that is timed), and finished, which checks its result. It
//! allocates through the allocator it is given; what it needs for itself comes from the program's.

mod phase_shift;
mod random_mixed;
mod slots;
mod xorshift;

use std::alloc::GlobalAlloc;
use std::fmt;
use std::str::FromStr;

/// How long, how wide, and which random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args {
    /// Operations, each one allocation or one free.
    pub cycles: u64,
    /// Slots: how many blocks can live at once.
    pub ws: usize,
    /// Start of the random numbers.
    pub seed: u64,
}

/// A workload that found a block with content that it did not write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongAnswer(String);

impl fmt::Display for WrongAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongAnswer {}

/// The workloads, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Workload {
    /// The founding report's: sizes 16 to 1039 bytes, uniform; see `random_mixed.rs`.
    RandomMixed,
    /// Sizes that drift from class to class; see `phase_shift.rs`.
    PhaseShift,
}

/// A workload with its slots, ready to run.
pub struct Prepared<'a, A: GlobalAlloc> {
    workload: Workload,
    args: Args,
    slots: slots::Slots<'a, A>,
}

impl Workload {
    /// Every workload.
    pub const ALL: [Self; 2] = [Self::RandomMixed, Self::PhaseShift];

    /// The name on command lines and in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RandomMixed => "random_mixed",
            Self::PhaseShift => "phase_shift",
        }
    }

    /// Slots unless asked otherwise.
    pub const fn default_ws(self) -> usize {
        match self {
            Self::RandomMixed => 8192,
            Self::PhaseShift => phase_shift::DEFAULT_WS,
        }
    }

    /// Does everything that is not to be timed.
    pub fn prepare<A: GlobalAlloc>(self, allocator: &A, args: Args) -> Prepared<'_, A> {
        Prepared { workload: self, args, slots: slots::Slots::new(allocator, args.ws) }
    }
}

impl<A: GlobalAlloc> Prepared<'_, A> {
    /// The part that is timed.
    pub fn run(&mut self) {
        match self.workload {
            Workload::RandomMixed => random_mixed::run(&mut self.slots, self.args),
            Workload::PhaseShift => phase_shift::run(&mut self.slots, self.args),
        }
    }

    /// Frees what is left, and says whether every block held what was written to it.
    ///
    /// # Errors
    /// If one did not, or an allocation failed.
    pub fn finish(self) -> Result<(), WrongAnswer> {
        self.slots.finish()
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|workload| workload.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|workload| workload.name()).collect();
            format!("no workload `{name}`; allowed: {}", names.join(", "))
        })
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
