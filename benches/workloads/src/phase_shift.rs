//! `phase_shift`: the sizes in use drift from class 7 down to class 4 and back.
//!
//! In a phase every allocation is of one class; the phases go 7, 6, 5, 4, 5, 6, 7, 6, … A phase lasts long enough for
//! every slot to be turned over many times. So all blocks of the class before are freed, and its slabs really become
//! EMPTY. A program that loads, works, and writes out does this: the memory of one phase is there for the next, if the
//! allocator gets it back.

use crate::job::Job;
use crate::slots::Slots;
use crate::xorshift::XorShift;
use crate::{Args, WrongAnswer};
use std::alloc::GlobalAlloc;

/// Half of these live at once: 256 blocks, in class 7 half a MiB, half of what the report's soft cap
/// admits for it.
pub(crate) const DEFAULT_WS: usize = 512;

/// Operations per phase and slot. A slot is missed by a whole phase with probability e^-32.
const TURNS: u64 = 32;

/// The sizes of a phase, `low + 0..span` bytes: the founding report's classes 7 down to 4, and back.
const PHASES: [(usize, u64); 6] =
    [(513, 528), (257, 256), (129, 128), (65, 64), (129, 128), (257, 256)];

pub(crate) struct PhaseShift<'a, A: GlobalAlloc> {
    slots: Slots<'a, A>,
    args: Args,
}

impl<'a, A: GlobalAlloc> PhaseShift<'a, A> {
    pub(crate) fn new(allocator: &'a A, args: Args) -> Self {
        Self { slots: Slots::new(allocator, args.ws), args }
    }
}

impl<A: GlobalAlloc> Job for PhaseShift<'_, A> {
    fn run(&mut self) {
        let mut random = XorShift::new(self.args.seed);
        let count = self.slots.len() as u64;
        let phase_len = TURNS * count;
        let mut left = self.args.cycles;
        for (low, span) in PHASES.into_iter().cycle() {
            for _ in 0..phase_len.min(left) {
                let r = random.next();
                let index = ((r >> 32) * count) >> 32;
                let offset = ((r & 0xFFFF) * span) >> 16;
                self.slots.turn(index as usize, low + offset as usize);
            }
            left = left.saturating_sub(phase_len);
            if left == 0 {
                return;
            }
        }
    }

    fn finish(self: Box<Self>) -> Result<(), WrongAnswer> {
        self.slots.finish()
    }
}
