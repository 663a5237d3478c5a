//! Moves of pages from one address to another, by the kernel and without a copy (mremap).

use super::kernel;
use super::pages::{advise, is_locked, map_near, unmap};
use core::ptr::NonNull;

/// Bytes that no mapping can have.
const NO_LENGTH: usize = 1 << 46;
/// What became of pages that were to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// They have moved. With `leaves` the old addresses are still mapped, and have no memory.
    Moved { leaves: bool },
    /// The kernel refused. Nothing changed.
    Stayed,
    /// The kernel refused, and has unmapped the new addresses.
    Lost,
}

/// Moves the memory of whole pages to other addresses, in place of what is mapped there. With `leaves` the old
/// addresses stay mapped, without memory, for which Linux 5.7 is needed; otherwise they are unmapped.
///
/// Pages that lie in several mappings stay: since Linux 6.17 the kernel moves one mapping after the other, and may stop
/// between two. So do pages that the program has locked: to leave the old addresses mapped would unlock their whole
/// mapping, with the blocks of others.
///
/// # Safety
/// Both ranges have `bytes`, are disjoint, and are mapped by this module. Only the caller refers to them, and no code
/// needs the content at `to`.
pub(crate) unsafe fn move_to(
    from: NonNull<u8>,
    bytes: usize,
    to: NonNull<u8>,
    leaves: bool,
) -> Outcome {
    let stay = if leaves { libc::MREMAP_DONTUNMAP } else { 0 };
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | stay;
    let (old, new) = (from.expose_provenance().get(), to.expose_provenance().get());
    if !is_one_mapping(from, bytes) {
        return Outcome::Stayed;
    }
    // SAFETY: only the caller refers to the two ranges, by its condition.
    let moved =
        unsafe { kernel::call(libc::SYS_mremap, [old, bytes, bytes, flags as usize, new, 0]) };
    if moved.is_some() {
        return Outcome::Moved { leaves };
    }
    // A single mapping moves whole or not at all. Most reasons to refuse come before the kernel unmaps the new addresses.
    // This advice is what holds without any, and the kernel refuses it only where nothing is mapped.
    // SAFETY: the advice changes no content.
    if unsafe { advise(to, bytes, libc::MADV_NORMAL) } {
        return Outcome::Stayed;
    }
    match map_at(to, bytes) {
        true => Outcome::Stayed,
        false => Outcome::Lost,
    }
}

/// True if a range lies in one mapping, and the program has not locked that. No other thread changes mappings of the
/// range, since only the caller refers to it.
fn is_one_mapping(start: NonNull<u8>, bytes: usize) -> bool {
    // No range can grow to so many bytes where it is. The kernel says so, unless it sees several mappings before.
    let arguments = [start.expose_provenance().get(), bytes, NO_LENGTH, 0, 0, 0];
    // SAFETY: the call is refused, and changes nothing.
    let refused = unsafe { kernel::answer(libc::SYS_mremap, arguments) };
    // SAFETY: a page of the range.
    refused == Err(libc::ENOMEM) && unsafe { !is_locked(start) }
}

/// Maps `bytes` at an address where nothing is mapped. False if something is, or if the kernel refuses.
fn map_at(at: NonNull<u8>, bytes: usize) -> bool {
    let Some(start) = map_near(at.as_ptr(), bytes) else { return false };
    if start.addr() != at.addr() {
        // SAFETY: mapped above, and no other code knows of it.
        unsafe { unmap(start, bytes) };
        return false;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::pages::map;
    use super::*;
    use crate::base::PAGE_BYTES;

    #[test]
    fn no_page_moves_to_where_it_is() {
        let start = map(1 << 16).expect("address space");
        // SAFETY: mapped above; the kernel refuses.
        assert_eq!(unsafe { move_to(start, 1 << 16, start, false) }, Outcome::Stayed);
        // SAFETY: mapped above, and used no more.
        unsafe { unmap(start, 1 << 16) };
    }

    #[test]
    fn pages_of_several_or_locked_mappings_stay() {
        type Change = fn(NonNull<u8>) -> bool;
        const BYTES: usize = 8 * PAGE_BYTES;
        let changes: [(Change, bool); 2] = [
            // SAFETY: inside a mapping; the advice changes no content.
            (|page| unsafe { advise(page, PAGE_BYTES, libc::MADV_DONTDUMP) }, true),
            // SAFETY: pages that are mapped. A system may allow a program no locked pages.
            (|page| unsafe { libc::mlock(page.as_ptr().cast(), BYTES - PAGE_BYTES) == 0 }, false),
        ];
        for (change, moves) in changes {
            let [from, to] = [1, 2].map(|_| map(BYTES).expect("address space"));
            // SAFETY: inside the mapping.
            let second = unsafe { from.add(PAGE_BYTES) };
            if change(second) {
                // SAFETY: inside the mappings, to which no other code refers.
                assert_eq!(unsafe { move_to(from, BYTES, to, true) }, Outcome::Stayed);
                // SAFETY: inside the mappings, to which no other code refers.
                let outcome = unsafe { move_to(second, BYTES - PAGE_BYTES, to, true) };
                let has_moved = outcome == Outcome::Moved { leaves: true };
                assert!(outcome == Outcome::Stayed || moves && has_moved, "{outcome:?}");
            }
            for start in [from, to] {
                // SAFETY: mapped above, and used no more.
                unsafe { unmap(start, BYTES) };
            }
        }
    }

    #[test]
    fn pages_move_and_their_addresses_stay_or_go() {
        const BYTES: usize = 8 * PAGE_BYTES;
        for leaves in [true, false] {
            let [from, to] = [1, 2].map(|_| map(BYTES).expect("address space"));
            // SAFETY: the mapping has as many bytes, and no other code has it.
            unsafe { from.write_bytes(7, BYTES) };
            // SAFETY: both were mapped above, and no other code refers to them.
            assert_eq!(unsafe { move_to(from, BYTES, to, leaves) }, Outcome::Moved { leaves });
            let bytes = |start: NonNull<u8>| {
                // SAFETY: mapped, and no code writes to it.
                unsafe { core::slice::from_raw_parts(start.as_ptr(), BYTES) }
            };
            assert!(bytes(to).iter().all(|&byte| byte == 7));
            // SAFETY: the advice changes no content.
            assert_eq!(unsafe { advise(from, BYTES, libc::MADV_NORMAL) }, leaves);
            assert!(!leaves || bytes(from).iter().all(|&byte| byte == 0));
            // SAFETY: mapped above, and used no more.
            unsafe { unmap(to, BYTES) };
            if leaves {
                // SAFETY: mapped above, and used no more.
                unsafe { unmap(from, BYTES) };
            }
        }
    }
}
