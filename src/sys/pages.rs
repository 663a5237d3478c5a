//! Pages from the kernel: private, anonymous, zero.
//!
//! Leaves `errno` as it was, whatever the kernel says: there may be another way to serve the program, and if there is
//! none, its allocator's face says so.

use super::errno;
use crate::base::bytes_to_multiple;
use core::ptr::{self, NonNull};

/// Maps `bytes`, rounded up to whole pages, zeroed; `None` when the kernel refuses.
pub(crate) fn map(bytes: usize) -> Option<NonNull<u8>> {
    map_near(ptr::null_mut(), bytes)
}

/// The same, at `hint` if nothing is there and it is not null.
fn map_near(hint: *mut u8, bytes: usize) -> Option<NonNull<u8>> {
    // Not without a reserve: what no machine has is refused here, and not where it is touched.
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a fresh anonymous mapping at an address of the kernel's choice, which a hint leaves it, touches no
    // memory that anyone has.
    let map = || unsafe { libc::mmap(hint.cast(), bytes, access, flags, -1, 0) };
    let address = errno::kept(map);
    if address == libc::MAP_FAILED {
        return None;
    }
    NonNull::new(address.cast())
}

/// Maps `bytes`, zeroed, at a multiple of `align`; both are whole pages, and `align` a power of two.
///
/// Where the kernel's first answer is not aligned, asks for the aligned address below it; where something else is
/// there, maps twice as much and gives the rest back, so it must have that much address space. `None` when it refuses.
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

/// Gives pages back to the kernel.
///
/// # Safety
/// The range came from this module, and nothing refers to it any more.
pub(crate) unsafe fn unmap(start: NonNull<u8>, bytes: usize) {
    // SAFETY: the range is mapped and unreferenced, by the caller's condition.
    if errno::kept(|| unsafe { libc::munmap(start.as_ptr().cast(), bytes) }) != 0 {
        // The kernel has no room for one more hole between mappings: it may have the memory all the same.
        // SAFETY: as above.
        let _ = unsafe { purge(start, bytes) };
    }
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

/// Asks for no huge pages in a range, which is to have memory where it is touched, and nowhere else.
///
/// # Safety
/// The range is whole pages, private and anonymous, and the caller's.
pub(crate) unsafe fn refuse_huge_pages(start: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller's condition; the advice changes no content.
    unsafe { advise(start, bytes, libc::MADV_NOHUGEPAGE) };
}

/// Asks for huge pages in a range; the kernel may do as it likes.
///
/// # Safety
/// The range is mapped by this module.
pub(crate) unsafe fn ask_for_huge_pages(start: NonNull<u8>, bytes: usize) {
    // SAFETY: the range is mapped, by the caller's condition; the advice changes no content.
    unsafe { advise(start, bytes, libc::MADV_HUGEPAGE) };
}

/// Asks the kernel to put a range that is mostly in memory into huge pages now; it may do as it likes.
///
/// # Safety
/// The range is mapped by this module.
pub(crate) unsafe fn collapse(start: NonNull<u8>, bytes: usize) {
    // SAFETY: the range is mapped, by the caller's condition; its content stays.
    unsafe { advise(start, bytes, libc::MADV_COLLAPSE) };
}

/// Tells the kernel something about a range; false if it does not listen.
///
/// # Safety
/// The range is whole pages, private and anonymous, and the caller's; its content bears the advice.
unsafe fn advise(start: NonNull<u8>, bytes: usize, advice: libc::c_int) -> bool {
    // SAFETY: the caller's condition.
    errno::kept(|| unsafe { libc::madvise(start.as_ptr().cast(), bytes, advice) }) == 0
}

/// Changes the size of a mapping, which may move; `None`, and nothing changed, when the kernel refuses.
///
/// # Safety
/// The range is mapped by this module, and where it moves, nobody refers to it but the caller.
pub(crate) unsafe fn resize(start: NonNull<u8>, bytes: usize, new: usize) -> Option<NonNull<u8>> {
    // SAFETY: the range is the caller's to move, by its condition.
    let remap = || unsafe { libc::mremap(start.as_ptr().cast(), bytes, new, libc::MREMAP_MAYMOVE) };
    let moved = errno::kept(remap);
    if moved == libc::MAP_FAILED {
        return None;
    }
    NonNull::new(moved.cast())
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
