//! Layer 1: the operating system and the processor.
//!
//! Never: knows blocks, slabs or variants.

pub(crate) mod atomic;
pub(crate) mod fatal;
pub(crate) mod lock;
pub(crate) mod next;
pub(crate) mod single;
pub(crate) mod system;
pub(crate) mod tls;

cfg_if::cfg_if! {
    if #[cfg(all(target_os = "linux", target_arch = "x86_64"))] {
        pub(crate) mod clock;
        pub(crate) mod errno;
        pub(crate) mod fork;
        mod futex;
        pub(crate) mod pages;
        pub(crate) mod thread;
    } else {
        compile_error!("hakmem runs on Linux on x86-64; others need the files of `src/sys`, their page size, and their width of an address");
    }
}

/// Asks for the cache line at an address, which need not be mapped.
#[inline(always)]
pub(crate) fn prefetch<T>(address: *const T) {
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch does not fault, and every processor of this kind has it.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}
