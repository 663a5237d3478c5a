//! The processors that the program may run on.

use super::kernel;

/// The number of processors that the program may run on, up to 1024; two if the kernel does not tell.
pub(crate) fn count() -> usize {
    let mut mask = [0_u64; 16];
    let place = (&raw mut mask).expose_provenance();
    // SAFETY: the kernel writes to the mask, and no further than its size.
    let written = unsafe {
        kernel::call(libc::SYS_sched_getaffinity, [0, size_of_val(&mask), place, 0, 0, 0])
    };
    let ones = mask.iter().map(|word| word.count_ones() as usize).sum::<usize>();
    if written.is_some() { ones.max(1) } else { 2 }
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_are_some() {
        let expected = std::thread::available_parallelism().expect("a number").get();
        assert!(super::count() >= expected.min(1024));
    }
}
