//! Pages from the kernel: private, anonymous, zero.
//!
//! It keeps `errno` even if the kernel refuses. There may be another way to serve the program; if there is none, the C
//! face sets `errno`.

use super::{kernel, watcher};
use crate::base::{PAGE_BYTES, bytes_to_multiple, round_up};
use core::arch::asm;
use core::ffi::c_int;
use core::ptr::{self, NonNull};

/// The access that pages have, but those without any.
const OPEN: c_int = libc::PROT_READ | libc::PROT_WRITE;

/// Zero pages in a row after which [`zero`] samples the rest of a range.
const ZEROS: usize = 16;
/// Pages that [`zero`] samples in the rest of a range.
const LOOKS: usize = 8;
/// Words that [`is_zero`] combines before it tests them.
const WORDS: usize = 16;

/// Maps `bytes`, rounded up to whole pages, zeroed; `None` when the kernel refuses.
pub(crate) fn map(bytes: usize) -> Option<NonNull<u8>> {
    map_near(ptr::null_mut(), bytes)
}

/// Maps `bytes` as [`map`] does, at `hint` if it is not null and nothing is mapped there.
pub(super) fn map_near(hint: *mut u8, bytes: usize) -> Option<NonNull<u8>> {
    // SAFETY: a hint without MAP_FIXED leaves the kernel the choice of the address.
    unsafe { map_with(hint, bytes, OPEN, 0) }
}

/// # Safety
/// With `MAP_FIXED` nothing refers to what is mapped at `hint`.
unsafe fn map_with(hint: *mut u8, bytes: usize, access: c_int, flag: c_int) -> Option<NonNull<u8>> {
    // No MAP_NORESERVE: where pages get access, the kernel then refuses what no machine has, and not at the first touch.
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flag;
    let no_file = usize::MAX;
    let arguments = [hint.expose_provenance(), bytes, access as usize, flags as usize, no_file, 0];
    // SAFETY: a fresh anonymous mapping at an address of the kernel's choice touches no memory in use. Nor does one at
    // a fixed address, by the caller's condition.
    let address = unsafe { kernel::call(libc::SYS_mmap, arguments) }?;
    NonNull::new(ptr::with_exposed_provenance_mut(address))
}

/// Maps `bytes`, zeroed, at a multiple of `align`; both are whole pages, and `align` a power of two.
///
/// If the kernel's first mapping is not aligned, it asks for the aligned address below. If that address is taken, it
/// maps `align` more bytes, and gives the surplus back. `None` when the kernel refuses.
///
/// At its limit of mappings the kernel may refuse to take the surplus back. Those addresses are lost, without memory.
pub(crate) fn map_aligned(bytes: usize, align: usize) -> Option<NonNull<u8>> {
    map_aligned_with(bytes, align, OPEN)
}

/// Maps `bytes` as [`map_aligned`] does, but without access. The kernel reckons with no memory for them yet.
pub(crate) fn map_aligned_shut(bytes: usize, align: usize) -> Option<NonNull<u8>> {
    map_aligned_with(bytes, align, libc::PROT_NONE)
}

fn map_aligned_with(bytes: usize, align: usize, access: c_int) -> Option<NonNull<u8>> {
    let map_near = |hint, bytes| {
        // SAFETY: a hint without MAP_FIXED leaves the kernel the choice of the address.
        unsafe { map_with(hint, bytes, access, 0) }
    };
    // New mappings mostly lie side by side, so behind an aligned one the next is aligned as it comes.
    let first = map_near(ptr::null_mut(), bytes)?;
    if first.addr().get().is_multiple_of(align) {
        return Some(first);
    }
    // SAFETY: mapped above, and no other code knows of it.
    unsafe { unmap(first, bytes) };
    // New mappings mostly go below the others.
    let below = first.as_ptr().map_addr(|address| address & !(align - 1));
    let second = map_near(below, bytes)?;
    if second.addr().get().is_multiple_of(align) {
        return Some(second);
    }
    // SAFETY: mapped above, and no other code knows of it.
    unsafe { unmap(second, bytes) };
    let whole = map_near(ptr::null_mut(), bytes.checked_add(align)?)?;
    let lead = bytes_to_multiple(whole.addr().get(), align);
    let tail = align - lead;
    // SAFETY: `lead` is below `align`, hence inside the mapping of `bytes + align`.
    let block = unsafe { whole.add(lead) };
    // SAFETY: `lead + bytes` is at most `bytes + align`: inside the mapping, or its end.
    let after = unsafe { block.add(bytes) };
    if lead > 0 {
        // SAFETY: the first `lead` bytes belong to the mapping above, and no other code knows of them.
        unsafe { unmap(whole, lead) };
    }
    if tail > 0 {
        // SAFETY: the last `tail` bytes belong to the mapping above, and no other code knows of them.
        unsafe { unmap(after, tail) };
    }
    Some(block)
}

/// Unmaps pages. False, and nothing changed, if the kernel has no room for one more hole between mappings.
///
/// # Safety
/// The range came from this module, and nothing refers to it any more.
pub(crate) unsafe fn unmap(start: NonNull<u8>, bytes: usize) -> bool {
    // The addresses may be anybody's next.
    watcher::show(start.as_ptr(), bytes);
    let arguments = [start.expose_provenance().get(), bytes, 0, 0, 0, 0];
    // SAFETY: the range is mapped and unreferenced, by the caller's condition.
    unsafe { kernel::call(libc::SYS_munmap, arguments) }.is_some()
}

/// Gives the memory of whole pages back to the kernel. The pages stay mapped, and read as zero from now on. False if
/// the kernel refuses.
///
/// # Safety
/// The range is mapped by this module, and no code needs its content.
pub(crate) unsafe fn purge(start: NonNull<u8>, bytes: usize) -> bool {
    // SAFETY: the range is mapped, private and anonymous, and no code needs its content, by the caller's condition.
    unsafe { advise(start, bytes, libc::MADV_DONTNEED) }
}

/// Makes a range zero, and writes only to pages that are not zero. A page without memory is only read, and gets none.
///
/// After [`ZEROS`] zero pages in a row it samples the rest of the range. If the samples are zero, too, the rest most
/// likely has no memory, and goes back to the kernel as a whole.
///
/// The kernel could tell which pages have memory (`mincore`). But sandboxes often end a service for a system call that
/// is not on their list.
///
/// # Safety
/// The range, to the end of its last page, is mapped by this module, and starts with a page. No other code refers to
/// it.
pub(crate) unsafe fn zero(start: NonNull<u8>, bytes: usize) {
    // The program may have left bytes uninitialised. To the compiler this empty assembly initialises them.
    // SAFETY: there is no instruction.
    unsafe { asm!("/* {} */", in(reg) start.as_ptr(), options(nostack, preserves_flags)) };
    let (mut at, mut zeros, mut enough) = (0, 0, ZEROS);
    while at < bytes {
        let left = bytes - at;
        // SAFETY: inside the range.
        let page = unsafe { start.add(at) };
        if zeros == enough {
            // SAFETY: the caller's condition.
            let gives_back = unsafe { looks_zero(page, left) };
            // SAFETY: the caller's condition; it ends with the range's last page.
            if gives_back && unsafe { purge(page, round_up(left, PAGE_BYTES)) } {
                return;
            }
            (zeros, enough) = (0, 2 * enough);
        }
        // SAFETY: inside the range, and at the start of a page, which is mapped whole.
        if unsafe { is_zero(page) } {
            zeros += 1;
        } else {
            zeros = 0;
            // SAFETY: inside the range, to which no other code refers.
            unsafe { page.write_bytes(0, PAGE_BYTES.min(left)) };
        }
        at += PAGE_BYTES;
    }
}

/// True if [`LOOKS`] pages of a range, among them the last one, hold only zeros.
///
/// # Safety
/// The conditions of [`zero`].
pub(crate) unsafe fn looks_zero(start: NonNull<u8>, bytes: usize) -> bool {
    let pages = bytes.div_ceil(PAGE_BYTES);
    (1..=LOOKS).all(|look| {
        let page = (pages * look).div_ceil(LOOKS) - 1;
        // SAFETY: one of the range's pages.
        let page = unsafe { start.add(page * PAGE_BYTES) };
        // SAFETY: at the start of a page, which is mapped whole.
        unsafe { is_zero(page) }
    })
}

/// True if a page holds only zeros.
///
/// # Safety
/// `page` is the start of a mapped page, whose bytes are initialised. No thread writes to it.
unsafe fn is_zero(page: NonNull<u8>) -> bool {
    // SAFETY: the caller's condition.
    let words = unsafe { page.cast::<[[u64; WORDS]; PAGE_BYTES / (8 * WORDS)]>().as_ref() };
    // In groups of words, which the compiler tests with vector instructions.
    words.iter().all(|words| words.iter().fold(0, |all, word| all | word) == 0)
}

/// Asks the kernel for no huge pages in a range, so that only touched pages get memory.
///
/// # Safety
/// The range is whole pages, private and anonymous, and the caller owns it.
pub(crate) unsafe fn refuse_huge_pages(start: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller's condition; the advice changes no content.
    unsafe { advise(start, bytes, libc::MADV_NOHUGEPAGE) };
}

/// Gives memory to a fresh range that refuses huge pages; in huge pages, if they are wanted and the kernel has them.
/// Afterwards the range refuses huge pages again.
///
/// Linux has the advice since 5.14. Before that, the range gets its memory when it is touched.
///
/// # Safety
/// The range is whole pages, private and anonymous, and the caller owns it.
pub(crate) unsafe fn populate(start: NonNull<u8>, bytes: usize, huge: bool) {
    let all = [libc::MADV_HUGEPAGE, libc::MADV_POPULATE_WRITE, libc::MADV_NOHUGEPAGE];
    for advice in if huge { &all[..] } else { &all[1..2] } {
        // SAFETY: the caller's condition; none of them changes any content.
        unsafe { advise(start, bytes, *advice) };
    }
}

/// Prepares pages with memory for a time without an owner: a child of a fork gets zeros there, whatever a program has
/// advised for its block. False if that is not in the kernel's power: a program has mapped a file there, or memory that
/// processes share, or the kernel is older than Linux 4.14.
///
/// # Safety
/// The range is whole pages that this module or `fences` mapped, and the caller owns it.
pub(crate) unsafe fn set_aside(start: NonNull<u8>, bytes: usize) -> bool {
    // SAFETY: the advice changes no content in this process.
    let is_ours = unsafe { advise(start, bytes, libc::MADV_WIPEONFORK) };
    // SAFETY: the advice changes no content.
    is_ours && unsafe { advise(start, bytes, libc::MADV_DOFORK) }
}

/// Ends [`set_aside`]: a child of a fork gets the pages' content, and a core dump has it. False if the kernel refuses.
///
/// # Safety
/// The conditions of `set_aside`.
pub(crate) unsafe fn bring_back(start: NonNull<u8>, bytes: usize) -> bool {
    // SAFETY: the advice changes no content in this process.
    let is_kept = unsafe { advise(start, bytes, libc::MADV_KEEPONFORK) };
    // SAFETY: the advice changes no content.
    is_kept && unsafe { advise(start, bytes, libc::MADV_DODUMP) }
}

/// True if a program has locked the memory of a page, or the kernel is older than Linux 5.4.
///
/// # Safety
/// The page is mapped, and the caller owns it.
pub(crate) unsafe fn is_locked(page: NonNull<u8>) -> bool {
    // The kernel refuses this advice for locked pages.
    // SAFETY: the advice changes no content.
    unsafe { !advise(page, PAGE_BYTES, libc::MADV_COLD) }
}

/// Calls madvise(2) for a range. False if the kernel refuses.
///
/// # Safety
/// The range is whole pages, private and anonymous, and the caller owns it. The advice changes no content that the
/// caller needs.
pub(super) unsafe fn advise(start: NonNull<u8>, bytes: usize, advice: c_int) -> bool {
    let arguments = [start.expose_provenance().get(), bytes, advice as usize, 0, 0, 0];
    // SAFETY: the caller's condition.
    unsafe { kernel::call(libc::SYS_madvise, arguments) }.is_some()
}

/// Maps a range anew, without memory, in place of what is mapped there. Its mapping then is like that of its
/// neighbours. False if the kernel refuses; the range may then be mapped or not, and is lost.
///
/// # Safety
/// The range is whole pages mapped by this module, and nothing refers to it.
pub(crate) unsafe fn renew(start: NonNull<u8>, bytes: usize) -> bool {
    // SAFETY: the range is mapped and unreferenced, by the caller's condition.
    unsafe { map_with(start.as_ptr(), bytes, OPEN, libc::MAP_FIXED) }.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_aligned_and_zero() {
        for lg in [16, 19, 21] {
            let start = map_aligned(1 << lg, 1 << lg).expect("address space");
            assert_eq!(start.addr().get() % (1 << lg), 0);
            // SAFETY: the mapping has `1 << lg` readable bytes, and no code writes to them.
            let bytes = unsafe { core::slice::from_raw_parts(start.as_ptr(), 1 << lg) };
            assert!(bytes.iter().all(|&byte| byte == 0));
            // SAFETY: the range was mapped above, and `bytes` is used no more.
            unsafe { unmap(start, 1 << lg) };
        }
    }

    /// Zeroes all but the last 100 bytes of pages some of which were written, between two that stay as they are.
    fn zero_between(pages: usize, written: impl Fn(usize) -> bool) {
        let all = (pages + 2) * PAGE_BYTES;
        let start = map(all).expect("address space");
        let bytes = || {
            // SAFETY: the mapping has as many, and no other code has it.
            unsafe { core::slice::from_raw_parts_mut(start.as_ptr(), all) }
        };
        bytes()[..PAGE_BYTES].fill(1);
        bytes()[all - PAGE_BYTES..].fill(2);
        for page in (0..pages).filter(|&page| written(page)) {
            let page_bytes = &mut bytes()[(1 + page) * PAGE_BYTES..][..PAGE_BYTES];
            // One byte, anywhere in the page, or every one.
            match page % 2 {
                0 => page_bytes[page * 13 % PAGE_BYTES] = 0xA5,
                _ => page_bytes.fill(0xA5),
            }
        }
        let in_use = pages * PAGE_BYTES - 100;
        // SAFETY: inside the mapping.
        let second = unsafe { start.add(PAGE_BYTES) };
        // SAFETY: so many bytes of the mapping's pages from its second on; nothing refers to them.
        unsafe { zero(second, in_use) };
        assert!(bytes()[PAGE_BYTES..][..in_use].iter().all(|&byte| byte == 0));
        assert!(bytes()[..PAGE_BYTES].iter().all(|&byte| byte == 1));
        assert!(bytes()[all - PAGE_BYTES..].iter().all(|&byte| byte == 2));
        // SAFETY: the range was mapped above, and is used no more.
        unsafe { unmap(start, all) };
    }

    #[test]
    fn zero_where_it_was_written_and_where_it_was_not() {
        zero_between(1, |_| true);
        zero_between(300, |_| true);
        zero_between(300, |_| false);
        // No zeros in a row that tell of more; the last page is written to.
        zero_between(101, |page| page.is_multiple_of(10));
        // As many, but not of the rest: where it is looked at, and where it is not.
        zero_between(300, |page| page == 299);
        zero_between(300, |page| page < 40 && page.is_multiple_of(5) || page % 64 == 63);
        zero_between(300, |page| page > 250 && page.is_multiple_of(2));
    }

    #[test]
    fn a_range_that_is_mapped_anew_is_zero_and_no_other() {
        let start = map(4 * PAGE_BYTES).expect("address space");
        // SAFETY: the mapping has as many bytes, and no other code has it.
        unsafe { start.write_bytes(1, 4 * PAGE_BYTES) };
        // SAFETY: inside the mapping.
        let middle = unsafe { start.add(PAGE_BYTES) };
        // SAFETY: pages of the mapping, to which nothing refers.
        assert!(unsafe { renew(middle, 2 * PAGE_BYTES) });
        // SAFETY: mapped, and no code writes to it.
        let bytes = unsafe { core::slice::from_raw_parts(start.as_ptr(), 4 * PAGE_BYTES) };
        let is_inside = |at| (PAGE_BYTES..3 * PAGE_BYTES).contains(&at);
        assert!(bytes.iter().enumerate().all(|(at, &byte)| (byte == 0) == is_inside(at)));
        // SAFETY: mapped above, and used no more.
        unsafe { unmap(start, 4 * PAGE_BYTES) };
    }

    #[test]
    fn what_the_kernel_refuses_is_none_and_leaves_errno() {
        let errno = || std::io::Error::last_os_error().raw_os_error();
        // SAFETY: no such descriptor; for its `errno`.
        assert_eq!(unsafe { libc::close(-1) }, -1);
        assert!(map(1 << 62).is_none());
        assert!(map_aligned(usize::MAX / 2 + 1, 1 << 21).is_none());
        assert_eq!(errno(), Some(libc::EBADF));
    }
}
