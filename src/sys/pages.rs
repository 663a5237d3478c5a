//! Pages from the kernel: private, anonymous, zero.
//!
//! Leaves `errno` as it was, whatever the kernel says: there may be another way to serve the program, and if there is
//! none, its allocator's face says so.

use super::kernel;
use crate::base::{PAGE_BYTES, bytes_to_multiple, round_up};
use core::arch::asm;
use core::ptr::{self, NonNull};

/// Zero pages in a row that tell of more.
const ZEROS: usize = 16;
/// Pages of the rest that are looked at then.
const LOOKS: usize = 8;
/// Words that are looked at before it is asked whether they are zero.
const WORDS: usize = 16;

/// Maps `bytes`, rounded up to whole pages, zeroed; `None` when the kernel refuses.
pub(crate) fn map(bytes: usize) -> Option<NonNull<u8>> {
    map_near(ptr::null_mut(), bytes)
}

/// The same, at `hint` if nothing is there and it is not null.
fn map_near(hint: *mut u8, bytes: usize) -> Option<NonNull<u8>> {
    // Not without a reserve: what no machine has is refused here, and not where it is touched.
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let no_file = usize::MAX;
    let arguments = [hint.addr(), bytes, access as usize, flags as usize, no_file, 0];
    // SAFETY: a fresh anonymous mapping at an address of the kernel's choice, which a hint leaves it, touches no
    // memory that anyone has.
    let address = unsafe { kernel::call(libc::SYS_mmap, arguments) }?;
    NonNull::new(ptr::with_exposed_provenance_mut(address))
}

/// A value in pages of its own, for good; `None` when the kernel refuses.
pub(crate) fn leaked<T>(value: T) -> Option<&'static T> {
    const { assert!(align_of::<T>() <= PAGE_BYTES) };
    let place = map(size_of::<T>())?.cast::<T>();
    // SAFETY: fresh pages, large enough and aligned to a page, which nobody else knows of.
    unsafe { place.write(value) };
    // SAFETY: written above, and never unmapped.
    Some(unsafe { place.as_ref() })
}

/// Maps `bytes`, zeroed, at a multiple of `align`; both are whole pages, and `align` a power of two.
///
/// Where the kernel's first answer is not aligned, asks for the aligned address below it; where something else is
/// there, maps twice as much and gives the rest back, so it must have that much address space. `None` when it refuses.
/// What it would not take back, at its limit of mappings, is lost: addresses without memory.
pub(crate) fn map_aligned(bytes: usize, align: usize) -> Option<NonNull<u8>> {
    // New mappings mostly lie side by side, so behind an aligned one the next is aligned as it comes.
    let first = map(bytes)?;
    if first.addr().get().is_multiple_of(align) {
        return Some(first);
    }
    // SAFETY: mapped above, and nobody knows of it.
    unsafe { unmap(first, bytes) };
    // New mappings mostly go below the others.
    let below = first.as_ptr().map_addr(|address| address & !(align - 1));
    let second = map_near(below, bytes)?;
    if second.addr().get().is_multiple_of(align) {
        return Some(second);
    }
    // SAFETY: as above.
    unsafe { unmap(second, bytes) };
    let whole = map(bytes.checked_add(align)?)?;
    let lead = bytes_to_multiple(whole.addr().get(), align);
    let tail = align - lead;
    // SAFETY: `lead` is below `align`, hence inside the mapping of `bytes + align`.
    let block = unsafe { whole.add(lead) };
    // SAFETY: `lead + bytes` is at most `bytes + align`: inside the mapping, or its end.
    let after = unsafe { block.add(bytes) };
    if lead > 0 {
        // SAFETY: the first `lead` bytes belong to the mapping above, and nobody knows of them.
        unsafe { unmap(whole, lead) };
    }
    if tail > 0 {
        // SAFETY: the last `tail` bytes belong to the mapping above, and nobody knows of them.
        unsafe { unmap(after, tail) };
    }
    Some(block)
}

/// Gives pages back to the kernel. False, and nothing changed, where it has no room for one more hole between mappings.
///
/// # Safety
/// The range came from this module, and nothing refers to it any more.
pub(crate) unsafe fn unmap(start: NonNull<u8>, bytes: usize) -> bool {
    let arguments = [start.expose_provenance().get(), bytes, 0, 0, 0, 0];
    // SAFETY: the range is mapped and unreferenced, by the caller's condition.
    unsafe { kernel::call(libc::SYS_munmap, arguments) }.is_some()
}

/// Lets the kernel have the memory of whole pages, which stay mapped and read as zero from here on.
/// False if it kept it.
///
/// # Safety
/// The range is mapped by this module, and nobody needs what it holds.
pub(crate) unsafe fn purge(start: NonNull<u8>, bytes: usize) -> bool {
    // SAFETY: the range is mapped, private and anonymous, and its content is nobody's, by the caller's
    // condition.
    unsafe { advise(start, bytes, libc::MADV_DONTNEED) }
}

/// Makes bytes zero that may hold anything, and writes only to those pages that are not: one that has no memory is
/// read, and stays without. Behind [`ZEROS`] zero pages in a row, and where the rest looks so too, the rest is given
/// back: most likely it has no memory.
///
/// The kernel could say which pages have (`mincore`), but services are ended for asking: what they may ask is often a
/// list.
///
/// # Safety
/// The range, to the end of its last page, is mapped by this module and starts with a page, and nobody refers to it.
pub(crate) unsafe fn zero(start: NonNull<u8>, bytes: usize) {
    // What the program left may be bytes that it never initialised: to the compiler they are what this wrote.
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
            // SAFETY: inside the range, which nobody refers to.
            unsafe { page.write_bytes(0, PAGE_BYTES.min(left)) };
        }
        at += PAGE_BYTES;
    }
}

/// Whether some pages of a range, the last one among them, hold zeros only.
///
/// # Safety
/// As for [`zero`].
unsafe fn looks_zero(start: NonNull<u8>, bytes: usize) -> bool {
    let pages = bytes.div_ceil(PAGE_BYTES);
    (1..=LOOKS).all(|look| {
        let page = (pages * look).div_ceil(LOOKS) - 1;
        // SAFETY: one of the range's pages.
        let page = unsafe { start.add(page * PAGE_BYTES) };
        // SAFETY: at the start of a page, which is mapped whole.
        unsafe { is_zero(page) }
    })
}

/// Whether a page holds zeros only.
///
/// # Safety
/// It starts a page, which is mapped and holds numbers, and nobody writes to it.
unsafe fn is_zero(page: NonNull<u8>) -> bool {
    // SAFETY: the caller's condition.
    let words = unsafe { page.cast::<[[u64; WORDS]; PAGE_BYTES / (8 * WORDS)]>().as_ref() };
    // Not word by word: so many at once are compared in one step.
    words.iter().all(|words| words.iter().fold(0, |all, word| all | word) == 0)
}

/// Asks for no huge pages in a range, which is to have memory where it is touched, and nowhere else.
///
/// # Safety
/// The range is whole pages, private and anonymous, and the caller's.
pub(crate) unsafe fn refuse_huge_pages(start: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller's condition; the advice changes no content.
    unsafe { advise(start, bytes, libc::MADV_NOHUGEPAGE) };
}

/// Tells the kernel something about a range; false if it does not listen.
///
/// # Safety
/// The range is whole pages, private and anonymous, and the caller's; its content bears the advice.
unsafe fn advise(start: NonNull<u8>, bytes: usize, advice: libc::c_int) -> bool {
    let arguments = [start.expose_provenance().get(), bytes, advice as usize, 0, 0, 0];
    // SAFETY: the caller's condition.
    unsafe { kernel::call(libc::SYS_madvise, arguments) }.is_some()
}

/// Changes the size of a mapping, which may move; `None`, and nothing changed, when the kernel refuses.
///
/// # Safety
/// The range is mapped by this module, and where it moves, nobody refers to it but the caller.
pub(crate) unsafe fn resize(start: NonNull<u8>, bytes: usize, new: usize) -> Option<NonNull<u8>> {
    let arguments =
        [start.expose_provenance().get(), bytes, new, libc::MREMAP_MAYMOVE as usize, 0, 0];
    // SAFETY: the range is the caller's to move, by its condition.
    let moved = unsafe { kernel::call(libc::SYS_mremap, arguments) }?;
    NonNull::new(ptr::with_exposed_provenance_mut(moved))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_aligned_and_zero() {
        for lg in [16, 19, 21] {
            let start = map_aligned(1 << lg, 1 << lg).expect("address space");
            assert_eq!(start.addr().get() % (1 << lg), 0);
            // SAFETY: the mapping has `1 << lg` readable bytes, and nobody writes to them.
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
            // SAFETY: the mapping has as many, and nobody else has it.
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
        // SAFETY: so many bytes of the mapping's pages from its second on; nobody refers to them.
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
    fn what_the_kernel_refuses_is_none_and_leaves_errno() {
        let errno = || std::io::Error::last_os_error().raw_os_error();
        // SAFETY: no such descriptor; for its `errno`.
        assert_eq!(unsafe { libc::close(-1) }, -1);
        assert!(map(1 << 62).is_none());
        assert!(map_aligned(usize::MAX / 2 + 1, 1 << 21).is_none());
        let start = map(1 << 16).expect("address space");
        // SAFETY: mapped above, and nobody refers to it.
        assert!(unsafe { resize(start, 1 << 16, 1 << 62) }.is_none());
        assert_eq!(errno(), Some(libc::EBADF));
    }
}
