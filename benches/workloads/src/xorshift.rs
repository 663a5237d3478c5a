//! Random numbers at three shifts each (Marsaglia's xorshift64), equal on every machine.

pub(crate) struct XorShift(u64);

impl XorShift {
    /// Takes any seed; it replaces 0, which xorshift would repeat for ever.
    pub(crate) fn new(seed: u64) -> Self {
        Self(if seed == 0 { 0x9E37_79B9_7F4A_7C15 } else { seed })
    }

    #[inline(always)]
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`, from the high half of the next one.
    #[inline(always)]
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (((self.next() >> 32) * end as u64) >> 32) as usize
    }
}
