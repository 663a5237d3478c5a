//! The report of a misuse of a sampled block, on standard error.
//!
//! ```text
//! hakmem: fatal: use after free: 0x7f2b4c40eff8
//!   a write 8 bytes into a freed block of 16 bytes at 0x7f2b4c40eff0, in thread 712:
//!     0x55d0c6a011c3 /usr/bin/program+0x11c3
//!   it was allocated in thread 712:
//!     …
//!   it was freed in thread 713:
//!     …
//! ```
//!
//! The number behind an object's name is the call's address in that object, as `addr2line` takes it.
//!
//! Never: allocates, or ends the process.

use super::pool::Pool;
use super::slots::{Deed, Holds, Slot};
use super::trace::{Trace, is_behind_call};
use crate::base::quotient;
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::{kernel, maps, thread};

pub(super) const OVER: &str = "buffer overflow:";
pub(super) const UNDER: &str = "buffer underflow:";
pub(super) const LATE: &str = "use after free:";
pub(super) const DOUBLE: &str = "double free:";
pub(super) const INSIDE: &str = "free of an address inside a block:";
pub(super) const NO_BLOCK: &str = "free of what is no block:";

/// What a program did with an address.
#[derive(Clone, Copy)]
pub(super) enum Access {
    Read,
    Write,
    /// It freed the address.
    Free,
    /// It asked for the size of the block there, or changed it.
    Use,
    /// Nothing now: a free found what a write had changed.
    Found,
}

/// A misuse.
pub(super) struct Misuse {
    pub(super) what: &'static str,
    pub(super) address: usize,
    pub(super) access: Access,
    pub(super) trace: Trace,
    /// The number of the slot that it is about; `None` for the one at the address.
    pub(super) slot: Option<usize>,
}

/// Bytes of the longest line; longer ones are cut.
const LINE: usize = 400;

/// A line under construction.
struct Line {
    bytes: [u8; LINE],
    len: usize,
}

impl Line {
    const fn new() -> Self {
        Self { bytes: [0; LINE], len: 0 }
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        for &byte in bytes {
            // One place stays for the line's end.
            if self.len < LINE - 1
                && let Some(place) = self.bytes.get_mut(self.len)
            {
                *place = byte;
                self.len += 1;
            }
        }
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    fn number(&mut self, number: usize, base: usize) -> &mut Self {
        let mut unit = 1;
        while quotient(number, unit) >= base {
            unit *= base;
        }
        while unit > 0 {
            let digit = quotient(number, unit);
            let digit = b"0123456789abcdef".get(digit - quotient(digit, base) * base).copied();
            self.bytes(&[digit.unwrap_or(b'?')]);
            unit = quotient(unit, base);
        }
        self
    }

    fn hex(&mut self, number: usize) -> &mut Self {
        self.text("0x").number(number, 16)
    }

    fn count(&mut self, number: usize) -> &mut Self {
        self.number(number, 10).text(if number == 1 { " byte" } else { " bytes" })
    }

    fn end(&mut self) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = b'\n';
        }
        kernel::write_error(self.bytes.get(..=self.len).unwrap_or_default());
        self.len = 0;
    }
}

/// The thread that reports; 0 for none. One report is enough: the process ends by it. [shared]
static REPORTS: AtomicU32 = AtomicU32::new(0);

/// Writes the report of a misuse. With the pool's lock held; the handler of a fault may lack it.
pub(super) fn of(pool: &Pool, misuse: &Misuse) {
    // ORDERING: relaxed; the number claims the task, and publishes nothing.
    if REPORTS.compare_exchange(0, thread::id(), Ordering::Relaxed, Ordering::Relaxed).is_err() {
        return thread::give_way();
    }
    let Misuse { what, address, access, ref trace, slot } = *misuse;
    let mut line = Line::new();
    line.text("hakmem: fatal: ").text(what).text(" ").hex(address).end();
    let slot = match slot {
        Some(number) => pool.slots.get(number),
        None => pool.slot_at(address).map(|(_, slot)| slot),
    };
    line.text(match access {
        Access::Read => "  a read",
        Access::Write => "  a write",
        Access::Free => "  a free",
        Access::Use => "  a look at a block",
        Access::Found => "  a write that a later free found,",
    });
    let slot = slot.filter(|slot| slot.holds.get() != Holds::Unused);
    if let Some(slot) = slot {
        put_place(&mut line, slot, address);
    }
    line.text(", in thread ").number(thread::id() as usize, 10).text(":").end();
    let is_fault = matches!(access, Access::Read | Access::Write);
    put_trace(pool, &mut line, trace, is_fault);
    let Some(slot) = slot else { return };
    put_deed(pool, &mut line, "  it was allocated in thread ", &slot.allocated.get());
    if slot.holds.get() != Holds::Live {
        put_deed(pool, &mut line, "  it was freed in thread ", &slot.freed.get());
    }
}

/// Says where an address is, seen from the slot's block.
fn put_place(line: &mut Line, slot: &Slot, address: usize) {
    line.text(" ");
    match address {
        _ if address < slot.start.get() => line.count(slot.start.get() - address).text(" before"),
        _ if address == slot.start.get() => line.text("at the start of"),
        _ if address == slot.end() => line.text("right past the end of"),
        _ if address > slot.end() => line.count(address - slot.end()).text(" past the end of"),
        _ => line.count(address - slot.start.get()).text(" into"),
    };
    line.text(if slot.holds.get() == Holds::Live { " a block of " } else { " a freed block of " });
    line.count(slot.size.get()).text(" at ").hex(slot.start.get());
}

fn put_deed(pool: &Pool, line: &mut Line, what: &str, deed: &Deed) {
    line.text(what).number(deed.thread as usize, 10).text(":").end();
    put_trace(pool, line, &deed.trace, false);
}

/// Writes a trace, one address a line. The first one `is_exact` if it is that of an instruction; all others are those
/// of the instructions behind calls.
fn put_trace(pool: &Pool, line: &mut Line, trace: &Trace, mut is_exact: bool) {
    for address in trace.addresses() {
        let back = usize::from(!is_exact);
        if is_exact || is_behind_call(address) {
            put_address(pool, line, address - back);
        }
        is_exact = false;
    }
}

fn put_address(pool: &Pool, line: &mut Line, address: usize) {
    line.text("    ").hex(address);
    // SAFETY: the pool's lock is held, and no other code refers to it; or the process ends by a fault, and this thread
    // alone reports.
    let space = unsafe { &mut *pool.space.get() };
    maps::each(space, |mapping| {
        let is_here = (mapping.start..mapping.end).contains(&address);
        if is_here && !mapping.name.is_empty() {
            line.text(" ").bytes(mapping.name).text("+").hex(address - mapping.base);
        }
        !is_here
    });
    line.end();
}
