//! Stack traces: the return addresses that lie on a thread's stack.
//!
//! Programs are mostly compiled without frame pointers, and unwinding tables take locks to find. So a trace is every
//! number of the stack's newest part that is an address of code. A report leaves out those without a call in front.
//! What remains of functions that have returned may be among the rest.
//!
//! ST1  A look at the stack reads only pages that the kernel says are readable, below the thread's control block, which
//!     lies at the end of a thread's stack.
//!
//! Never: allocates, faults, or reads code.

use crate::base::PAGE_BYTES;
use crate::sys::kernel::is_readable;
use crate::sys::maps::{self, Space};
use crate::sys::thread;
use core::arch::asm;
use core::cell::Cell;
use core::ptr;

/// Addresses of a trace.
pub(super) const MOST: usize = 32;
/// Bytes of the stack that are looked at.
const DEPTH: usize = 8 << 10;
/// Ranges of code that are known.
const RANGES: usize = 512;

/// The addresses of code that one moment's stack held, newest first; 0 behind the last. All bytes zero is an empty one.
#[derive(Clone, Copy)]
pub(super) struct Trace([usize; MOST]);

impl Trace {
    pub(super) const NONE: Self = Self([0; MOST]);

    pub(super) fn addresses(&self) -> impl Iterator<Item = usize> {
        self.0.iter().copied().take_while(|address| *address != 0)
    }
}

/// The addresses that hold code. All bytes zero is an empty set.
pub(super) struct Code {
    count: Cell<usize>,
    ranges: [Cell<(usize, usize)>; RANGES],
    /// Traces until the next look at the mappings.
    left: Cell<u32>,
    /// Traces between the last two looks.
    between: Cell<u32>,
}

/// Traces between two looks at the mappings, at most: a program may load libraries at any time.
const BETWEEN: u32 = 1024;

impl Code {
    /// Looks at the mappings if it is time to: at the first trace, and then after twice as many traces each time.
    pub(super) fn refresh(&self, space: &mut Space) {
        if self.left.get() > 0 {
            return self.left.set(self.left.get() - 1);
        }
        let between = (self.between.get() * 2).clamp(8, BETWEEN);
        self.between.set(between);
        self.left.set(between);
        self.read(space);
    }

    /// Looks at the mappings.
    pub(super) fn read(&self, space: &mut Space) {
        let mut count = 0;
        let is_read = maps::each(space, |mapping| {
            if mapping.is_code {
                let Some(place) = self.ranges.get(count) else { return false };
                place.set((mapping.start, mapping.end));
                count += 1;
            }
            true
        });
        if is_read {
            self.count.set(count);
        }
    }

    /// True if code lies at an address, as far as is known.
    fn has(&self, address: usize) -> bool {
        let (mut from, mut to) = (0, self.count.get());
        while from < to {
            let middle = from.midpoint(to);
            let Some((start, end)) = self.ranges.get(middle).map(Cell::get) else { return false };
            match () {
                () if address < start => to = middle,
                () if address >= end => from = middle + 1,
                () => return true,
            }
        }
        false
    }
}

/// The trace of the calling thread.
#[inline(never)]
pub(super) fn here(code: &Code) -> Trace {
    let stack: usize;
    // SAFETY: it reads a register.
    unsafe { asm!("mov {}, rsp", out(reg) stack, options(nomem, nostack, preserves_flags)) };
    from(code, stack, Trace::NONE, 0)
}

/// The trace of this thread at a fault: the instruction, then what lies on the stack from there.
pub(super) fn at(code: &Code, instruction: usize, stack: usize) -> Trace {
    let mut trace = Trace::NONE;
    if let Some(first) = trace.0.first_mut() {
        *first = instruction;
    }
    if is_readable(stack) { from(code, stack, trace, 1) } else { trace }
}

/// Adds the addresses of code on the stack to a trace that has `count`. The stack pointer lies in a readable page.
fn from(code: &Code, stack: usize, mut trace: Trace, mut count: usize) -> Trace {
    const WORD: usize = size_of::<usize>();
    let mut at = stack.next_multiple_of(WORD);
    let control = thread::handle();
    let end = at + DEPTH;
    let end = if control > at { end.min(control) } else { end };
    while at + WORD <= end && count < MOST {
        if at.is_multiple_of(PAGE_BYTES) && !is_readable(at) {
            break;
        }
        // SAFETY: the word lies in a page that is readable, on this thread's own stack (ST1).
        let word = unsafe { ptr::with_exposed_provenance::<usize>(at).read_volatile() };
        if code.has(word)
            && let Some(place) = trace.0.get_mut(count)
        {
            *place = word;
            count += 1;
        }
        at += WORD;
    }
    trace
}

/// True if the instruction in front of an address is a call, as it is for a return address. It reads the code.
pub(super) fn is_behind_call(address: usize) -> bool {
    /// Bytes of the longest call.
    const LONGEST: usize = 7;
    let Some(from) = address.checked_sub(LONGEST + 1) else { return false };
    if !is_readable(from) || !is_readable(address - 1) {
        return false;
    }
    let byte = |back: usize| {
        let byte = ptr::with_exposed_provenance::<u8>(address - back);
        // SAFETY: `back` is at most `LONGEST`, and both ends of these bytes are readable.
        unsafe { byte.read_volatile() }
    };
    if byte(5) == 0xE8 {
        return true;
    }
    // A call of what a register or memory holds: FF, then a byte whose middle bits are 2. The byte's other bits say how
    // long the rest is.
    (2..=LONGEST).any(|length| {
        let mode = byte(length - 1);
        let (kind, register) = (mode >> 6, mode & 7);
        let index = usize::from(kind != 3 && register == 4);
        let rest = match kind {
            0 if register == 5 => 4,
            0 | 3 => 0,
            1 => 1,
            _ => 4,
        };
        byte(length) == 0xFF && mode >> 3 & 7 == 2 && length == 2 + index + rest
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem;

    /// A pair of return addresses that the trace must have.
    #[inline(never)]
    fn deeper(code: &Code, depth: u32) -> Trace {
        let trace = if depth == 0 { here(code) } else { deeper(code, depth - 1) };
        // So that no call is the last thing, which the compiler would make a jump.
        core::hint::black_box(trace)
    }

    #[test]
    fn a_trace_has_the_callers() {
        // SAFETY: numbers and arrays of them.
        let (mut space, code) = unsafe { mem::zeroed::<(Space, Code)>() };
        code.refresh(&mut space);
        let trace = deeper(&code, 3);
        let calls: Vec<usize> = trace.addresses().filter(|it| is_behind_call(*it)).collect();
        let start = deeper as fn(_, _) -> _ as usize;
        let inside = calls.iter().filter(|it| (start..start + 512).contains(*it)).count();
        assert!(inside >= 3, "{inside} of {calls:x?}, {start:x}");
        assert!(!code.has(ptr::from_ref(&code).addr()) && code.has(start));
    }
}
