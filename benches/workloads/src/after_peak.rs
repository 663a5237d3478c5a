//! `after_peak_oldest`, `after_peak_random`: the memory that stays resident when the load has dropped to a tenth.
//!
//! `ws` blocks of 16 to 1039 bytes are allocated, and all but a tenth of them freed: the oldest stay, or every tenth on
//! average. The program then goes on in a small way, and pauses in between, for a second and a half at full length.
//! Then it lowers the process's peak mark to its resident memory, so the reported peak is the memory that stayed. Every
//! byte of the remaining blocks is checked: this finds a page that was given back under one.

use crate::block::Block;
use crate::job::{Job, all_right};
use crate::slots::Slots;
use crate::xorshift::XorShift;
use crate::{Args, WrongAnswer, peak_mark};
use std::alloc::GlobalAlloc;
use std::time::Duration;
use std::{mem, thread};

/// So many blocks have one survivor.
const ONE_IN: usize = 10;
/// Slots of the program's further use.
const SLOTS: usize = 1000;
/// Operations between two pauses; of a run's million, 310 pauses remain for the further use.
const BETWEEN: u64 = 2000;
const PAUSE: Duration = Duration::from_millis(5);

/// The blocks that outlive the peak.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Survivors {
    Oldest,
    Random,
}

pub(crate) struct AfterPeak<'a, A: GlobalAlloc> {
    allocator: &'a A,
    args: Args,
    survive: Survivors,
    /// With their tags.
    survivors: Vec<(usize, Block)>,
    slots: Slots<'a, A>,
    wrong: u64,
    mark: Result<(), WrongAnswer>,
}

impl<'a, A: GlobalAlloc> AfterPeak<'a, A> {
    pub(crate) fn new(allocator: &'a A, args: Args, survive: Survivors) -> Self {
        let slots = Slots::new(allocator, SLOTS);
        let survivors = Vec::with_capacity(args.ws / ONE_IN * 2);
        Self { allocator, args, survive, survivors, slots, wrong: 0, mark: Ok(()) }
    }

    /// Goes to the peak, and down; returns the number of operations.
    fn rise_and_fall(&mut self, random: &mut XorShift) -> u64 {
        let count = self.args.ws;
        let blocks: Vec<Block> = (0..count)
            .map(|tag| Block::new(self.allocator, 16 + random.below(1024), tag))
            .collect();
        for (tag, block) in blocks.into_iter().enumerate() {
            let stays = match self.survive {
                Survivors::Oldest => tag < count / ONE_IN,
                Survivors::Random => random.below(ONE_IN) == 0,
            };
            if stays && !block.is_none() {
                block.fill(tag);
                self.survivors.push((tag, block));
            } else {
                self.wrong += block.free_or_wrong(self.allocator, tag);
            }
        }
        (2 * count - self.survivors.len()) as u64
    }
}

impl<A: GlobalAlloc> Job for AfterPeak<'_, A> {
    fn run(&mut self) {
        let mut random = XorShift::new(self.args.seed);
        let done = self.rise_and_fall(&mut random);
        for n in 0..self.args.cycles.saturating_sub(done) {
            self.slots.turn(random.below(SLOTS), 16 + random.below(1024));
            if n % BETWEEN == 0 {
                thread::sleep(PAUSE);
            }
        }
        self.mark = peak_mark::lower();
    }

    fn finish(mut self: Box<Self>) -> Result<(), WrongAnswer> {
        for (tag, block) in mem::take(&mut self.survivors) {
            self.wrong += u64::from(!block.is_whole(tag));
            self.wrong += block.free(self.allocator, tag);
        }
        self.slots.finish()?;
        self.mark?;
        all_right(self.wrong)
    }
}
